"""Archives of what a container has written are the same whenever they are made."""

from __future__ import annotations

import io
import tarfile

import pytest

from cstore.transfer.whiteouts import SteadyWhiteouts

_DEEP = "/".join(["d" * 60] * 5)


def _tar(moment: int, form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, size, time in (
            (".wh.top", 0, moment),
            ("dir/.wh.gone", 0, moment),
            (f"{_DEEP}/.wh.gone", 0, moment),
            (f"{_DEEP}/kept", 700, 5),
            ("dir/.wh.not-empty", 3, 6),
            ("dir/plain", 0, 7),
        ):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = size, time
            archive.addfile(member, io.BytesIO(b"x" * size))
    return buffer.getvalue()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 1000, 1 << 20])
def test_only_the_time_of_whiteouts_changes(form: int, step: int) -> None:
    """Long names too, however the bytes arrive; everything else passes as it is."""
    got = []
    for moment in (1000, 2_000_000_000):
        out, data = io.BytesIO(), _tar(moment, form)
        sink = SteadyWhiteouts(out)
        for place in range(0, len(data), step):
            sink.write(data[place : place + step])
        got.append(out.getvalue())

    assert got[0] == got[1] == _tar(0, form)
