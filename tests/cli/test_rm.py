"""rm and prune: what goes is said before, frees what was said, and breaks nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.conftest import unplaced
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots


def contents(roots: StoreRoots) -> int:
    """The bytes of trees, tar-splits and data items, as du counts them."""
    split = [f"{roots.graph}/vfs-layers/{name}" for name in os.listdir(f"{roots.graph}/vfs-layers")]
    data = [f"{roots.graph}/vfs-{kind}s/{n}" for kind in ("image", "container") for n in _names(roots, kind)]
    paths = [f"{roots.graph}/vfs/dir", *(path for path in split if path.endswith(".gz")), *filter(os.path.isdir, data)]
    done = subprocess.run(["du", "-cs", "--block-size=1", *paths], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1].split()[0])


def _names(roots: StoreRoots, kind: str) -> list[str]:
    folder = f"{roots.graph}/vfs-{kind}s"
    return os.listdir(folder) if os.path.isdir(folder) else []


@pytest.fixture
def furnished(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """Layers base and app, on top of it; an image of each; a container of the second one."""
    for name, size, parent in (("base", 40_000, []), ("app", 90_000, ["base"]), ("spare", 7000, [])):
        archive = tmp_path / f"{name}.tar"
        archive.write_bytes(make_tar(regular(name, b"x" * size)))
        cli("import-layer", "-n", f"{name}-layer", "-f", str(archive), *parent and ["base-layer"]).ok()
    cli("create-image", "-n", "base", "base-layer").ok()
    cli("create-image", "-n", "app", "app-layer").ok()
    cli("set-image-data", "-f", str(tmp_path / "spare.tar"), "app", "data").ok()
    cli("create-container", "-n", "web", "app").ok()
    return cli


def everything(cli: CommandLine) -> tuple[str, ...]:
    """All items of a store."""
    return tuple(cli(kind, "-j").ok().out for kind in ("layers", "images", "containers"))


@pytest.mark.parametrize(
    "words", [("web",), ("--force", "app"), ("web", "app"), ("spare-layer",), ("app", "base", "web"), ("web", "web")]
)
def test_what_a_dry_run_says_is_what_happens(
    furnished: CommandLine, store_roots: StoreRoots, words: tuple[str, ...]
) -> None:
    """The same lines, and exactly the bytes; df --freed-by says the same of what nothing holds."""
    before, bytes_before = everything(furnished), contents(store_roots)
    planned = furnished("rm", "--dry-run", *words).ok()
    assert (everything(furnished), contents(store_roots)) == (before, bytes_before)
    freed = planned.lines[-1].split("\t")[2]
    if "--force" not in words:
        assert furnished("df", "--freed-by", *words).ok().lines == [freed]

    done = furnished("rm", *words).ok()

    assert done.lines == planned.lines
    assert bytes_before - contents(store_roots) == int(freed) > 0
    assert furnished("check").ok().out == ""


@pytest.mark.parametrize(
    ("words", "reason", "remedy"),
    [
        (("app",), "(web) was made from it", "cstore delete-container web"),
        (("--kind", "layer", "base-layer"), "is the parent of", "delete "),
        (("app-layer",), "is the parent of", "delete "),
        (("base", "app"), "is used by container", "cstore delete-container web"),
    ],
)
def test_what_is_held_stays_and_so_does_all_else(
    furnished: CommandLine, words: tuple[str, ...], reason: str, remedy: str
) -> None:
    """Nothing is deleted; the error says what holds it, and how to let go."""
    before = everything(furnished)
    told = furnished("rm", *words)

    assert told.code == 1
    assert reason in told.err
    assert remedy in unplaced(told.err)
    assert told.lines == ["total\t-\t0\t"]
    assert everything(furnished) == before


def test_the_tool_that_made_a_container_is_named(furnished: CommandLine) -> None:
    """It has records of its own, which only its own command removes."""
    furnished("set-metadata", "-m", '{"image-name":"x","created-at":1}', "web").ok()

    for words in (["--dry-run"], ["--yes"]):
        told = furnished("rm", *words, "web").ok()
        assert "container web is known to Podman, too, until you run: podman rm web" in unplaced(told.err)


def test_unknown_items_stop_it(furnished: CommandLine) -> None:
    """One that is not known is an error, and nothing is deleted."""
    before = everything(furnished)

    assert furnished("rm", "web", "nothing").code == 1
    assert everything(furnished) == before


def test_json(furnished: CommandLine) -> None:
    """What goes, with what, how much is free, and what is refused."""
    planned = furnished("rm", "-j", "--dry-run", "--force", "app").ok().json
    refused = furnished("rm", "-j", "--dry-run", "app")

    assert planned["version"] == 1
    assert planned["dry_run"] is True
    assert [each["kind"] for each in planned["items"]] == ["container", "layer", "image", "layer"]
    assert planned["freed"] == sum(each["disk"] for each in planned["items"])
    assert refused.code == 1
    assert unplaced(refused.json["refused"][0]["remedy"]).endswith("cstore delete-container web")


def test_damaged_records_stop_it(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """Nobody can tell then what needs what."""
    with open(f"{store_roots.graph}/vfs-containers/containers.json", "wb") as file:
        file.write(b"[{")
    for line in ("rm --kind image base", "rm --dry-run app", "prune -a", "df --freed-by base"):
        told = furnished(*line.split())
        assert told.code == 1
        assert "containers.json" in told.err
    assert {image["names"][0] for image in furnished("images", "-j").ok().json} == {"base", "app"}


@pytest.fixture
def mounted(cli_on: Callable[[str], CommandLine], tmp_path: Path) -> Iterator[CommandLine]:
    """An overlay store with an image that is mounted, and a container that somebody lives in."""
    if os.geteuid() != 0:
        pytest.skip("needs root: overlay is mounted")
    run = cli_on("overlay")
    run("create-layer", "-i", "base").ok()
    run("create-layer", "-i", "top", "base").ok()
    run("create-image", "-n", "img", "top").ok()
    run("create-image", "-n", "shown", "base").ok()
    run("create-container", "-n", "web", "img").ok()
    yield run
    detach_all(str(tmp_path))


def test_a_container_that_runs_goes_by_force_if_it_is_named(mounted: CommandLine) -> None:
    """Without force it is refused, with the process; the plan that is shown is what is done."""
    point = mounted("mount", "web").ok().lines[0]
    with subprocess.Popen(["sleep", "60"], cwd=point) as process:
        try:
            refused = mounted("rm", "web")
            planned = mounted("rm", "--dry-run", "--force", "web", "img").ok().lines
            done = mounted("rm", "--force", "web", "img").ok().lines
        finally:
            process.kill()

    assert (refused.code, f"process {process.pid} (sleep) runs in it" in refused.err) == (1, True)
    assert [line.split("\t")[0] for line in done][:2] == ["container", "layer"]
    assert [line.split("\t")[:2] for line in done] == [line.split("\t")[:2] for line in planned]
    assert mounted("containers", "-q").ok().lines == []
    assert mounted("check").code == 0


def test_a_container_that_runs_is_not_taken_along(mounted: CommandLine) -> None:
    """By an image, even by force: the process is named; when it has ended, all goes."""
    point = mounted("mount", "web").ok().lines[0]
    with subprocess.Popen(["sleep", "60"], cwd=point) as process:
        try:
            told = mounted("rm", "--force", "img")
        finally:
            process.kill()

    assert told.code == 1
    assert f"process {process.pid} (sleep) runs in it" in told.err
    assert mounted("rm", "--force", "img").ok().lines[0].startswith("container\t")
    assert [image["names"] for image in mounted("images", "-j").ok().json] == [["shown"]]


def test_a_mounted_image_is_in_use(mounted: CommandLine) -> None:
    """Rm refuses it, and prune does not choose it."""
    mounted("mount", "-r", "shown").ok()
    told = mounted("rm", "shown")

    assert told.code == 1
    assert "is mounted at" in told.err
    assert "cstore unmount shown" in unplaced(told.err)
    assert mounted("prune", "--unused").ok().lines == ["total\t-\t0\t"]


# ── prune ──


@pytest.fixture
def aged(cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> CommandLine:
    """Images of one layer each, app:1 to app:5, made a day apart; one without a name; tool, of which a container is."""
    for number in range(1, 6):
        archive = tmp_path / f"{number}.tar"
        archive.write_bytes(make_tar(regular("f", b"x" * 20_000 * number)))
        cli("import-layer", "-i", f"l{number}", "-f", str(archive)).ok()
        cli("create-image", "-i", f"i{number}", "-n", f"localhost/app:{number}", f"l{number}").ok()
    for name in ("tool", "none"):
        cli("create-layer", "-i", name).ok()
        cli("create-image", "-i", f"{name}-image", *(["-n", "tool:1"] if name == "tool" else []), name).ok()
    cli("create-container", "-n", "web", "tool:1").ok()
    path = f"{store_roots.graph}/vfs-images/images.json"
    with open(path, encoding="utf-8") as file:
        records = json.load(file)
    for record in records:
        if record["id"] in {f"i{number}" for number in range(6)}:
            record["created"] = f"2026-01-0{record['id'][1]}T00:00:00Z"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(records, file)
    return cli


def images_going(cli: CommandLine, *words: str) -> list[str]:
    """The images that a dry run would delete, in order."""
    items = cli("prune", "--dry-run", "-j", *words).ok().json["items"]
    return [each["id"] for each in items if each["kind"] == "image"]


@pytest.mark.parametrize(
    ("words", "going"),
    [
        ((), ["none-image"]),
        (("--dangling",), ["none-image"]),
        (("--unused",), ["i1", "i2", "i3", "i4", "i5", "none-image"]),
        (("--keep-last", "2"), ["i1", "i2", "i3", "none-image"]),
        (("--keep-last", "2", "--dangling"), ["none-image"]),
        (("--keep", "app:1", "--keep", "localhost/app:[45]"), ["i2", "i3", "none-image"]),
        (("--keep", "app"), ["none-image"]),
        (("--older-than", "1d"), ["i1", "i2", "i3", "i4", "i5"]),
        (("--older-than", "5200w"), []),
    ],
)
def test_rules_choose_images(aged: CommandLine, words: tuple[str, ...], going: list[str]) -> None:
    """Never the one that a container came from."""
    assert images_going(aged, *words) == going


def test_what_nobody_has_read_for_long_may_go(aged: CommandLine, store_roots: StoreRoots) -> None:
    """The last reading of a config counts, a day longer with relatime; of an image without one, nothing is known."""
    now, day = time.time(), 86_400
    for image, days in (("i1", 10), ("i2", 40), ("i3", 30.5), ("i4", 60)):
        aged("set-image-data", "-f", os.devnull, image, "config").ok()
        path = os.path.join(store_roots.graph, "vfs-images", image, "config")
        os.utime(path, (now - days * day, now - 90 * day))
    relatime = os.statvfs(store_roots.graph).f_flag & os.ST_RELATIME

    assert images_going(aged, "--unused-for", "30d") == (["i4", "i2"] if relatime else ["i4", "i2", "i3"])
    assert images_going(aged, "--unused-for", "1d") == ["i4", "i2", "i3", "i1"]  # looking has left no trace


@pytest.mark.usefixtures("needs_root")
def test_where_nobody_notes_when_files_are_read(aged: CommandLine, store_roots: StoreRoots) -> None:
    """Then nobody can tell when an image was last used, and the rule is refused."""
    subprocess.run(["mount", "--bind", store_roots.graph, store_roots.graph], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,noatime", store_roots.graph], check=True)
        aged("set-image-data", "-f", os.devnull, "i1", "config").ok()
        told = aged("prune", "--unused-for", "30d")
    finally:
        detach_all(store_roots.graph)

    assert (told.code, told.out) == (1, "")
    assert "is mounted with noatime (choose by age instead: --older-than)" in told.err


def test_a_budget_takes_the_oldest_first(aged: CommandLine, store_roots: StoreRoots) -> None:
    """As few as it takes; the next run has nothing to do."""
    done = aged("prune", "--max-size", "220k", "-j").ok().json

    assert [each["id"] for each in done["items"] if each["kind"] == "image"] == ["i1", "i2", "i3"]
    assert images_going(aged, "--max-size", "220k") == []
    lines = aged("df", "-vj").ok().json["lines"]
    assert sum(line["disk"] for line in lines if line["kind"] in {"layer", "image", "data"}) <= 220 * 1024
    assert os.path.isdir(store_roots.tree("l4"))


def test_a_budget_that_cannot_be_met(aged: CommandLine) -> None:
    """All goes that may, and the exit status says that it was not enough."""
    told = aged("prune", "--free", "1024p")

    assert told.code == 1
    assert "the budget is missed by" in told.err
    assert [image["id"] for image in aged("images", "-j").ok().json] == ["tool-image"]


def test_what_prune_says_it_does(aged: CommandLine, store_roots: StoreRoots) -> None:
    """The dry run's bytes are those that are free afterwards."""
    before = contents(store_roots)
    planned = aged("prune", "--dry-run", "--unused").ok().lines
    done = aged("prune", "--unused", "--yes").ok().lines

    assert done == planned
    assert before - contents(store_roots) == int(done[-1].split("\t")[2]) > 0


def test_an_image_that_others_were_built_on_stays(cli: CommandLine) -> None:
    """It has no name, but it is the cache of a build; without the image above, it goes as well."""
    cli("create-layer", "-i", "below").ok()
    cli("create-layer", "-i", "above", "below").ok()
    cli("create-image", "-i", "result", "-n", "result", "above").ok()  # no younger than the other, whatever the second
    cli("create-image", "-i", "step", "below").ok()

    assert images_going(cli) == []
    assert images_going(cli, "--unused") == ["result", "step"]


@pytest.mark.parametrize(
    "words",
    [("--older-than", "soon"), ("--older-than", "-3h"), ("--keep-last", "two"), ("--max-size", "big"), ("--free", "-1"),
     ("--dangling", "--unused"), ("--unused-for", "long")],
)  # fmt: skip
def test_rules_that_make_no_sense(cli: CommandLine, words: tuple[str, ...]) -> None:
    """A sentence, and nothing is done."""
    told = cli("prune", *words)

    assert told.code in {1, 2}
    assert told.err.count("\n") == 1


def test_no_store(cli: CommandLine, store_roots: StoreRoots) -> None:
    """There is nothing to prune, and no store is made."""
    assert cli("prune", "-a").ok().lines == ["total\t-\t0\t"]
    assert cli("rm", "x").code == 1
    assert not os.path.exists(store_roots.graph)
    assert json.loads(cli("prune", "-j").ok().out)["freed"] == 0


# ── kept for some days ──


def test_what_is_kept_comes_back(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """Gone from the lists, whole in quarantine, nothing freed; and brought back, all is as it was."""
    before = {kind: furnished(kind, "-j").ok().json for kind in ("layers", "images", "containers")}
    planned = furnished("rm", "--dry-run", "--force", "app").ok().lines

    told = furnished("rm", "--force", "--keep", "7", "app").ok()

    assert told.lines[:-1] == planned[:-1]
    assert told.lines[-1] == "total\t-\t0\t"
    assert [image["names"] for image in furnished("images", "-j").ok().json] == [["base"]]
    assert furnished("containers").ok().out == ""
    assert furnished("check").ok().out == ""
    assert furnished("gc", "--dry-run").ok().out == ""
    case = told.err.rpartition("--undo ")[2].strip()
    furnished("repair", "--yes", "--undo", case).ok()
    after = {kind: furnished(kind, "-j").ok().json for kind in before}
    for kind, records in before.items():
        assert sorted(after[kind], key=str) == sorted(records, key=str), kind
    assert furnished("check").ok().out == ""


def test_when_the_days_are_over_gc_deletes_it(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """Without being told an age; what repairs took out stays."""
    furnished("rm", "--keep", "0", "spare-layer").ok()
    furnished("rm", "--keep", "1", "web").ok()
    os.makedirs(store_roots.tree("mine"))
    furnished("gc", "--foreign", "--yes").ok()
    left = os.listdir(f"{store_roots.graph}/cstore-quarantine")

    assert "lock" in left
    listed = furnished("repair", "--list", "-j").ok().json
    assert [case["by"] for case in listed] == ["cstore rm --keep 1", "cstore gc --foreign"]


@pytest.mark.parametrize("days", ["soon", "-1", "1.5", "99999999"])
def test_days_that_are_none(furnished: CommandLine, days: str) -> None:
    """A sentence, and nothing is deleted."""
    before = everything(furnished)

    assert furnished("rm", "--keep", days, "web").code == 1
    assert everything(furnished) == before


def test_what_is_in_use_is_not_kept_aside(mounted: CommandLine) -> None:
    """The same rules as for deleting."""
    assert mounted("rm", "--keep", "3", "img").code == 1
    assert len(mounted("images", "-j").ok().json) == 2


# ── a policy file ──


def test_a_policy_gives_the_rules(aged: CommandLine, tmp_path: Path) -> None:
    """As the options of the same names; an option on the command line goes before."""
    policy = tmp_path / "prune.toml"
    policy.write_text('older-than = "1d"\nkeep = ["app:1", "app:2"]\nkeep-last = 1\n')

    assert images_going(aged, "--policy", str(policy)) == ["i3", "i4"]
    assert images_going(aged, "--policy", str(policy), "--keep-last", "2") == ["i3"]
    policy.write_text('keep = "app"\nunused = true\n')
    assert images_going(aged, "--policy", str(policy)) == ["none-image"]


@pytest.mark.parametrize("text", ["older = 3", "keep-last = [1]", "unused = 1", "[broken", "max-size = 'big'", "\xff"])
def test_a_policy_that_makes_no_sense(aged: CommandLine, tmp_path: Path, text: str) -> None:
    """A sentence that names the file or the rule, and nothing is deleted."""
    policy = tmp_path / "prune.toml"
    policy.write_bytes(text.encode("latin-1"))
    told = aged("prune", "--policy", str(policy))

    assert told.code == 1
    assert told.err.count("\n") == 1
    assert len(aged("images", "-j").ok().json) == 7
    assert aged("prune", "--policy", str(tmp_path / "absent")).code == 1
