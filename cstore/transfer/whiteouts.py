"""Archives of what a container has written, the same whenever they are made."""

from __future__ import annotations

from cstore.archive.whiteout import WHITEOUT_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.streams import Sink

_BLOCK = 512
_NAME, _SIZE, _TIME, _SUM, _KIND = slice(0, 100), slice(124, 136), slice(136, 148), slice(148, 156), 156
_LONG = b"xL"
"""What announces the name of the entry that follows: a header of PAX, or of GNU."""


class SteadyWhiteouts:
    """Passes a tar on, in which whiteouts have the time 0.

    A whiteout has no time of its own: drivers of whole trees write the present, those of overlays the moment when the
    layer was unpacked here.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._head = bytearray()
        self._left = 0
        self._name: bytearray | None = None
        """The payload that names the next entry."""

    def write(self, data: bytes | memoryview, /) -> None:
        """Take all of `data`."""
        rest = memoryview(data)
        while rest:
            if self._left:
                piece, rest = rest[: self._left], rest[self._left :]
                self._left -= len(piece)
                if self._name is not None:
                    self._name += piece
                self._sink.write(piece)
                continue
            count = _BLOCK - len(self._head)
            self._head += rest[:count]
            rest = rest[count:]
            if len(self._head) == _BLOCK:
                self._sink.write(bytes(self._passed()))
                self._head = bytearray()

    def _passed(self) -> bytearray:
        """Look at a whole header; return what to pass on."""
        head = self._head
        kind, size = head[_KIND : _KIND + 1], _number(head[_SIZE])
        self._left = -(-size // _BLOCK) * _BLOCK
        if kind and kind in _LONG:
            self._name = bytearray()
            return head
        name, self._name = self._name or head[_NAME], None
        if kind == b"0" and not size and (name.startswith(WHITEOUT_PREFIX) or b"/" + WHITEOUT_PREFIX in name):
            head[_TIME] = b"%011o\0" % 0
            head[_SUM] = b" " * 8
            head[_SUM] = b"%06o\0 " % sum(head)
        return head


def _number(field: bytearray) -> int:
    """A number of a header: octal digits or, if it is large, bytes."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    return int(bytes(field).strip(b"\0 ") or b"0", 8)
