"""Whole records that are still read of record files that are damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.check.repair.rows import sound_records
from cstore.records.model import Image, Layer

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = (f'{{"id":"{name}","names":["{name}-name"],"created":"2026-01-02T03:04:05Z"}}' for name in "abc")
SOUND = {
    "all": (f"[{A},{B},{C}]", "abc"),
    "spread over lines": (f"[\n {A},\n {B} ,\n {C}\n]\n", "abc"),
    "cut in the last": (f"[{A},{B},{C[:20]}", "ab"),
    "broken in the middle": (f"[{A},{B[:12]}\0\0{B[14:]},{C}]", "ac"),
    "broken at the front": (f"\0\0\0{A[3:]},{B},{C}]", "bc"),
    "one that is no layer": (f'[{A},{{"id":7}},{C}]', "ac"),
    "none": ("[]", ""),
    "no JSON at all": ("\0" * 100, ""),
}
"""Texts of a record file, and the IDs of the records that are whole."""


@pytest.mark.parametrize(("text", "whole"), SOUND.values(), ids=SOUND)
def test_records_beside_broken_ones_are_read(tmp_path: Path, text: str, whole: str) -> None:
    """Also those behind a break, each with its own bytes."""
    path = tmp_path / "layers.json"
    path.write_text(text)

    found = sound_records(str(path), Layer)
    assert "".join(record.id for record, _ in found) == whole
    assert all(raw.decode() in {A, B, C} for _, raw in found)


def test_a_file_that_is_gone_has_no_records(tmp_path: Path) -> None:
    assert sound_records(str(tmp_path / "none"), Layer) == []


def test_what_is_no_digest_of_an_image_is_left_out(tmp_path: Path) -> None:
    """No Go tool loads a file that has it; the rest of the record stays as it is."""
    path = tmp_path / "images.json"
    path.write_text('[{"id":"a","digest":"nonsense","names":["n"],"unknown":{"x":1}}]')

    ((record, raw),) = sound_records(str(path), Image)
    assert record.digest == ""
    assert record.names == ("n",)
    assert b"nonsense" not in raw
    assert b'"unknown":{"x":1}' in raw
