r"""JSON objects taken apart without being understood: each value as the bytes that it was written in.

Go programs carry what they do not know in this way. IDs are digests of the result, so `\u00e9` and `é` must not become
the same.
"""

from __future__ import annotations

import re

from cstore import gojson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^"\s]+', re.DOTALL)
_ESCAPED = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
"""The characters that Go escapes when it rewrites JSON, even in raw messages."""


def raw_values(raw: bytes) -> dict[str, str]:
    """Take an object apart: its values as text, without white space. The bytes must be known to be a JSON object."""
    from json import JSONDecoder, detect_encoding

    text, decoder = raw.decode(detect_encoding(raw), "surrogatepass"), JSONDecoder()
    found: dict[str, str] = {}
    at = text.index("{") + 1
    while text[(at := _after_space(text, at))] != "}":
        key, at = decoder.raw_decode(text, at)
        start = _after_space(text, text.index(":", at) + 1)
        _, at = decoder.raw_decode(text, start)
        found[key] = "".join(_TOKEN.findall(text[start:at])).translate(_ESCAPED)
        at = _after_space(text, at)
        at += text[at] == ","
    return found


def _after_space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def raw_object(values: Mapping[str, str]) -> bytes:
    """Put an object together of values as text, its keys sorted."""
    return "{{{}}}".format(",".join(f"{encoded(key)}:{value}" for key, value in sorted(values.items()))).encode()


def encoded(value: object) -> str:
    """Write a value as text."""
    return gojson.encode(value).decode()
