"""How a layer was written is read from the layer: its marks, and what can be done with them here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.archive.override import Override
from cstore.archive.whiteout import WhiteoutForm
from cstore.drivers.overlay.lower import Place
from cstore.drivers.overlay.marks import Marks, form_not_read, marks_beneath, marks_of
from cstore.drivers.overlay.way import choose_program, kernel_options_for
from cstore.errors import DriverError

if TYPE_CHECKING:
    from pathlib import Path

_NEW = (6, 18)
USERS = Marks(users=frozenset({"opaque"}))
ROOTS = Marks(trusted=frozenset({"opaque"}))


def _layer(home: Path, name: str = "layer") -> Place:
    (home / name / "diff/dir").mkdir(parents=True)
    (home / name / "diff/dir/file").write_bytes(b"x")
    return Place(str(home), name)


def _mark(place: Place, path: str, name: str, value: bytes = b"y") -> None:
    try:
        os.setxattr(os.path.join(place.diff, path), name, value)
    except OSError as error:
        pytest.skip(f"{name} cannot be set here: {error}")


@pytest.mark.parametrize(
    ("path", "name", "value", "marks", "form"),
    [
        ("dir", "trusted.overlay.opaque", b"y", ROOTS, WhiteoutForm.OVERLAY),
        ("dir", "user.overlay.opaque", b"y", USERS, WhiteoutForm.OVERLAY_USER),
        ("dir", "user.fuseoverlayfs.opaque", b"y", Marks(program=True), WhiteoutForm.FILES),
        ("dir", "trusted.overlay.redirect", b"old", Marks(trusted=frozenset({"redirect"})), WhiteoutForm.OVERLAY),
        ("dir/file", "trusted.overlay.metacopy", b"", Marks(trusted=frozenset({"metacopy"})), WhiteoutForm.OVERLAY),
        ("dir", "user.overlay.opaque", b"x", Marks(users=frozenset({"whiteout"})), WhiteoutForm.OVERLAY_USER),
        ("dir", "user.overlay.impure", b"y", Marks(), WhiteoutForm.PLAIN),
        ("dir", "user.mine", b"y", Marks(), WhiteoutForm.PLAIN),
    ],
)
def test_marks_are_read(path: str, name: str, value: bytes, marks: Marks, form: WhiteoutForm, tmp_path: Path) -> None:
    """Each tells who wrote the layer; what hides or moves nothing tells nothing."""
    place = _layer(tmp_path)
    _mark(place, path, name, value)

    assert marks_of(place) == marks
    assert marks_of(place).form(WhiteoutForm.PLAIN) is form


def test_whiteout_files_are_a_programs_unless_only_the_kernel_has_written_here(tmp_path: Path) -> None:
    """To the kernel such a name is one like any other."""
    place = _layer(tmp_path)
    (tmp_path / "layer/diff/.wh.gone").touch()

    assert marks_of(place).program
    (tmp_path / ".has-mount-program").write_text("false")
    assert not marks_of(place).program


def test_a_store_inside_a_container_of_roots_is_contents(tmp_path: Path) -> None:
    """Where root's marks are, root has written, and a user's marks are files of that user's own store."""
    place = _layer(tmp_path)
    _mark(place, "", "trusted.overlay.impure")
    _mark(place, "dir", "user.overlay.opaque")

    assert marks_of(place) == Marks()


def test_the_lowest_directory_needs_no_marks(tmp_path: Path) -> None:
    """Nothing is below it that they could hide; whether it is masked counts."""
    above, lowest = _layer(tmp_path, "above"), _layer(tmp_path, "lowest")
    _mark(lowest, "dir", "user.overlay.opaque")

    assert marks_beneath(above, [lowest]) == Marks()
    _mark(lowest, "", "user.containers.override_stat", Override(0, 0, 0o755, 0o040000).text())
    assert marks_beneath(above, [lowest]) == Marks(masked=True)


@pytest.mark.parametrize("part", ["composefs-data/", "additionallayer", f"diff/ab/{'c' * 62}"])
def test_forms_that_are_not_read(part: str, tmp_path: Path) -> None:
    """They are known by what lies in the layer's directory, and nothing is read of them."""
    place = Place(str(tmp_path), "layer")
    path = tmp_path / "layer" / part
    path.parent.mkdir(parents=True)
    if part.endswith("/"):
        path.mkdir()
    else:
        path.touch()

    assert form_not_read(place)
    with pytest.raises(DriverError, match=r"composefs layer without its image|additional layer store"):
        marks_beneath(place, [])


def test_an_ordinary_layer_is_read(tmp_path: Path) -> None:
    """A directory whose name looks like a digest's beginning does not make a composefs layer."""
    place = _layer(tmp_path)
    (tmp_path / "layer/diff/ab").mkdir()

    assert form_not_read(place) == ""


# ── what is done with them ──


def test_the_kernel_gets_the_options_that_marks_need() -> None:
    """Those of today are kept, unless they would hide what the marks mean."""
    moved = Marks(trusted=frozenset({"metacopy", "redirect"}))

    assert kernel_options_for("a", ROOTS, ("nodev",), _NEW) == ("nodev",)
    assert kernel_options_for("a", USERS, ("nodev", "metacopy=on"), _NEW) == ("userxattr", "nodev")
    assert kernel_options_for("a", moved, ("redirect_dir=nofollow",), _NEW) == ("redirect_dir=on", "metacopy=on")


@pytest.mark.parametrize(
    ("marks", "version", "reason"),
    [
        (ROOTS | USERS, _NEW, "both"),
        (Marks(users=frozenset({"metacopy"})), _NEW, "metacopy"),
        (Marks(users=frozenset({"redirect"})), _NEW, "redirect"),
        (Marks(trusted=frozenset({"whiteout"})), (6, 1), "this kernel"),
    ],
)
def test_what_no_mount_of_the_kernel_shows_is_refused(marks: Marks, version: tuple[int, int], reason: str) -> None:
    """In a sentence that says what it is."""
    with pytest.raises(DriverError, match=reason):
        kernel_options_for("a", marks, (), version)


def test_who_mounts_is_told_by_the_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program what it wrote, the kernel what is only for the kernel, and anybody the rest."""
    moved = Marks(trusted=frozenset({"redirect"}))

    assert choose_program("a", Marks(), "", lambda: True) == ""
    assert choose_program("a", ROOTS, "/bin/fuse", lambda: True) == "/bin/fuse"
    assert choose_program("a", moved, "/bin/fuse", lambda: True) == ""
    with pytest.raises(DriverError, match="does not know"):
        choose_program("a", moved, "/bin/fuse", lambda: False)
    with pytest.raises(DriverError, match="nothing can mount both"):
        choose_program("a", moved | Marks(program=True), "/bin/fuse", lambda: True)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DriverError, match="attributes"):
        choose_program("a", Marks(masked=True), "", lambda: True)


def test_a_composefs_layer_is_mounted_by_root_only() -> None:
    """In a user namespace the kernel neither mounts images nor follows what is in them: a sentence says so."""
    image = Marks(trusted=frozenset({"metacopy", "redirect"}), image=True)

    assert kernel_options_for("a", image, (), _NEW) == ("redirect_dir=on", "metacopy=on")
    with pytest.raises(DriverError, match="only root can mount"):
        kernel_options_for("a", image, ("userxattr",), _NEW)
