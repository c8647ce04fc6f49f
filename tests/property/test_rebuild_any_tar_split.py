"""Whatever stands in a tar-split file, rebuilding from it ends with the archive or with an error of ours."""

from __future__ import annotations

import gzip
import io
import json
import os
import tempfile
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from fastcrc.crc64 import go_iso
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.archive.rebuild import rebuild
from cstore.errors import CstoreError
from tests.builders import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAUSIBLE = st.fixed_dictionaries(
    {"type": st.sampled_from([1, 2, 0, "1", None])},
    optional={
        "name": st.sampled_from(["f", "d/g", "../x", "/", "d/../f", "d", "link/g", "\0", ""]) | st.text(max_size=9),
        "name_raw": st.binary(max_size=9).map(lambda raw: b64encode(raw).decode()) | st.text(max_size=5),
        "size": st.sampled_from([0, 1, 4, -1, 2**63, 1.5, None]),
        "payload": st.sampled_from(["QyAAAAAAAAA=", "", "AAAA", None, 7]) | st.text(max_size=12),
        "position": st.integers(-1, 3) | st.text(max_size=2),
    },
)
LINES = st.lists(PLAUSIBLE.map(json.dumps) | st.text(max_size=20), max_size=5).map("\n".join)
JSON_TEXTS = st.builds(lambda text, end: (text + end).encode(errors="replace"), LINES, st.sampled_from(["\n", ""]))


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as top:
        make_tree(os.path.join(top, "tree"), {"f": b"1", "d/g": b"data", "link": "d"})
        yield top


@given(st.binary(max_size=300) | JSON_TEXTS.map(gzip.compress) | st.binary(max_size=300).map(gzip.compress))
@settings(max_examples=200, deadline=None)
def test_any_bytes(place: str, data: bytes) -> None:
    """Only errors of the family come out."""
    path = os.path.join(place, "any.gz")
    with open(path, "wb") as file:
        file.write(data)
    try:
        rebuild(path, [os.path.join(place, "tree")], io.BytesIO(), "layer0")
    except CstoreError as error:
        assert error.message  # noqa: PT017  - not every text is wrong


@given(st.lists(st.binary(max_size=50) | st.sampled_from(["f", "d/g"]), max_size=12))
@settings(max_examples=50, deadline=None)
def test_any_sequence(place: str, parts: list[bytes | str]) -> None:
    """Segments and files come out in the order of their lines."""
    contents = {"f": b"1", "d/g": b"data"}
    lines, expected = [], b""
    for number, part in enumerate(parts):
        content = contents[part] if isinstance(part, str) else part
        line: dict[str, object] = {"type": 2, "payload": b64encode(content).decode(), "position": number}
        if isinstance(part, str):
            checksum = b64encode(go_iso(content).to_bytes(8, "big")).decode()
            line = {"type": 1, "name": part, "size": len(content), "payload": checksum, "position": number}
        lines.append(json.dumps(line) + "\n")
        expected += content
    path = os.path.join(place, "sequence.gz")
    with open(path, "wb") as file:
        file.write(gzip.compress("".join(lines).encode()))
    out = io.BytesIO()
    rebuild(path, [os.path.join(place, "tree")], out, "layer0")
    assert out.getvalue() == expected
