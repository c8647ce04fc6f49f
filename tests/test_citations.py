"""References in the code exist: sections of docs/ that comments cite, and files that texts link to or name."""

from __future__ import annotations

import ast
import os
import re
import tokenize
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cstore import layout
from cstore.cli import reference
from cstore.records.model import Container, Image, Layer, key_of
from tests.test_architecture import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.records.model import Record

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCS = os.path.join(ROOT, "docs")
TEXTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")

NUMBER = r"\d+(?:\.\d+)*"
HEADING = re.compile(rf"^#{{2,4}} ({NUMBER})\.? \S", re.MULTILINE)
ALIAS = re.compile(r"^\| `([a-z-]+) N` \| \[[^\]]+\]\(([\w.-]+)\) \|", re.MULTILINE)
PATH = re.compile(r"`((?:cstore|tests|docs|man|completions)/[\w./-]*[\w/])`")
NAMED = re.compile(r"((?:`\w+`(?:, | and )?)+) (?:in|of) `((?:cstore|tests)/[\w./]+\.py)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def read(*parts: str) -> str:
    """Return the text of a file of the repository."""
    with open(os.path.join(ROOT, *parts), encoding="utf-8") as file:
        return file.read()


def below(*folders: str, suffix: str) -> list[str]:
    """Return the files with a suffix below some folders, as paths from the root of the repository."""
    found = []
    for folder in folders:
        for here, _, names in os.walk(os.path.join(ROOT, folder)):
            found += [os.path.relpath(os.path.join(here, name), ROOT) for name in names if name.endswith(suffix)]
    return sorted(found)


def prose() -> list[str]:
    """Return every page for readers, as paths from the root of the repository."""
    return [*below("docs", suffix=".md"), *(name for name in TEXTS if os.path.exists(os.path.join(ROOT, name)))]


@cache
def aliases() -> dict[str, str]:
    """Return the short names of the pages in docs/, from docs/README.md."""
    return dict(ALIAS.findall(read("docs", "README.md")))


def remarks(path: str) -> Iterator[str]:
    """Yield the docstrings and comments of a source file, each block of comment lines as one text."""
    text = read(path)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value
    block: list[str] = []
    last = 0
    with open(os.path.join(ROOT, path), "rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type != tokenize.COMMENT:
                continue
            if token.start[0] != last + 1 and block:
                yield " ".join(block)
                block = []
            block.append(token.string.lstrip("#"))
            last = token.start[0]
    yield " ".join(block)


class Citation(NamedTuple):
    """A reference to a section, such as `semantics 18.3`."""

    page: str
    section: str


@cache
def patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return a pattern for citations in a text without line breaks, and one for files that may have any."""
    words = "|".join(sorted(aliases(), key=len, reverse=True))
    listed = rf"{NUMBER}(?:(?:, | and | to ){NUMBER})*"
    exact = re.compile(rf"(?<![\w-])({words}) (?:spec,? )?({listed})(?![\w%])")
    return exact, re.compile(rf"(?:{words})[\s#]+(?:spec,?[\s#]+)?\d")


def cited(text: str) -> Iterator[Citation]:
    """Find the citations in a text: `archive 7.1`, `docker 18.2, 19`, `archive 3 to 6`, `config spec, 2 and 12`."""
    exact, _ = patterns()
    plain = " ".join(text.split())
    for match in exact.finditer(plain):
        first = ""
        for joint, section in re.findall(rf"(, | and | to |^)({NUMBER})", match[2]):
            if joint == " to ":
                yield from (Citation(match[1], between) for between in range_of(first, section))
            yield Citation(match[1], section)
            first = section


def range_of(first: str, last: str) -> list[str]:
    """Return the sections between two of one level: 8.2 and 8.4 have 8.3 between them."""
    stem, _, low = first.rpartition(".")
    return [f"{stem}.{one}".lstrip(".") for one in range(int(low) + 1, int(last.rpartition(".")[2]))]


@cache
def sections(page: str) -> tuple[str, ...]:
    """Return the numbers of a page's headings, in order."""
    return tuple(HEADING.findall(read("docs", page)))


SOURCES = below("cstore", "tests", suffix=".py")


@cache
def citations() -> tuple[tuple[str, Citation], ...]:
    """Return every citation in the code and the manual, with its file."""
    _, likely = patterns()
    citing = [path for path in SOURCES if likely.search(read(path))]
    found = [(path, one) for path in citing for text in remarks(path) for one in cited(text)]
    manual = below("man", suffix="")
    return (*found, *((path, one) for path in manual for one in cited(read(path))))


def test_every_citation_resolves() -> None:
    """Every section of docs/ that a comment cites exists."""
    missing = {
        f"{path}: {one.page} {one.section} is no heading of docs/{aliases()[one.page]}"
        for path, one in citations()
        if one.section not in sections(aliases()[one.page])
    }

    assert sorted(missing) == []


def test_there_are_citations() -> None:
    """The search finds citations of every page with a short name; a page that nobody cites needs none."""
    assert {one.page for _, one in citations()} == set(aliases())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(archive 3)", ["archive 3"]),
        ("(store-format\n    2.2, 9.3)", ["store-format 2.2", "store-format 9.3"]),
        ("(archive 8.2 to 8.4)", ["archive 8.2", "archive 8.3", "archive 8.4"]),
        ("(config spec, 2, 3 and 12)", ["config 2", "config 3", "config 12"]),
        ("(store-format 2.4, semantics 6, 9)", ["store-format 2.4", "semantics 6", "semantics 9"]),
        ("(archive 5.1, last column)", ["archive 5.1"]),
        ("the archive, 0 bytes long", []),
        ("Docker 28", []),
    ],
)
def test_citations_are_read_as_they_are_written(text: str, expected: list[str]) -> None:
    """Lists, ranges and line breaks are parsed, and text that only resembles a citation is not one."""
    assert [f"{one.page} {one.section}" for one in cited(text)] == expected


@pytest.mark.parametrize("page", sorted({*aliases().values()}))
def test_sections_are_numbered_in_order(page: str) -> None:
    """A cited page numbers its headings upward, each number once."""
    numbers = [tuple(map(int, number.split("."))) for number in sections(page)]

    assert numbers == sorted(set(numbers))


def test_pages_that_comments_name_exist() -> None:
    """A Markdown file that a comment or docstring names is in the repository."""
    there = {os.path.basename(path) for path in below("docs", "tests", suffix=".md")} | set(os.listdir(ROOT))
    lost = [
        f"{path}: {name}"
        for path in SOURCES
        if ".md" in read(path)
        for text in remarks(path)
        for name in re.findall(r"\b[A-Za-z][\w-]*\.md\b", text)
        if name not in there
    ]

    assert lost == []


@pytest.mark.parametrize("page", prose())
def test_no_link_is_dead(page: str) -> None:
    """A relative link leads to a file, and its fragment to a heading there."""
    folder = os.path.dirname(page)
    dead = []
    for link in LINK.findall(read(page)):
        target, _, fragment = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = os.path.normpath(os.path.join(folder, target)) if target else page
        if not os.path.exists(os.path.join(ROOT, path)) or (fragment and fragment not in anchors(path)):
            dead.append(link)

    assert dead == []


def anchors(path: str) -> set[str]:
    """Return the fragments of links to a Markdown page's headings."""
    headings = re.findall(r"^#+ (.*)$", read(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower() for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", [page for page in prose() if page != "CHANGELOG.md"])
def test_files_that_a_page_names_exist(page: str) -> None:
    """A page names no missing file or directory of the repository, except in the change history."""
    gone = [name for name in PATH.findall(read(page)) if not os.path.exists(os.path.join(ROOT, name))]

    assert gone == []


@pytest.mark.parametrize("page", [page for page in prose() if page != "CHANGELOG.md"])
def test_names_that_a_page_finds_in_a_file_are_there(page: str) -> None:
    """A name that a page places in a file, as `NAME` in `cstore/file.py`, is there."""
    plain = " ".join(read(page).split())
    named = [(name, path) for names, path in NAMED.findall(plain) for name in re.findall(r"\w+", names)]

    assert [f"{name} in {path}" for name, path in named if not re.search(rf"\b{name}\b", read(path))] == []


def test_the_index_lists_every_page() -> None:
    """docs/README.md links to each page beside it."""
    linked = set(LINK.findall(read("docs", "README.md")))

    assert {os.path.basename(path) for path in below("docs", suffix=".md")} - {"README.md"} <= linked


def test_the_glossary_is_sorted() -> None:
    """Terms are in alphabetical order and unique, so that readers find them."""
    terms = re.findall(r"^\*\*(.+?)\*\*", read("docs", "glossary.md"), re.MULTILINE)
    keys = [term.lower() for term in terms]

    assert keys
    assert keys == sorted(set(keys))


def test_the_glossary_explains_names_that_are_in_the_code() -> None:
    """A name in the glossary still exists in the code."""
    _, _, table = read("docs", "glossary.md").partition("## Names in the code")
    names = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    code = "\n".join(read(path) for path in below("cstore", suffix=".py"))

    assert names
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


def test_the_architecture_names_every_room() -> None:
    """docs/architecture.md has each room below cstore/ in its table."""
    rows = [line for line in read("docs", "architecture.md").splitlines() if re.match(r"\| \d \|", line)]
    told = set(re.findall(r"`(\w+)`", "".join(row.split("|")[2] for row in rows)))

    assert told == set(ROWS) - {"cstore", "__main__"}


def test_the_format_names_every_file_of_the_layout() -> None:
    """docs/format.md has each file and directory that cstore/layout.py draws."""
    drawn = re.findall(r"── (\S+)", layout.__doc__ or "")
    plain = (re.sub(r"<\w+>", "ID", name).partition("{")[0].rstrip("/").rpartition("/")[2] for name in drawn)
    page = read("docs", "format.md")

    assert drawn
    assert [name for name in plain if name not in page] == []


@pytest.mark.parametrize("kind", [Layer, Image, Container])
def test_the_format_names_every_key_of_a_record(kind: type[Record]) -> None:
    """docs/format.md describes every key of a record."""
    page = read("docs", "format.md")

    assert [field for field in kind.field_names() if f"`{key_of(field)}`" not in page] == []


def test_every_json_document_is_described() -> None:
    """docs/json.md has a row for each command that takes --json."""
    page = read("docs", "json.md")
    printing = [one.entry.name for one in reference.described() if any("--json" in each.opts for each in one.options)]

    assert printing
    assert [name for name in printing if f"`{name}`" not in page] == []
