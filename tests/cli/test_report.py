"""report: one page about the whole store, true to df, harmless whatever the store holds, and alive in a browser."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from cstore.cli.output.page.markup import safe
from cstore.cli.output.text import human_size
from tests.browser import PROGRAM, Browser
from tests.builders import directory, make_tar, regular, whiteout
from tests.unit.transfer.archives import as_tar, docker_archive
from tests.users import ordinary_user

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")

FIRST = make_tar(directory("etc"), regular("etc/conf", b"1" * 40_000), regular("etc/old", b"o" * 30_000))
SECOND = make_tar(directory("etc"), regular("etc/conf", b"2" * 20_000), whiteout("etc/old"))
OTHER = make_tar(regular("tool", b"t" * 9000))
STEP = "RUN echo '</script><script>alert(1)</script>' > /etc/conf"
HISTORY = [
    {"created": "2024-01-01T00:00:00Z", "created_by": "ADD rootfs"},
    {"created": "2024-01-03T00:00:00Z", "created_by": STEP},
]
HOSTILE = "x</script><img src=x onerror=alert(2)>\"'&amp;\x1b[31m\u202egpj.exe\n<!--"
TREE = "f" * 64


class Page(HTMLParser):
    """What a page has: the text of each section, its tags and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._section, self._cell = "", False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "section":
            self._section = found["id"] or ""
        elif tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        self._cell = self._cell or tag == "td"

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag != "td"

    def handle_data(self, data: str) -> None:
        self.sections[self._section] = self.sections.get(self._section, "") + data
        if self._cell:
            self.rows[-1][-1] += data


@pytest.fixture
def furnished(cli: CommandLine, tmp_path: Path, store_roots: StoreRoots) -> CommandLine:
    """A store with an image of two layers that hides files, one of the first layer, a hostile one, and an orphan."""
    for name, layers, steps in (("app", (FIRST, SECOND), HISTORY), ("base", (FIRST,), HISTORY[:1])):
        (tmp_path / name).write_bytes(as_tar(docker_archive(layers, (f"example.org/{name}:1",), history=steps)))
        cli("load", "--quiet", "-i", str(tmp_path / name)).ok()
    (tmp_path / "other").write_bytes(OTHER)
    cli("import-layer", "-i", "l1", "-n", HOSTILE, "-f", str(tmp_path / "other")).ok()
    cli("create-image", "-i", "i1", "-n", HOSTILE, "-m", HOSTILE, "l1").ok()
    cli("create-container", "-n", "web", "example.org/app:1").ok()
    cli("create-container", "-n", f"box{HOSTILE}", "i1").ok()
    os.makedirs(store_roots.tree(TREE))
    return cli


def page_of(cli: CommandLine, tmp_path: Path, *words: str) -> Page:
    """Make a report, and read it."""
    cli("report", *words, "-o", str(tmp_path / "page.html")).ok()
    return Page((tmp_path / "page.html").read_text(encoding="utf-8"))


def test_the_page_says_what_df_says(furnished: CommandLine, tmp_path: Path) -> None:
    """The sum, the sizes of each image, and whose it is."""
    usage = furnished("df", "-vj").ok().json

    page = page_of(furnished, tmp_path)

    assert human_size(usage["total"]) in page.sections["summary"]
    rows = {row[0].split(":1")[0]: row[1:] for row in page.rows if row and row[0].startswith("example.org")}
    for line in usage["lines"]:
        name = line.get("names", [""])[0].split(":1")[0] if line["kind"] == "image" and line["names"] else ""
        if name.startswith("example.org"):
            assert rows[name][:3] == [human_size(line[key]) for key in ("size", "unique", "shared")]
    assert (rows["example.org/app"][-1], rows["example.org/base"][-1]) == ("web", "")
    orphans = sum(line["disk"] for line in usage["lines"] if line["kind"] == "orphan")
    (row,) = (row for row in page.rows if row and row[0].startswith("orphaned"))
    assert row[1] == human_size(orphans)


def test_waste_and_history_stand_with_the_layer(furnished: CommandLine, tmp_path: Path) -> None:
    """Of the lower layer, one file is overwritten and one is deleted; with --quick no directory is read."""
    page, quick = page_of(furnished, tmp_path), page_of(furnished, tmp_path, "--quick")

    told = page.sections["waterfalls"]
    assert "40.0 kB overwritten, 30.0 kB deleted" in told
    assert STEP in told
    assert "ADD rootfs" in told
    assert {"ov", "de"} <= {found.get("class") for tag, found in page.tags if tag == "rect"}
    assert "only records were read" in quick.sections["waterfalls"]
    assert "kB overwritten" not in quick.sections["waterfalls"]
    assert "Only the records were read" in quick.sections["summary"]
    assert "orphaned" not in "".join(cell for row in quick.rows for cell in row)


def test_names_of_a_store_are_text_and_nothing_else(furnished: CommandLine, tmp_path: Path) -> None:
    """The page has the one script that is cstore's own, no picture, and no address but those in itself."""
    page = page_of(furnished, tmp_path)

    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"img", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    for _, found in page.tags:
        assert not {name for name in found if name.startswith("on")}
        assert (found.get("href") or "#").startswith("#")
        assert not {"src", "xlink:href"} & found.keys()
    shown = "x</script><img src=x onerror=alert(2)>\"'&amp;\\x1b[31m\\u202egpj.exe\\n<!--"
    assert shown in page.sections["images"]
    assert f"box{shown}" in page.sections["images"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain/name:1", "plain/name:1"),
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        ("a\x00\x1b\x9b\u2028", "a\\x00\\x1b\\x9b\\u2028"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("caf\xe9 \u65e5\u672c", "caf\xe9 \u65e5\u672c"),
        (os.fsdecode(b"latin\xe9\x85"), "latin\\xe9\\x85"),
        ("\ud800", "\\ud800"),
    ],
    ids=ascii,
)
def test_text_is_made_safe(text: str, shown: str) -> None:
    """For elements and attributes; what is left is UTF-8 that shows in one direction."""
    assert safe(text) == shown
    shown.encode()


def test_a_check_is_made_only_if_wanted(furnished: CommandLine, tmp_path: Path) -> None:
    """Its findings are in the page; without it, the page says that there was none."""
    assert "The store was not checked" in page_of(furnished, tmp_path).sections["findings"]

    page = page_of(furnished, tmp_path, "--check")

    found = [row for row in page.rows if len(row) == 2]
    assert any(row[1].startswith("image i1") for row in found)
    assert any(row[0] == "leftover" and TREE in row[1] for row in found)


def test_many_layers_are_a_table(cli: CommandLine, tmp_path: Path) -> None:
    """A drawing of more than sixty is a carpet."""
    cli("create-layer", "-i", "l0").ok()
    few = page_of(cli, tmp_path, "--quick")
    for number in range(1, 62):
        cli("create-layer", "-i", f"l{number}", f"l{number - 1}").ok()

    many = page_of(cli, tmp_path, "--quick")

    assert "tree" in {found.get("class") for _, found in few.tags}
    assert "tree" not in {found.get("class") for _, found in many.tags}
    assert "62 layers are too many for a drawing" in many.sections["layers"]


def test_an_empty_store_has_a_page(cli: CommandLine, tmp_path: Path) -> None:
    """It says that there is nothing, and no store comes to be by looking."""
    page = page_of(cli, tmp_path, "--check")

    assert "There are no images." in page.sections["images"]
    assert "There are no layers." in page.sections["layers"]
    assert "no damage found" in page.sections["findings"]


def test_damaged_records_are_said(furnished: CommandLine, tmp_path: Path, store_roots: StoreRoots) -> None:
    """The page is written with what can be read, and the exit status is 1."""
    images = os.path.join(store_roots.graph, "vfs-images", "images.json")
    with open(images, "w", encoding="utf-8") as file:
        file.write("[{")

    told = furnished("report", "-o", str(tmp_path / "page.html"))

    assert told.code == 1
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert f"the record file {images} is damaged" in page.sections["summary"]


def test_the_page_goes_to_a_pipe_but_not_to_a_terminal(
    furnished: CommandLine, writing_to_terminal: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    """A terminal would show nothing that anybody wants to read."""
    assert furnished("report", "--quick").ok().out.startswith("<!DOCTYPE html>")
    done = writing_to_terminal("report")

    assert done.returncode == 1
    assert done.stderr == b"cstore: refusing to write a page to a terminal (cstore report -o FILE.html)\n"


def test_the_old_page_stays_if_the_new_one_fails(cli: CommandLine, tmp_path: Path) -> None:
    """A page appears whole or not at all."""
    target = tmp_path / "missing" / "page.html"

    told = cli("report", "-o", str(target))

    assert told.code == 1
    assert str(target) in told.err
    assert os.listdir(tmp_path) == sorted(set(os.listdir(tmp_path)) - {"missing"})


def test_an_ordinary_user_gets_a_page_of_their_own(store_roots: StoreRoots) -> None:
    """Their store needs a user namespace to be read; the page is theirs all the same."""
    with ordinary_user(ranges=True) as user:
        place = ["-s", store_roots.driver]
        archive = make_tar(regular("file", b"data", uid=7, mode=0o600))
        user.cstore(*place, "import-layer", "-i", "base", stdin=archive).ok()
        user.cstore(*place, "create-image", "-n", "my-image", "base").ok()
        user.cstore(*place, "report", "-o", f"{user.home}/page.html").ok()

        assert os.stat(f"{user.home}/page.html").st_uid == user.uid
        with open(f"{user.home}/page.html", encoding="utf-8") as file:
            assert "my-image" in Page(file.read()).sections["images"]


@pytest.mark.skipif(not PROGRAM, reason="chromium is not installed")
@pytest.mark.slow
def test_a_browser_shows_the_page(furnished: CommandLine, tmp_path: Path) -> None:
    """It complains of nothing, asks the network for nothing, fits a phone, sorts, filters, and follows the keys."""
    page_of(furnished, tmp_path, "--check")

    with Browser() as browser:
        for width, scheme, paper in ((390, "dark", "rgb(20, 23, 27)"), (1280, "light", "rgb(255, 255, 255)")):
            browser.look(width, 844, scheme)
            browser.open(str(tmp_path / "page.html"))
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == paper
        names = "[...document.querySelectorAll('#images tbody tr')].filter(r => !r.hidden).map(r => r.innerText).join()"
        text = browser.evaluate("document.body.innerText")
        assert "example.org/app:1" in text
        assert "x</script><img src=x onerror=alert(2)>" in text
        head = "document.querySelector('#images th button')"
        assert browser.evaluate(f"{head}.click(); {names}").startswith("example.org/app:1")
        assert browser.evaluate(f"{head}.click(); {names}").startswith("x</script>")
        box = "box.value = 'BASE'; box.dispatchEvent(new Event('input'));"
        assert browser.evaluate(f"{box} {names}").startswith("example.org/base:1")
        caption = "document.querySelector('.treemap + .caption').textContent"
        key = "document.querySelector('.treemap').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}));"
        first, second = browser.evaluate(f"{key} {caption}"), browser.evaluate(f"{key} {caption}")
        assert "%" in first
        assert first != second
        assert browser.told == []
