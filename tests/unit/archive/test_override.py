"""What a file counts as, in an attribute: written and read as the mount programs do."""

from __future__ import annotations

import stat

import pytest

from cstore.archive.override import ATTRIBUTE, Override, parse, split


@pytest.mark.parametrize(
    ("meant", "text"),
    [
        (Override(7, 0, 0o4711, stat.S_IFREG), b"7:0:4711:file"),
        (Override(0, 0, 0o55, stat.S_IFDIR), b"0:0:0055:dir"),
        (Override(0, 6, 0o660, stat.S_IFBLK, (7, 300)), b"0:6:0660:block-7-300"),
        (Override(0, 0, 0o666, stat.S_IFCHR, (1, 3)), b"0:0:0666:char-1-3"),
        (Override(0, 0, 0o600, stat.S_IFIFO), b"0:0:0600:pipe"),
        (Override(0, 0, 0o777, stat.S_IFLNK), b"0:0:0777:symlink"),
        (Override(0, 0, 0o700, stat.S_IFSOCK), b"0:0:0700:socket"),
    ],
)
def test_what_is_written_is_read(meant: Override, text: bytes) -> None:
    """Owner and mode in decimal and octal, then the type, with the numbers of a device."""
    assert meant.text() == text
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (b"5:6:0700", Override(5, 6, 0o700)),
        (b"5:6:0700:unheard-of", Override(5, 6, 0o700)),
        (b"0:0:0600:char-5-1-9", Override(0, 0, 0o600, stat.S_IFCHR, (5, 1))),
    ],
)
def test_older_and_newer_texts(text: bytes, meant: Override) -> None:
    """Without a type, as older programs write it, or with more than is known."""
    assert parse(text) == meant


@pytest.mark.parametrize(
    "text", [b"", b"0:0", b"a:0:0755:file", b"0:0:9:file", b"-1:0:0755", b"0:0:0600:char", b"::::"]
)
def test_nonsense_counts_as_nothing(text: bytes) -> None:
    """A value that makes no sense overrides nothing."""
    assert parse(text) is None


def test_the_attribute_is_taken_out_of_others() -> None:
    """It says what the file is and is no part of what the file holds."""
    others = ((b"user.a", b"1"), (b"user.b", b"2"))

    assert split(others) == (None, others)
    assert split((others[0], (ATTRIBUTE, b"1:2:0644:file"), others[1])) == (Override(1, 2, 0o644, stat.S_IFREG), others)
    assert split(((ATTRIBUTE, b"nonsense"),)) == (None, ())
