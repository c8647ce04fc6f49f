"""--sort, --filter, --columns and --no-trunc of images, containers and layers."""

from __future__ import annotations

import hashlib
import json
import re
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from cstore.cli.output.listing import Shown, _summary, _table
from cstore.cli.output.rows import print_rows
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine

SMALL, LARGE = make_tar(regular("file", b"12345")), make_tar(regular("file", bytes(50_000)))
CONFIG = json.dumps({"config": {"Labels": {"tier": "front", "x": ""}}, "rootfs": {"diff_ids": []}}).encode()
LABELED = hashlib.sha256(CONFIG).hexdigest()
UNUSED = "e" * 64


@pytest.fixture
def repair(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A small layer and a large one above; images app of both, base of the first, one without a name; two containers.

    Image `app` has labels; layer e… belongs to nobody.
    """
    for name, data in (("small", SMALL), ("large", LARGE), ("config", CONFIG)):
        (tmp_path / name).write_bytes(data)
    cli("import-layer", "-i", "l1", "-n", "bottom", "-f", str(tmp_path / "small")).ok()
    cli("import-layer", "-i", "l2", "-f", str(tmp_path / "large"), "l1").ok()
    cli("create-layer", "-i", UNUSED, "-n", "spare").ok()
    cli("create-image", "-i", "base", "-n", "docker.io/library/base:1.0", "l1").ok()
    cli("create-image", "-i", LABELED, "-n", "quay.io/shop/app:2.0", "l2").ok()
    cli("set-image-data", "-f", str(tmp_path / "config"), LABELED, f"sha256:{LABELED}").ok()
    cli("create-image", "-i", "nameless").ok()
    cli("create-container", "-i", "c1", "-n", "web-1", "base").ok()
    cli("create-container", "-i", "c2", "-n", "db", LABELED).ok()
    return cli


ALL_IMAGES = ["base", LABELED, "nameless"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["dangling=true"], ["nameless"]),
        (["dangling=false"], ["base", LABELED]),
        (["reference=base"], ["base"]),
        (["reference=shop/app"], [LABELED]),
        (["reference=app:2*"], [LABELED]),
        (["reference=quay.io/*"], [LABELED]),
        (["reference=app:1*"], []),
        (["reference=base", "reference=*app*"], ["base", LABELED]),
        (["reference=base", "dangling=true"], []),
        (["before=quay.io/shop/app:2.0"], ["base"]),
        (["since=base:1.0"], [LABELED, "nameless"]),
        ([f"id={LABELED[:6]}"], [LABELED]),
        (["label=tier"], [LABELED]),
        (["label=tier=front"], [LABELED]),
        (["label=tier=back"], []),
        (["label=tier", "label=none"], []),
        (["readonly=true"], []),
        (["readonly=false"], ALL_IMAGES),
        (["containers=true"], ["base", LABELED]),
        (["containers=false"], ["nameless"]),
    ],
    ids=" ".join,
)
def test_images_are_filtered_by_podmans_keys(repair: CommandLine, filters: list[str], found: list[str]) -> None:
    """Values of one key are alternatives, labels aside; different keys must all fit."""
    words = [word for text in filters for word in ("--filter", text)]

    assert repair("images", "--quiet", *words).ok().lines == found


@pytest.mark.parametrize(
    ("command", "text", "found"),
    [
        ("containers", "name=^web", ["c1"]),
        ("containers", "name=b", ["c1", "c2"]),
        ("containers", "id=c2", ["c2"]),
        ("containers", "ancestor=base", ["c1", "c2"]),
        ("containers", "ancestor=app:2.0", ["c2"]),
        ("containers", "before=db", ["c1"]),
        ("containers", "since=web-1", ["c2"]),
        ("layers", "name=bot", ["l1"]),
        ("layers", "id=eee", [UNUSED]),
        ("layers", "parent=bottom", ["l2", "c1's" ]),
        ("layers", "used=false", [UNUSED]),
    ],
)  # fmt: skip
def test_containers_and_layers_are_filtered(repair: CommandLine, command: str, text: str, found: list[str]) -> None:
    """An ancestor is the container's image, or one that this was built on; a layer is used if an item needs it."""
    own = repair("container", "-j", "c1").ok().json[0]["layer"]
    expected = [own if each == "c1's" else each for each in found]

    assert repair(command, "--quiet", "--filter", text).ok().lines == expected


def test_lists_are_sorted(repair: CommandLine) -> None:
    """By several columns, upward or downward; what has no value comes last either way."""
    assert repair("images", "-q", "--sort", "-size").ok().lines == [LABELED, "base", "nameless"]
    assert repair("images", "-q", "--sort", "size").ok().lines == ["nameless", "base", LABELED]
    assert repair("images", "-q", "--sort", "name").ok().lines == ["base", LABELED, "nameless"]
    assert repair("images", "-q", "--sort", "-names").ok().lines == [LABELED, "base", "nameless"]
    assert repair("images", "-q", "--sort", "-used-by,-created").ok().lines == [LABELED, "base", "nameless"]
    assert repair("containers", "-q", "--sort", "-created").ok().lines == ["c2", "c1"]
    sizes = repair("layers", "--sort", "-size", "--columns", "size").ok().lines
    assert sizes == [str(len(LARGE)), str(len(SMALL)), "-", "-", "-"]


def test_columns_are_lines_in_a_pipe(repair: CommandLine) -> None:
    """With tabs between them, times as recorded; `unique` is what goes with the image alone."""
    told = repair("images", "--columns", "name,id,size,unique,layers,used-by", "--sort", "id").ok().lines
    by_id = {line.split("\t")[1]: line.split("\t") for line in told}

    assert by_id["base"] == ["docker.io/library/base:1.0", "base", str(len(SMALL)), "0", "1", "web-1"]
    whole, own = len(SMALL) + len(LARGE) + len(CONFIG), len(LARGE) + len(CONFIG)
    assert by_id[LABELED][2:] == [str(whole), str(own), "2", "db"]
    (created,) = repair("images", "--columns", "created", "--filter", "id=base").ok().lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", created)


def test_columns_are_keys_in_json(repair: CommandLine) -> None:
    """An object for each item; texts stay lists."""
    told = repair("images", "--json", "--columns", "names,size,used-by", "--filter", "reference=base").ok().json

    assert told == [{"names": ["docker.io/library/base:1.0"], "size": len(SMALL), "used_by": ["web-1"]}]


def test_a_name_cannot_break_a_line(cli: CommandLine) -> None:
    """Tabs and newlines of names are spelled out, in a pipe too."""
    cli("create-layer", "-i", "l1", "-n", "a\tb\nc").ok()

    assert cli("layers", "--columns", "names,id").ok().lines == ["a\\tb\\nc\tl1"]


def test_filtered_lists_keep_their_shape(repair: CommandLine) -> None:
    """Plain lines and JSON are those of the whole list, with fewer items in them."""
    assert repair("images", "--filter", "id=base").ok().lines == ["base", "\tname: docker.io/library/base:1.0"]
    whole: list[Any] = repair("images", "--json").ok().json
    assert repair("images", "--json", "--filter", "id=base").ok().json == [
        each for each in whole if each["id"] == "base"
    ]
    assert repair("images", "--json", "--filter", "id=zzz").ok().json is None


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["images", "--filter", "size=1"], "reference, dangling, before, since"),
        (["containers", "--filter", "dangling=true"], "name, id, ancestor"),
        (["layers", "--sort", "-unique"], "names, id, parent, size"),
        (["images", "--columns", "id,repository"], "names, id, layers, size, unique"),
        (["images", "--filter", "dangling"], "dangling=VALUE"),
        (["images", "--filter", "dangling=perhaps"], "neither true nor false"),
        (["containers", "--filter", "name=("], "not a regular expression"),
        (["images", "-q", "--columns", "id"], "contradict"),
        (["layers", "--tree", "--sort", "id"], "omit one of them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_a_usage_mistake(repair: CommandLine, words: list[str], named: str) -> None:
    """Exit 2, nothing on standard output, and what there is to choose from."""
    told = repair(*words)

    assert (told.code, told.out) == (2, "")
    assert named in told.err


def test_a_filter_by_an_unknown_image_is_an_error(repair: CommandLine) -> None:
    """It is named."""
    told = repair("images", "--filter", "before=nothing")

    assert (told.code, told.out) == (1, "")
    assert "nothing" in told.err


def test_a_table_shows_ids_in_full_on_request(repair: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns, unique sizes and users fit; --no-trunc leaves nothing out, however wide it is."""
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    monkeypatch.setenv("COLUMNS", "80")

    def table(*words: str) -> list[str]:
        return re.sub(r"\x1b\[[0-9;]*m", "", repair(*words).ok().out).splitlines()

    short = table("images")
    assert short[0].split() == ["NAMES", "ID", "SIZE", "UNIQUE", "CREATED", "USED", "BY"]
    assert max(map(len, short)) <= 80
    assert any(LABELED[:12] in line and "db" in line for line in short)
    assert not any(LABELED in line for line in short)
    assert any(re.search(rf"quay.io/shop/app:2.0 +{LABELED} ", line) for line in table("images", "--no-trunc"))
    digests = table("layers", "--columns", "names,digest", "--filter", "id=l1")
    assert digests[0].split() == ["NAMES", "DIGEST"]
    assert digests[1].split() == ["bottom", "sha256:" + hashlib.sha256(SMALL).hexdigest()[:12]]


@pytest.mark.parametrize("width", [60, 80, 100, 130, 250])
def test_many_rows_look_like_a_few(width: int) -> None:
    """They are written in another way, which is fast, and to the same effect."""
    cells = [
        {
            "names": Shown(tuple(f"e.com/{'x' * (7 * row % 60)}é漢:v{name}" for name in range(row % 3)), "bold", True),
            "id": Shown((f"{row:012x}",), "cyan"),
            "layers": Shown((str(row * 7),)),
            "size": Shown(("1.2 GB" if row % 2 else "3 B",)),
            "used-by": Shown(tuple(f"box{holder}" for holder in range(row % 4)), "", True),
        }
        for row in range(40)
    ]

    def printed(*, at_once: bool) -> list[str]:
        out = Console(file=StringIO(), width=width, force_terminal=False, highlight=False, markup=False)
        if at_once:
            assert print_rows(out, _table([*cells[0]], _summary(cells)), [[*row.values()] for row in cells])
        else:
            out.print(_table([*cells[0]], cells))
        assert isinstance(out.file, StringIO)
        return out.file.getvalue().splitlines()

    assert printed(at_once=True) == printed(at_once=False)


@pytest.mark.parametrize(("columns", "titles"), [("20", "NAMES ID"), ("0", "NAMES ID"), ("40", "NAMES ID LAYERS")])
def test_a_narrow_terminal_gets_names_and_ids(
    repair: CommandLine, monkeypatch: pytest.MonkeyPatch, columns: str, titles: str
) -> None:
    """Columns that have no room are left out, the first ones stay; no width is too small to show anything."""
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    monkeypatch.setenv("COLUMNS", columns)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in repair("images").ok().lines]

    assert lines[0].split() == titles.split()
    assert any(LABELED[:12] in line for line in lines)
