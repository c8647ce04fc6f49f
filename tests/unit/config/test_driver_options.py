"""Driver options: what a file says becomes what a driver knows, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.config.driver_options import (
    additional_image_stores,
    older_options,
    options_for,
    parse_flag,
    parse_mask,
    parse_size,
    split_option,
    with_driver,
)
from cstore.config.options import Overrides
from cstore.errors import ConfigError, InvalidOption

if TYPE_CHECKING:
    from tests.unit.config.settings_files import Machine

EVERYTHING = """
[storage]
driver = "{driver}"
[storage.options]
additionalimagestores = ["/a1", "/a2"]
additionallayerstores = ["/l1:ref"]
size = "1G"
mount_program = "/bin/true"
skip_mount_home = "true"
ignore_chown_errors = "1"
force_mask = 0o755
mountopt = "nodev"
use_composefs = "false"
[storage.options.overlay]
mountopt = "o2"
inodes = "5"
[storage.options.zfs]
fsname = "pool/x"
"""


def options(machine: Machine, text: str) -> list[str]:
    """The driver options that a system file of this text gives."""
    machine.write("etc/storage.conf", text)
    return list(machine.load().driver_options)


def test_general_options_are_bare_and_come_once(machine: Machine) -> None:
    """General options come first, without a driver's name; the tables of all drivers follow in order of their names.

    Tools up to 1.60 print general ones with the driver's name, and some of them twice.
    """
    text = EVERYTHING.format(driver="vfs") + "[storage.options.btrfs]\nmin_space='1G'\nsize='2G'\n"

    assert options(machine, text) == [
        "imagestore=/a1",
        "imagestore=/a2",
        "additionallayerstore=/l1:ref",
        "size=1G",
        "mount_program=/bin/true",
        "skip_mount_home=true",
        "ignore_chown_errors=1",
        "force_mask=755",
        "mountopt=nodev",
        "use_composefs=false",
        "btrfs.min_space=1G",
        "btrfs.size=2G",
        "overlay.mountopt=o2",
        "overlay.inodes=5",
        "zfs.fsname=pool/x",
    ]
    config = machine.load(overrides=Overrides(driver="overlay"))
    assert older_options(config.choice.settings, "overlay")[:3] == [
        "overlay.imagestore=/a1",
        "overlay.imagestore=/a2",
        "overlay.additionallayerstore=/l1:ref",
    ]


@pytest.mark.parametrize(
    ("driver", "ignored"),
    [
        (
            "vfs",
            {
                "additionallayerstores",
                "size",
                "mount_program",
                "skip_mount_home",
                "force_mask",
                "mountopt",
                "use_composefs",
            },
        ),
        (
            "zfs",
            {
                "additionalimagestores",
                "additionallayerstores",
                "size",
                "mount_program",
                "skip_mount_home",
                "ignore_chown_errors",
                "force_mask",
                "use_composefs",
            },
        ),
        (
            "btrfs",
            {
                "additionalimagestores",
                "additionallayerstores",
                "mount_program",
                "skip_mount_home",
                "ignore_chown_errors",
                "force_mask",
                "mountopt",
                "use_composefs",
            },
        ),
    ],
)
def test_general_option_that_the_driver_does_not_have_is_told(machine: Machine, driver: str, ignored: set[str]) -> None:
    """What the driver passes over of the general options is told once with its line."""
    machine.write("etc/storage.conf", EVERYTHING.format(driver=driver))

    config = machine.load()

    assert {text.split("storage.options.")[1].split(":")[0] for text in config.warnings} == ignored
    assert len(config.warnings) == len(ignored)
    assert all(", line " in text and f"the {driver} driver has no such option" in text for text in config.warnings)


def test_what_concerns_a_driver(machine: Machine) -> None:
    """A driver sees its own options and general ones that it has; those of other drivers are passed over."""
    given = ["btrfs.size=2G", "size=1G", "overlay.mountopt=o", "mountopt=n", ".ignore_chown_errors=1"]
    given.append("overlay2.size=3G")

    assert [name for name, _, _ in options_for("vfs", given)] == ["ignore_chown_errors"]
    assert [(name, value) for name, value, _ in options_for("btrfs", given)] == [
        ("size", "2G"),
        ("size", "1G"),
    ]
    assert [value for name, value, _ in options_for("overlay", given) if name == "size"] == ["1G", "3G"]
    assert list(options_for("zfs", ["zfs.size=1G"])) == []
    with pytest.raises(InvalidOption, match="the name of a driver"):
        list(options_for("overlay", ["bogus.size=1G"]))


def test_size_that_zfs_does_not_have_keeps_no_store_shut(machine: Machine) -> None:
    """It is told and passed over; `size` of btrfs counts beside `min_space`."""
    options(machine, "[storage]\ndriver='zfs'\n[storage.options.zfs]\nsize='1G'\n")
    assert "the zfs driver has no such option" in machine.load().warnings[0]
    options(machine, "[storage]\ndriver='btrfs'\n[storage.options.btrfs]\nmin_space='1G'\nsize='2G'\n")
    assert machine.load().warnings == ()


def test_composefs_is_told_to_those_who_write(machine: Machine) -> None:
    """use_composefs stops nothing; commands that change the store say once that new layers are plain."""
    options(machine, "[storage]\ndriver='overlay'\n[storage.options.overlay]\nuse_composefs='true'\n")
    config = with_driver(machine.load(), "overlay")

    assert config.warnings == ()
    assert "makes new layers plain" in config.write_warnings[0]
    assert with_driver(machine.load(overrides=Overrides(driver="vfs")), "vfs").write_warnings == ()


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ("[storage.options]\nskip_mount_home='yes'\n", "storage.options.skip_mount_home"),
        ("[storage.options]\nsize='lots'\n", "storage.options.size"),
        ("[storage.options.overlay]\ninodes='-1'\n", "storage.options.overlay.inodes"),
        ("[storage.options.overlay]\nforce_mask='rwx'\n", "storage.options.overlay.force_mask"),
        ("[storage.options.overlay]\nuse_composefs='TRUe'\n", "storage.options.overlay.use_composefs"),
    ],
)
def test_value_that_the_driver_would_refuse_is_named(machine: Machine, lines: str, key: str) -> None:
    """A value is judged where its file and line are still known, and only for the driver that it is for."""
    path = machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n" + lines)

    with pytest.raises(ConfigError) as caught:
        machine.load()

    assert (caught.value.source, caught.value.line, caught.value.key) == (path, 4, key)
    assert machine.load(machine.system(STORAGE_DRIVER="vfs")).driver == "vfs"


def test_flag_adds_to_the_options_of_all_drivers(machine: Machine) -> None:
    """Options of the overlay table stay with another driver on the command line, which passes over them."""
    machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n[storage.options.overlay]\nmountopt='nodev'\n")

    config = machine.load(overrides=Overrides(driver="vfs", driver_options=("vfs.imagestore=/x",)))

    assert config.driver_options == ("overlay.mountopt=nodev", "vfs.imagestore=/x")
    assert config.warnings == ()


def test_options_are_made_again_for_a_chosen_driver(machine: Machine) -> None:
    """A store that chose its driver itself gets the warnings of that driver; the options are the same for all."""
    machine.write("etc/storage.conf", EVERYTHING.format(driver=""))
    config = machine.load(overrides=Overrides(driver_options=("x=y",)))
    assert config.driver_options[0] == "imagestore=/a1"

    overlay, vfs = with_driver(config, "overlay"), with_driver(config, "vfs")

    assert "overlay.inodes=5" in overlay.driver_options
    assert overlay.driver_options[-1] == "x=y"
    assert overlay.warnings == config.warnings
    assert vfs.driver_options == overlay.driver_options
    assert len(vfs.warnings) > len(config.warnings)
    assert with_driver(vfs, "vfs") is vfs


def test_options_of_the_environment_survive_the_choice_of_a_driver(machine: Machine) -> None:
    """STORAGE_OPTS stands in place of the file's options whatever the driver turns out to be."""
    machine.write("etc/storage.conf", EVERYTHING.format(driver=""))

    config = with_driver(machine.load(machine.system(STORAGE_OPTS="vfs.imagestore=/e")), "vfs")

    assert config.driver_options == ("vfs.imagestore=/e",)


def test_additional_image_stores_are_collected() -> None:
    """Both names, bare or with the driver's name, several at once, in order; not those of others."""
    given = "overlay.imagestore=/a,/b size=1 .additionalimagestore=/c overlay.additionallayerstore=/l vfs.imagestore=/v"

    assert additional_image_stores(given.split(), "overlay") == ("/a", "/b", "/c")


def test_option_without_equals_sign_is_refused() -> None:
    """Every option is `key=value`, trimmed, the key in lower case."""
    assert split_option(" Overlay.Size = 1G=x ") == ("overlay.size", "1G=x")
    with pytest.raises(InvalidOption) as caught:
        split_option("foo")
    assert caught.value.go_text == "unable to parse key/value option: foo"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("10b", 10),
        ("1k", 1024),
        ("1KB", 1024),
        ("2 MiB", 2 << 20),
        ("1.5g", 3 << 29),
        (".5t", 1 << 39),
        ("1P", 1 << 50),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Sizes take powers of 1024, in any case, with fractions."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "zz", "1x", "1  k", "-1", "1ib", "k", "1kk", "1e3", "٣"])
def test_what_is_no_size(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_flags_and_masks() -> None:
    """The words of both little languages, and what they refuse."""
    assert [parse_flag(word) for word in ("1", "t", "TRUE", "0", "F", "False")] == [True] * 3 + [False] * 3
    assert [parse_mask(word) for word in ("shared", "private", "0700", "755")] == [0o755, 0o700, 0o700, 0o755]
    for refuse, word in ((parse_flag, "yes"), (parse_flag, ""), (parse_mask, "8"), (parse_mask, "-rwxr-xr-x")):
        with pytest.raises(ValueError, match="neither"):
            refuse(word)
