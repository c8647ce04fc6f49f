"""Variables in paths, and plain paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.config.environment import expand, plain_path

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {"HOME": "/home/u", "UID": "environment", "A_1": "a", "1": "one", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "result", "unset"),
    [
        ("/srv/$UID/x", "/srv/77/x", []),
        ("/srv/$UIDX", "/srv/77X", []),
        ("/srv/${UID}", "/srv/environment", []),
        ("$HOME/x", "/home/u/x", []),
        ("${HOME}x", "/home/ux", []),
        ("$HOMEx/y", "/y", ["HOMEx"]),
        ("/a/$A_1-b", "/a/a-b", []),
        ("/a/$1a", "/a/onea", []),
        ("/a${NOPE}/${NOPE2}b", "/a/b", ["NOPE", "NOPE2"]),
        ("/a${}b", "/ab", []),
        ("/a${b", "/ab", []),
        ("/a$", "/a$", []),
        ("/a$/b", "/a$/b", []),
        ("$EMPTY/b", "/b", []),
        ("~/x", "~/x", []),
        ("", "", []),
    ],
)
def test_variables(text: str, result: str, unset: list[str]) -> None:
    """`$UID` is the user, names are variables, what is not set is nothing and is told, and there is no tilde."""
    assert expand(text, VARIABLES, 77) == (result, unset)


def test_plain_path_resolves_what_exists(tmp_path: Path) -> None:
    """A path that exists loses its links; one that does not is only tidied, links and all."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    base = str(tmp_path.resolve())

    assert plain_path(f"{base}/link") == f"{base}/real"
    assert plain_path(f"{base}/link/./absent//x/..") == f"{base}/link/absent"
    assert plain_path(f"/{base}/absent") == f"{base}/absent"


def test_plain_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is seen from the working directory."""
    monkeypatch.chdir(tmp_path)

    assert plain_path("g") == str(tmp_path.resolve() / "g")
