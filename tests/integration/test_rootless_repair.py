"""An ordinary user checks and repairs: planning sees the store as the real run does, inside the user's namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import directory, make_tar, node, regular
from tests.conftest import find_peer
from tests.users import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Finished
    from tests.users import User

ARCHIVE = make_tar(
    directory("etc"), directory("dev"),
    regular("etc/config", b"text", uid=7, gid=8),
    regular("etc/shadow", b"secret", mode=0o000, uid=0, gid=42),
    node("dev/null", b"3", (1, 3)),
)  # fmt: skip


@pytest.fixture(scope="module")
def owner() -> Iterator[User]:
    """A user with sub-IDs."""
    with ordinary_user(ranges=True) as found:
        yield found


@pytest.fixture(params=["overlay", "vfs"])
def user(request: pytest.FixtureRequest, owner: User) -> Iterator[User]:
    """The same with a store in which one layer is."""
    driver = str(request.param)
    os.makedirs(os.path.join(owner.home, ".config/containers"), exist_ok=True)
    owner.write(".config/containers/storage.conf", f'[storage]\ndriver = "{driver}"\n'.encode())
    made = owner.cstore("import-layer", "--id", "base", "-f", owner.write("a.tar", ARCHIVE))
    if made.code and driver == "overlay":
        pytest.skip(f"no overlay for users here: {made.stderr.strip()}")
    made.ok()
    yield owner
    shutil.rmtree(os.path.join(owner.home, ".local"), ignore_errors=True)
    shutil.rmtree(f"/tmp/storage-run-{owner.uid}", ignore_errors=True)


def _tree(user: User, layer: str = "base") -> str:
    places = f"{user.graph}/overlay/{layer}/diff", f"{user.graph}/vfs/dir/{layer}"
    return next(path for path in places if os.path.isdir(path))


def _steps(steps: list[Any]) -> list[tuple[str, list[str]]]:
    return [(step["action"], step["parts"]) for step in steps]


def _planned(told: Finished) -> list[tuple[str, list[str]]]:
    return _steps(json.loads(told.stdout)["plans"][0]["steps"])


def test_a_sound_store_is_sound_for_its_user(user: User) -> None:
    """Owners are those of the namespace, and a device that nobody could make there is no damage."""
    user.cstore("check").ok()
    assert _planned(user.cstore("repair", "--dry-run", "--json").ok()) == []
    user.cstore("gc", "--dry-run").ok()
    assert user.cstore("repair", "--yes").ok().lines == ["nothing needs repair"]


def test_the_dry_run_plans_what_is_done(user: User) -> None:
    """The same steps, and nothing is left to do."""
    os.chmod(os.path.join(_tree(user), "etc/config"), 0o600)

    planned = user.cstore("repair", "--dry-run", "--json")
    done = user.cstore("repair", "--yes", "--json").ok()

    assert _planned(planned) == [("set-attributes", ["etc/config"])]
    assert _steps(json.loads(done.stdout)["done"]) == _planned(planned)
    user.cstore("repair", "--dry-run").ok()


def test_a_layer_made_anew_is_made_once(user: User) -> None:
    """A device that cannot be made here does not make the layer damaged again, and the quarantine does not grow."""
    os.unlink(os.path.join(_tree(user), "etc/config"))
    source = os.path.join(user.home, "a.tar")

    user.cstore("repair", "--yes", "--from", source).ok()
    again = json.loads(user.cstore("repair", "--yes", "--from", source, "--json").ok().stdout)

    assert (again["done"], again["case"]) == ([], "")
    assert len(json.loads(user.cstore("repair", "--list", "--json").ok().stdout)) == 1
    user.cstore("check").ok()


FEW, MANY = 20, 320
"""Files of two layers."""
EACH = 25
"""How many system calls a file may cost: about twice of what a repair needs, which reads and compares it."""


@pytest.mark.parametrize("words", [("check",), ("repair", "--dry-run"), ("gc", "--dry-run")], ids=" ".join)
def test_the_work_grows_with_the_files_and_not_faster(user: User, words: tuple[str, ...], tmp_path: Path) -> None:
    """Even when all modes of a layer are wrong: the namespace is entered once, and a file costs a few calls."""
    strace = find_peer("strace")
    calls: dict[int, int] = {}
    programs: dict[int, int] = {}
    for count in (FEW, MANY):
        archive = make_tar(directory("d"), *(regular(f"d/{number}", b"x", mode=0o640) for number in range(count)))
        user.cstore("import-layer", "--id", f"of{count}", "-f", user.write("many.tar", archive)).ok()
        user.cstore("unshare", "sh", "-c", f"chmod 600 {_tree(user, f'of{count}')}/d/*").ok()
        trace = str(tmp_path / "trace")
        traced = [strace, "-f", "-qq", "-u", user.name, "-o", trace, "-e", "trace=%file,%desc,%process"]
        subprocess.run(
            [*traced, *user.program, *words], cwd=user.home, env=user.environment, capture_output=True, check=False
        )
        with open(trace, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if "resumed>" not in line]
        calls[count], programs[count] = len(lines), sum("execve(" in line for line in lines)
        user.cstore("delete-layer", f"of{count}").ok()

    assert programs[FEW] == programs[MANY]
    assert calls[MANY] - calls[FEW] < EACH * (MANY - FEW)
