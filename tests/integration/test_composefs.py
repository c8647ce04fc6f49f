"""Composefs layers that the Go tool 1.63 made: given back, listed, mounted, written above, checked and healed."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from cstore.drivers.overlay.images import mount_image
from cstore.kernel.mountinfo import read_mounts
from tests.conftest import ROOT
from tests.mounts import detach_all
from tests.users import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")
BASE = "7".zfill(64)
SMALL = "4c/47b3e816fbe7d40cef9f665ba8f0be1ae68b5e8e7ed70f5b6bab7f70528e8f"
BIG = "60/f15f022c44a018d5e32725552f4bb88519a761fabefa526a3029ed2eee53dd"


@dataclass(frozen=True)
class Fixture:
    """The store, and what its layers' archives are."""

    top: str

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """Run cstore on it."""
        roots = ["--graph", f"{self.top}/graph", "--run", f"{self.top}/run", "--storage-driver", "overlay"]
        environ = {**os.environ, "CONTAINERS_STORAGE_CONF": os.devnull, "PYTHONPATH": ROOT}
        command = [sys.executable, "-m", "cstore", *roots, *words]
        return subprocess.run(command, capture_output=True, check=False, env=environ)

    def ok(self, *words: str) -> str:
        """The same, which must go well."""
        done = self.run(*words)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        return done.stdout.decode(errors="replace")

    def archive(self, name: str) -> bytes:
        """The archive that a layer was made of."""
        with open(f"{self.top}/{name}.tar", "rb") as file:
            return file.read()

    def images_mounted(self) -> list[str]:
        """Where images are mounted in it."""
        inside = [each for each in read_mounts() if each.mount_point.startswith(self.top)]
        return [each.mount_point for each in inside if each.fstype == "erofs"]

    @property
    def layer(self) -> str:
        """The directory of the composefs layer."""
        return f"{self.top}/graph/overlay/{BASE}"

    @property
    def image(self) -> str:
        """Its image."""
        return f"{self.layer}/composefs-data/composefs.blob"


def unpack(directory: Path) -> None:
    """Unpack the store, and the archives of its layers, into a directory."""
    path = os.path.join(ROOT, "tests/data/stores/store-1.63-composefs.tar.xz")
    subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "-xJf", path, "-C", str(directory)], check=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Fixture]:
    """A composefs layer, an ordinary one above it, an image of both and a container."""
    unpack(tmp_path)
    yield Fixture(str(tmp_path))
    detach_all(str(tmp_path))


def test_archives_and_changes_need_no_mount(store: Fixture) -> None:
    """`diff` and `changes` read the image, of the layer itself and of one above it."""
    assert store.run("diff", "-u", BASE).stdout == store.archive("base")
    assert store.run("diff", "-u", "top").stdout == store.archive("top")
    added = [f'Add "/{name}"' for name in ("d", "d/big", "d/empty", "d/small", "e", "e/hl", "l")]
    assert store.ok("changes", BASE).splitlines() == added
    assert store.ok("changes", "top").splitlines() == ['Modify "/d"', 'Add "/d/new"', 'Delete "/d/small"']
    assert not [mount for mount in read_mounts() if mount.mount_point.startswith(store.top)]


def test_a_container_above_is_mounted_and_written_to(store: Fixture) -> None:
    """Contents come from their directory; what is copied up is the container's; no image stays mounted."""
    tree = store.ok("mount", "box").strip()
    assert sorted(os.listdir(tree)) == ["d", "e", "l", "mine"]
    assert sorted(os.listdir(f"{tree}/d")) == ["big", "empty", "new"]
    with open(f"{tree}/d/big", "ab") as file:
        file.write(b"more")
    assert os.stat(f"{tree}/d/big").st_size == 100_004
    assert store.images_mounted() == []
    store.ok("unmount", "box")

    assert 'Modify "/d/big"' in store.ok("changes", "ddbf7a00").splitlines()
    store.ok("check")


def test_the_layer_itself_is_mounted_read_only(store: Fixture) -> None:
    """Owners, modes and contents are those of the archive, and nothing can be written."""
    tree = store.ok("mount", BASE).strip()
    status = os.stat(f"{tree}/d/small")

    assert (stat.S_IMODE(status.st_mode), os.stat(f"{tree}/e").st_uid) == (0o4711, 5)
    assert sorted(os.listdir(tree)) == ["d", "e", "l"]
    with pytest.raises(OSError, match="Read-only"), open(f"{tree}/x", "w", encoding="ascii"):
        pass
    store.ok("unmount", BASE)


def test_owners_are_shifted_for_a_container_with_a_map(store: Fixture) -> None:
    """The image is mounted with the container's owners, as directories are."""
    store.ok("create-container", "--uidmap", "0:100000:9", "--gidmap", "0:100000:9", "-n", "new", "localhost/fixture:1")
    tree = store.ok("mount", "new").strip()

    assert os.stat(f"{tree}/e").st_uid == 100_005
    assert os.stat(f"{tree}/d/big").st_uid == 100_000


def test_layers_are_imported_above(store: Fixture, tmp_path: Path) -> None:
    """What an archive needs from below is read from the image: files to link to, and directories to be like."""
    (tmp_path / "t/d").mkdir(parents=True)
    (tmp_path / "t/d/again").write_bytes(b"")
    make = ["tar", "--no-recursion", "-C", str(tmp_path / "t"), "-cf", str(tmp_path / "new.tar"), "d/again"]
    subprocess.run(make, check=True)
    store.ok("import-layer", "-n", "same", "-f", f"{store.top}/top.tar", BASE)
    store.ok("import-layer", "-n", "above", "-f", str(tmp_path / "new.tar"), BASE)

    assert store.run("diff", "-u", "same").stdout == store.archive("top")
    assert sorted(os.listdir(f"{store.ok('mount', 'above').strip()}/d")) == ["again", "big", "empty", "small"]


def test_files_are_copied_out(store: Fixture, tmp_path: Path) -> None:
    """`copy` gives names, contents and modes."""
    store.ok("copy", f"{BASE}:/d", str(tmp_path / "out"))

    assert (tmp_path / "out/small").read_bytes() == b"small\n"
    assert stat.S_IMODE(os.stat(tmp_path / "out/small").st_mode) == 0o4711


def test_all_of_a_chain_is_copied_out(store: Fixture, tmp_path: Path) -> None:
    """What the layers above add and remove, links of both kinds, owners and times, as a mount shows them."""
    out = tmp_path / "out"
    store.ok("copy", "top:/", str(out))
    shown = store.ok("mount", "top").strip()
    facts = ["-type", "d", "-printf", "%P %m %U %G %T@\\n", "-o", "-printf", "%P %y %m %U %G %s %T@ %l\\n"]
    listed = ["find", ".", "-mindepth", "1", *facts]
    trees = [subprocess.run(listed, cwd=path, capture_output=True, check=True).stdout for path in (out, shown)]
    store.ok("unmount", "top")

    assert sorted(trees[0].splitlines()) == sorted(trees[1].splitlines())
    assert os.path.samefile(out / "d/big", out / "e/hl")
    store.ok("copy", "top:/l", str(tmp_path / "file"))
    assert os.stat(tmp_path / "file").st_size == 100_000


def test_a_content_of_another_length_is_not_copied(store: Fixture, tmp_path: Path) -> None:
    """It is an error that names the file, and no file of that name is left, whether or not it was to be verified."""
    _write(f"{store.layer}/diff/{SMALL}", b"x")
    for option in ([], ["--no-verify"]):
        done = store.run("copy", *option, f"{BASE}:/d/small", str(tmp_path / "small"))

        assert (done.returncode, os.path.lexists(tmp_path / "small")) == (1, False)
        assert b"d/small" in done.stderr


@pytest.mark.parametrize("by_loop", [False, True])
def test_images_are_mounted_from_the_file_or_a_loop_device(store: Fixture, by_loop: bool) -> None:
    """A kernel that takes no file gets a loop device, which goes away with the mount."""
    fd = mount_image(store.image, by_loop=by_loop)
    try:
        assert "l" in os.listdir(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def test_images_that_others_left_mounted_are_unmounted(store: Fixture) -> None:
    """The Go tool mounts images below the layer above; `unmount` takes them away with it."""
    store.ok("mount", "box")
    (layer,) = [name for name in os.listdir(f"{store.top}/graph/overlay") if name.startswith("ddbf")]
    point = f"{store.top}/graph/overlay/{layer}/composefs-layers/2"
    subprocess.run(["mount", "-t", "erofs", "-o", "ro,loop", store.image, point], check=True)
    store.ok("unmount", "box")

    assert [mount.mount_point for mount in read_mounts() if mount.mount_point.startswith(f"{store.top}/graph/o")] == [
        f"{store.top}/graph/overlay"
    ]


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


DAMAGE: dict[str, tuple[Callable[[Fixture], None], str]] = {
    "a content has changed": (lambda store: _write(f"{store.layer}/diff/{SMALL}", b"other\n"), "'d/small'"),
    "a content has another length": (lambda store: _write(f"{store.layer}/diff/{SMALL}", b"x"), "'d/small'"),
    "a content is missing": (lambda store: os.unlink(f"{store.layer}/diff/{BIG}"), "'d/big' is missing"),
    "the image is cut": (lambda store: os.truncate(store.image, 5000), "composefs.blob is damaged"),
    "the image is something else": (lambda store: _write(store.image, b"hello"), "composefs.blob is damaged"),
    "the image is missing": (lambda store: os.unlink(store.image), "composefs.blob is missing"),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_healed_from_an_archive(
    store: Fixture, damage: Callable[[Fixture], None], said: str
) -> None:
    """Nothing but the archive can bring it back; layers above are given back all the while."""
    damage(store)
    assert store.run("check").returncode == 1
    assert store.run("diff", "-u", BASE).returncode == 1
    assert store.run("diff", "-u", "top").stdout == store.archive("top")

    kept = store.run("repair", "--yes")
    assert kept.returncode == 1
    assert said in kept.stdout.decode()
    store.ok("repair", "--yes", "--from", f"{store.top}/base.tar")

    store.ok("check")
    assert store.run("diff", "-u", BASE).stdout == store.archive("base")
    assert sorted(os.listdir(f"{store.ok('mount', 'box').strip()}/d")) == ["big", "empty", "new"]


IN_PLACE: dict[str, tuple[Callable[[Fixture], None], str]] = {
    **{name: (damage, "graph") for name, (damage, _) in DAMAGE.items()},
    "a content has changed, with the archive": (DAMAGE["a content has changed"][0], "base.tar"),
    "all contents are missing": (lambda store: _remove_contents(store, "4c", "60"), "graph"),
    "contents and image are missing": (lambda store: _remove_contents(store, "4c", "60", store.image), "graph"),
    "a content is a link": (lambda store: _link(f"{store.layer}/diff/{SMALL}", "/etc/passwd"), "base.tar"),
    "a directory of contents is a file": (lambda store: _file_for_directory(f"{store.layer}/diff/4c"), "graph"),
    "the image is a link": (lambda store: _link(store.image, "/etc/passwd"), "graph"),
    "the image names contents outside": (lambda store: _patch(store.image, SMALL, "../../../../../passwd"), "graph"),
    "the image names a lost content": (lambda store: _patch(store.image, SMALL, "4c/" + 62 * "0"), "graph"),
    "the image has another mode": (lambda store: _patch(store.image, b"\xc9\x89", b"\xed\x81"), "graph"),
    "the image is a pipe": (lambda store: _pipe(store.image), "graph"),
}


def _remove_contents(store: Fixture, *names: str) -> None:
    for name in names:
        path = os.path.join(store.layer, "diff", name)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def _link(path: str, target: str) -> None:
    os.unlink(path)
    os.symlink(target, path)


def _patch(path: str, old: str | bytes, new: str | bytes) -> None:
    before, after = (text.encode() if isinstance(text, str) else text for text in (old, new))
    with open(path, "rb") as file:
        data = file.read()
    _write(path, data.replace(before, after.ljust(len(before), b"/"), 1))


def _pipe(path: str) -> None:
    os.unlink(path)
    os.mkfifo(path)


def _file_for_directory(path: str) -> None:
    shutil.rmtree(path)
    _write(path, b"")


@pytest.mark.parametrize(("damage", "source"), IN_PLACE.values(), ids=IN_PLACE)
def test_it_stays_a_composefs_layer_where_a_source_has_what_it_lacks(
    store: Fixture, tmp_path: Path, damage: Callable[[Fixture], None], source: str
) -> None:
    """A content or the image is put back, and nothing else made; a second repair has nothing to do."""
    sound = tmp_path / "sound"
    sound.mkdir()
    unpack(sound)
    damage(store)
    done = store.ok("repair", "--yes", "--from", str(sound / source))

    assert f"back into composefs layer {BASE}" in done
    assert os.path.isfile(store.image)
    assert not os.path.islink(store.image)
    assert "nothing needs repair" in store.ok("repair", "--yes")
    store.ok("check")
    assert store.run("diff", "-u", BASE).stdout == store.archive("base")
    assert sorted(os.listdir(f"{store.ok('mount', 'box').strip()}/d")) == ["big", "empty", "new"]
    store.ok("unmount", "box")


def test_a_content_put_back_is_taken_away_again(store: Fixture) -> None:
    """An undone repair leaves the damage that was there."""
    DAMAGE["a content has changed"][0](store)
    store.ok("repair", "--yes", "--from", f"{store.top}/base.tar")
    (case,) = [name for name in os.listdir(f"{store.top}/graph/cstore-quarantine") if name != "lock"]
    store.ok("repair", "--undo", case)

    with open(f"{store.layer}/diff/{SMALL}", "rb") as file:
        assert file.read() == b"other\n"


def test_without_the_image_the_plan_says_that_the_layer_becomes_plain(store: Fixture) -> None:
    """Only an archive is there, and nobody here writes images."""
    os.unlink(store.image)
    shown = store.run("repair", "--dry-run", "--from", f"{store.top}/base.tar").stdout.decode()

    assert "as a plain layer" in shown


@pytest.mark.parametrize("tar_split", [True, False])
def test_a_layer_without_the_digest_of_its_archive_is_checked_and_healed(
    store: Fixture, tmp_path: Path, tar_split: bool
) -> None:
    """A partial pull may have the digest of its table of contents only, and no tar-split: contents have names."""
    records = f"{store.top}/graph/overlay-layers/layers.json"
    with open(records, "rb") as file:
        rows = json.load(file)
    for row in rows:
        if row["id"] == BASE:
            del row["diff-digest"], row["diff-size"]
    _write(records, json.dumps(rows).encode())
    if not tar_split:
        os.unlink(f"{store.top}/graph/overlay-layers/{BASE}.tar-split.gz")
    assert store.ok("check") == ""
    _write(f"{store.layer}/diff/{SMALL}", b"other\n")
    sound = tmp_path / "sound"
    sound.mkdir()
    unpack(sound)

    assert store.run("check").returncode == 1
    assert "back into composefs layer" in store.ok("repair", "--yes", "--from", str(sound / "graph"))
    assert store.ok("check") == ""
    os.truncate(store.image, 5000)
    assert store.run("check").returncode == 1


def test_strangers_beside_the_contents_are_taken_out(store: Fixture) -> None:
    """A content that no file has, and what is no content at all, go to the quarantine."""
    strangers = [f"{store.layer}/diff/aa/{'1' * 62}", f"{store.layer}/diff/60/no-content"]
    for path in strangers:
        _write(path, b"x")
    assert store.run("check").returncode == 1
    store.ok("repair", "--yes")

    store.ok("check")
    assert not any(map(os.path.exists, strangers))
    assert store.run("diff", "-u", BASE).stdout == store.archive("base")


def test_an_image_that_names_contents_outside_is_not_mounted(store: Fixture) -> None:
    """Whoever would read the file would read another one."""
    _patch(store.image, SMALL, "../../../../../passwd")
    done = store.run("mount", BASE)

    assert (done.returncode, store.images_mounted()) == (1, [])
    assert b"the contents of '/d/small' are outside" in done.stderr


def test_an_ordinary_user_copies_out(store: Fixture) -> None:
    """Nothing is mounted for it, so nobody has to be root."""
    with ordinary_user(ranges=True) as user:
        graph = os.path.join(user.home, "graph")
        shutil.move(f"{store.top}/graph", graph)
        subprocess.run(["chown", "-hR", f"{user.uid}:{user.gid}", graph], check=True)
        roots = ["--graph", graph, "--run", f"{user.home}/run", "--storage-driver", "overlay"]
        done = user.cstore(*roots, "copy", "top:/", f"{user.home}/out")

        assert (done.code, done.stderr) == (0, "")
        assert sorted(os.listdir(f"{user.home}/out/d")) == ["big", "empty", "new"]
        refused = user.cstore(*roots, "mount", "top")
        assert (refused.code, "which only root can mount" in refused.stderr) == (1, True)


def test_a_damaged_image_is_not_mounted(store: Fixture) -> None:
    """A sentence, and nothing left behind."""
    os.truncate(store.image, 5000)
    for words in (("mount", BASE), ("mount", "box"), ("changes", BASE), ("create-layer", "-n", "x", BASE)):
        done = store.run(*words)
        if words[0] != "create-layer":  # an empty layer needs nothing of what is below
            assert done.returncode == 1, words
            assert b"composefs.blob" in done.stderr, words
            assert b"internal error" not in done.stderr, words
    assert store.images_mounted() == []


def test_files_are_seen_without_a_mount(store: Fixture, tmp_path: Path) -> None:
    """`ls`, `cat`, `stat`, `find`, `compare` and `blame` read the image, and contents from their directory."""
    assert store.ok("ls", "top:/d").splitlines() == ["big", "empty", "new"]
    assert store.ok("ls", BASE).splitlines() == ["d", "e", "l"]
    assert "-rws--x--x" in store.ok("ls", "-l", f"{BASE}:/d/small")
    assert store.ok("find", "--setuid", BASE).splitlines() == ["/d/small"]
    assert store.ok("find", "--all", "--name", "big").splitlines() == ["localhost/fixture:1:/d/big"]
    lines = store.ok("compare", BASE, "top").splitlines()
    assert {"A /d/new", "D /d/small"} <= set(lines)
    assert [line[0] for line in store.ok("blame", "top:/d/small").splitlines()] == ["D", "A"]
    assert store.ok("blame", "--waste", "top").splitlines()[-1].endswith("in 1 file")
    for name in ("small", "big"):
        store.ok("copy", f"{BASE}:/d/{name}", str(tmp_path / name))
        assert store.run("cat", f"{BASE}:/d/{name}").stdout == (tmp_path / name).read_bytes()
    assert f"layer: {BASE}" in store.ok("stat", "--digest", "box:/d/big").splitlines()
    assert store.images_mounted() == []
