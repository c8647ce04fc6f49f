"""Finding the line of a key in a TOML text."""

from __future__ import annotations

import pytest

from cstore.config.lines import key_lines, line_of

TEXT = """\
# storage.driver = "no"
top = 1

[storage] # [not.this]
driver = "a # no comment"
"graph root" = 'x = 1'
text = \"\"\"
fake = 1
[fake]
\\\"\"\" still fake = 2 \"\"\"
raw = '''
also = 1
'''
list = [
  "one", # two = 2
  { inner = 1, deeper.still = 2 },
]
options.size = "1"
options . mountopt = { a = "}", b = [1, 2], c.d = 3 }

[ storage . options ."overlay" ]
size="x"
[[many]]
name = 1
[[many]]
name = 2
last = 1979-05-27T07:32:00Z"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("top", 2),
        ("storage", 4),
        ("storage.driver", 5),
        ("storage.graph root", 6),
        ("storage.text", 7),
        ("storage.raw", 11),
        ("storage.list", 14),
        ("storage.list.inner", 16),
        ("storage.list.deeper.still", 16),
        ("storage.options.size", 18),
        ("storage.options.mountopt.b", 19),
        ("storage.options.mountopt.c.d", 19),
        ("storage.options.overlay", 21),
        ("storage.options.overlay.size", 22),
        ("many", 23),
        ("many.name", 24),
        ("many.last", 27),
    ],
)
def test_every_way_to_write_a_key_is_found(path: str, line: int) -> None:
    """Headers, dotted keys, inline tables and quoted names all lead to their line."""
    assert key_lines(TEXT)[tuple(path.split("."))] == line


def test_nothing_inside_strings_or_comments_is_a_key() -> None:
    """Text that only looks like a key is not taken for one."""
    names = {path[-1] for path in key_lines(TEXT)}

    assert names.isdisjoint({"fake", "also", "two", "x", "not", "this"})


def test_missing_key_leads_to_its_table() -> None:
    """The nearest table above stands in for a key that is not there; 0 says that there is none."""
    assert line_of(TEXT, "storage.options.overlay.absent") == 21
    assert line_of(TEXT, "elsewhere.absent") == 0
    assert line_of("", "storage.driver") == 0


@pytest.mark.parametrize(
    "text", ["[", "a", "a =", "a = [", "a = {b", "= 1", '"""', "\\", "a = 'x", "[a]]]] b", "a = [}"]
)
def test_broken_text_ends_the_scan(text: str) -> None:
    """A text that makes no sense is given up on, never looped over or crashed on."""
    assert isinstance(key_lines(text), dict)
