"""Names of archive entries: clean them before use, and make them safe to display."""

from __future__ import annotations

from cstore import errors

LONGEST_PATH = 4095
"""Bytes in the longest path that a system call accepts. A longer path could be created, but hardly read or removed."""

_SHOWN = 200


def clean_name(name: bytes) -> bytes:
    """Make an entry's name relative to the layer's root, without empty parts, `.`, `..`, or a slash at either end.

    Returns:
        The plain name; empty for the root itself.

    Raises:
        ArchiveHostile: its `..` parts lead above the root.
        EntryFailed: it is longer than a path can be.
    """
    plain = name[2:] if name.startswith(b"./") else name
    plain = plain.rstrip(b"/")
    # Most names are plain by now; only those that may have other parts, such as dot files, are split.
    if not plain or plain[0] in b"./" or b"//" in plain or b"/." in plain:
        parts: list[bytes] = []
        for part in name.split(b"/"):
            if part == b".." and not parts:
                raise errors.ArchiveHostile(show_name(name), "it climbs above the root of the layer")
            if part == b"..":
                parts.pop()
            elif part not in {b"", b"."}:
                parts.append(part)
        plain = b"/".join(parts)
    if len(plain) > LONGEST_PATH:
        raise errors.EntryFailed(
            show_name(name), f"its name has {len(plain)} bytes, but a path may have at most {LONGEST_PATH}"
        )
    return plain


def scoped_name(name: bytes) -> bytes:
    """Make an entry's name relative and plain as in a chroot, where `..` stops at the root, as Docker does."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in {b"", b"."}:
            parts.append(part)
    return b"/".join(parts)


def climbs(name: bytes) -> bool:
    """Return whether a name has `..` among its parts, even if it stays below the root."""
    return b".." in name and b".." in name.split(b"/")


def split_name(plain: bytes) -> tuple[bytes, bytes]:
    """Split a plain name into its directory (empty for the root) and its base name."""
    folder, _, base = plain.rpartition(b"/")
    return folder, base


def join_name(folder: bytes, base: bytes) -> bytes:
    """Join a directory and a base name; the inverse of `split_name`."""
    return b"%b/%b" % (folder, base) if folder else base


def show_name(name: bytes) -> str:
    """Return a name in a form for messages: printable and of limited length."""
    text = name.decode(errors="backslashreplace")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(name)} bytes)"
