"""Whatever is written, and wherever writing stops, a reader finds the old content or the new."""

from __future__ import annotations

import os
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.fs.atomic import temporary_name, write_file


class Stop(Exception):
    """The source of the content gave up."""


@settings(max_examples=60, deadline=None)
@given(old=st.binary(max_size=100), parts=st.lists(st.binary(max_size=100), max_size=6), stop_at=st.integers(0, 8))
def test_old_or_new(old: bytes, parts: list[bytes], stop_at: int) -> None:
    """A source that stops halfway leaves the old content; one that does not leaves the new; nothing else is there."""

    def source() -> object:
        for number, part in enumerate(parts):
            if number == stop_at:
                raise Stop
            yield part

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        write_file(path, old, sync=False)
        if stop_at < len(parts):
            with pytest.raises(Stop):
                write_file(path, source(), sync=False)  # type: ignore[arg-type]
        else:
            write_file(path, source(), sync=False)  # type: ignore[arg-type]

        with open(path, "rb") as file:
            assert file.read() == (old if stop_at < len(parts) else b"".join(parts))
        assert os.listdir(folder) == ["file"]


@given(
    base=st.text(st.characters(blacklist_characters="/\0"), min_size=1, max_size=260), number=st.integers(0, 2**32 - 1)
)
def test_temporary_names_always_fit(base: str, number: int) -> None:
    """They can be file names, show what they are, and carry the number."""
    try:
        os.fsencode(base)
    except UnicodeEncodeError:
        return
    name = temporary_name(base, number)

    assert len(os.fsencode(name)) <= 255
    assert name.startswith(".tmp-")
    assert str(number) in name
