"""What the overlay driver can be told, and the words of its mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.drivers.overlay.mount import sort_words
from cstore.drivers.overlay.options import flat_words, read_options, split_words
from cstore.errors import DriverError, InvalidOption
from cstore.kernel import fsmount, mount

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_said_means_nothing_special() -> None:
    """The kernel mounts, with its own settings."""
    options = read_options(())

    assert (options.mount_options, options.program, options.force_mask, options.skip_mount_home) == ((), "", -1, False)


@pytest.mark.parametrize("prefix", ["overlay.", "overlay2.", ".", ""])
def test_every_spelling_of_a_key(prefix: str) -> None:
    """Old configurations name the driver in older ways; the key itself is not case-sensitive."""
    options = read_options([f"{prefix}MountOpt=nodev, metacopy=on", f"{prefix}skip_mount_home=true"])

    assert options.mount_options == ("nodev", "metacopy=on")
    assert options.skip_mount_home


@pytest.mark.parametrize(
    ("option", "peer"),
    [
        ("overlay.bogus=true", "overlay: unknown option overlay.bogus"),
        ("overlay.sync=true", 'option sync: \'true\' is neither "filesystem" nor "none"'),
        ("overlay.imagestore=relative", 'overlay: image path "relative" is not absolute.  Can not be relative'),
        ("overlay.mount_program=/nonexistent/p", 'overlay: can\'t stat program "/nonexistent/p"'),
        ("overlay.imagestore=/nonexistent/store", "overlay: can't stat imageStore dir /nonexistent/store"),
    ],
)
def test_refusals_have_the_peers_words_ready(option: str, peer: str) -> None:
    """Scripts that look for the peer's text find it."""
    with pytest.raises(DriverError) as caught:
        read_options([option])

    assert caught.value.go_text == peer


@pytest.mark.parametrize("option", ["overlay.force_mask=rwx", "overlay.skip_mount_home=maybe", "overlay.size=much"])
def test_senseless_values_are_refused(option: str) -> None:
    """The option is named."""
    with pytest.raises(DriverError, match=option.split("=", maxsplit=1)[0].removeprefix("overlay.")):
        read_options([option])


def test_image_stores_keep_their_order(tmp_path: Path) -> None:
    """They are searched as they are listed, over several options."""
    stores = [str(tmp_path / name) for name in ("b", "a", "c")]
    for store in stores:
        (tmp_path / store).mkdir()

    options = read_options(
        [f"overlay.imagestore={stores[0]},{stores[1]},", f"overlay.additionalimagestore={stores[2]}"]
    )

    assert options.stores == stores


def test_a_label_keeps_its_commas() -> None:
    """The categories of an SELinux label are separated by commas, inside quotes."""
    label = 'context="system_u:object_r:container_file_t:s0:c1,c2"'

    assert split_words(f"nodev,{label},ro") == ("nodev", label, "ro")
    assert flat_words(["nodev, ro", label]) == ("nodev", "ro", label)
    assert sort_words([label]).parameters() == [("context", "system_u:object_r:container_file_t:s0:c1,c2")]


def test_words_become_flags_or_stay_for_the_file_system() -> None:
    """The later of two opposites wins."""
    words = sort_words(["ro", "nodev", "dev", "noatime", "sync", "rslave", "defaults", "index=off", "volatile"])

    assert words.flags == mount.MS_RDONLY | mount.MS_NOATIME | mount.MS_SYNCHRONOUS
    assert words.attributes == fsmount.ATTR_RDONLY | fsmount.ATTR_NOATIME
    assert words.whole == ["ro", "sync"]
    assert words.propagation == mount.MS_SLAVE | mount.MS_REC
    assert words.parameters() == [("index", "off"), ("volatile", None)]


@pytest.mark.parametrize("word", ["bind", "rbind", "remount"])
def test_a_layer_is_not_mounted_as_something_else(word: str) -> None:
    """These words ask for another kind of mount, of nothing that is there."""
    with pytest.raises(InvalidOption):
        sort_words([word])
