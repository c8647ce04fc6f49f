"""Driver options: what a file says becomes what a driver knows, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.config.driver_options import (
    additional_image_stores,
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


def test_example_of_the_specification(machine: Machine) -> None:
    """General options come first, then the driver's own list, filled from the general ones."""
    text = """
    [storage]
    driver = "overlay"
    [storage.options]
    size = "1G"
    mountopt = "nodev"
    additionalimagestores = ["/a1", "/a2"]
    [storage.options.overlay]
    mountopt = "o2"
    """

    assert options(machine, text) == [
        "overlay.imagestore=/a1",
        "overlay.imagestore=/a2",
        "overlay.size=1G",
        "overlay.mountopt=nodev",
        "overlay.mountopt=o2",
        "overlay.size=1G",
    ]


def test_overlay_is_given_all_of_its_options_in_order(machine: Machine) -> None:
    """The whole list, with the mask in octal both times."""
    assert options(machine, EVERYTHING.format(driver="overlay")) == [
        "overlay.imagestore=/a1",
        "overlay.imagestore=/a2",
        "overlay.additionallayerstore=/l1:ref",
        "overlay.size=1G",
        "overlay.mount_program=/bin/true",
        "overlay.skip_mount_home=true",
        "overlay.ignore_chown_errors=1",
        "overlay.force_mask=755",
        "overlay.mountopt=nodev",
        "overlay.ignore_chown_errors=1",
        "overlay.mount_program=/bin/true",
        "overlay.mountopt=o2",
        "overlay.size=1G",
        "overlay.inodes=5",
        "overlay.skip_mount_home=true",
        "overlay.force_mask=755",
        "overlay.use_composefs=false",
    ]


@pytest.mark.parametrize(
    ("driver", "expected", "ignored"),
    [
        (
            "vfs",
            ["vfs.imagestore=/a1", "vfs.imagestore=/a2", "vfs.ignore_chown_errors=1", "vfs.ignore_chown_errors=1"],
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
            ["zfs.mountopt=nodev", "zfs.fsname=pool/x", "zfs.mountopt=nodev"],
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
            [],
            {
                "additionalimagestores",
                "additionallayerstores",
                "size",
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
def test_driver_is_given_only_what_it_knows(
    machine: Machine, driver: str, expected: list[str], ignored: set[str]
) -> None:
    """What the driver would refuse is left out, and told once with its line."""
    machine.write("etc/storage.conf", EVERYTHING.format(driver=driver))

    config = machine.load()

    assert list(config.driver_options) == expected
    assert {text.split("storage.options.")[1].split(":")[0] for text in config.warnings} == ignored
    assert len(config.warnings) == len(ignored)
    assert all(", line " in text and f"the {driver} driver has no such option" in text for text in config.warnings)


def test_quota_tables_that_the_drivers_refuse_are_left_out(machine: Machine) -> None:
    """`size` of btrfs and zfs is documented and refused by their drivers; it must not keep the store shut."""
    for driver in ("btrfs", "zfs"):
        assert options(machine, f"[storage]\ndriver='{driver}'\n[storage.options.{driver}]\nsize='1G'\n") == []


def test_least_space_of_btrfs_ends_its_list(machine: Machine) -> None:
    """Where `min_space` is set it is all that btrfs is told."""
    text = "[storage]\ndriver='btrfs'\n[storage.options.btrfs]\nmin_space='1G'\nsize='2G'\n"

    assert options(machine, text) == ["btrfs.min_space=1G"]
    assert machine.load().warnings == ()


def test_unknown_driver_is_left_to_judge_for_itself(machine: Machine) -> None:
    """For a driver that this room does not know, the general options are made and nothing else."""
    assert options(machine, "[storage]\ndriver='new'\n[storage.options]\nsize='1G'\n") == ["new.size=1G"]


def test_old_name_of_overlay_keeps_its_prefix(machine: Machine) -> None:
    """`overlay2` becomes overlay; general options keep the prefix as written, which the driver takes as well."""
    found = options(machine, "[storage]\ndriver='overlay2'\n[storage.options]\nsize='1G'\n")

    assert found == ["overlay2.size=1G", "overlay.size=1G"]


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


def test_flag_chooses_which_options_are_made(machine: Machine) -> None:
    """With another driver on the command line, the file's options are those of that driver."""
    machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n[storage.options.overlay]\nmountopt='nodev'\n")

    config = machine.load(overrides=Overrides(driver="vfs", driver_options=("vfs.imagestore=/x",)))

    assert config.driver_options == ("vfs.imagestore=/x",)
    assert config.warnings == ()


def test_options_are_made_again_for_a_chosen_driver(machine: Machine) -> None:
    """A store that chose its driver itself gets that driver's options, its own table included, and the warnings."""
    machine.write("etc/storage.conf", EVERYTHING.format(driver=""))
    config = machine.load(overrides=Overrides(driver_options=("x=y",)))
    assert config.driver_options[0] == ".imagestore=/a1"

    overlay, vfs = with_driver(config, "overlay"), with_driver(config, "vfs")

    assert "overlay.inodes=5" in overlay.driver_options
    assert overlay.driver_options[-1] == "x=y"
    assert overlay.warnings == config.warnings
    assert vfs.driver_options[0] == "vfs.imagestore=/a1"
    assert len(vfs.warnings) > len(config.warnings)
    assert with_driver(vfs, "vfs") is vfs


def test_options_of_the_environment_survive_the_choice_of_a_driver(machine: Machine) -> None:
    """STORAGE_OPTS stands in place of the file's options whatever the driver turns out to be."""
    machine.write("etc/storage.conf", EVERYTHING.format(driver=""))

    config = with_driver(machine.load(machine.system(STORAGE_OPTS="vfs.imagestore=/e")), "vfs")

    assert config.driver_options == ("vfs.imagestore=/e",)


def test_additional_image_stores_are_collected() -> None:
    """Both names, any prefix, several at once, in order; layer stores are something else."""
    given = "overlay.imagestore=/a,/b size=1 .additionalimagestore=/c overlay.additionallayerstore=/l x.imagestore="

    assert additional_image_stores(given.split()) == ("/a", "/b", "/c")


def test_option_without_equals_sign_is_refused() -> None:
    """Every option is `key=value`, trimmed, the key in lower case."""
    assert split_option(" Overlay.Size = 1G=x ") == ("overlay.size", "1G=x")
    with pytest.raises(InvalidOption) as caught:
        split_option("foo")
    assert caught.value.peer == "unable to parse key/value option: foo"


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
