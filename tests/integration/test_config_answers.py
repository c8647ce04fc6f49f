"""cstore comes to the settings that the Go tool 1.63 comes to, on the same files, as root and as a user.

Each case runs in a mount namespace of its own, in which the directories of configuration and the homes are empty.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import ROOT

with open(os.path.join(ROOT, "tests", "data", "config", "answers-1.63.json"), encoding="utf-8") as _file:
    CASES: list[dict[str, Any]] = json.load(_file)

_EMPTY = ("/etc/containers", "/usr/share/containers", "/srv", "/home", "/run/user", "/var/lib/containers")
_USER = 1000

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="mounts need root, users need setpriv"
)


def in_namespace(files: dict[str, str | None], uid: int, env: dict[str, str], *words: str) -> tuple[int, str, str]:
    """Run cstore where only `files` configure anything; return its exit status and both streams.

    A file that is None is a directory; a text that begins with `->` is a symbolic link.
    """
    home = "/home/user" if uid else "/home/user/root"
    script = [f"mkdir -p {path} && mount -t tmpfs -o mode=755 none {path}" for path in _EMPTY]
    script += [
        f"install -d -o {_USER} -g {_USER} /home/user /run/user/{_USER}",
        "mkdir -p /home/user/root /srv/a1 /srv/a2",
    ]
    for path, text in files.items():
        script.append(f"mkdir -p {shlex.quote(os.path.dirname(path) if text is not None else path)}")
        if text is not None and text.startswith("->"):
            script.append(f"ln -s {shlex.quote(text[2:])} {shlex.quote(path)}")
        elif text is not None:
            script.append(f"printf %s {shlex.quote(text)} > {shlex.quote(path)}")
    script += [f"chown -R {_USER}:{_USER} /home/user", "cd /"]
    user = f"setpriv --reuid {_USER} --regid {_USER} --clear-groups " if uid else ""
    script.append(f"exec {user}{shlex.quote(sys.executable)} -m cstore {shlex.join(words)}")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", "\n".join(script)]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, "LC_ALL": "C.UTF-8", "HOME": home, **env}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_the_same_settings_as_the_go_tool(case: dict[str, Any]) -> None:
    """The exit status and the printed JSON are those of the Go tool."""
    code, out, err = in_namespace(case["files"], case["uid"], case["env"], *case["before"], "config", *case["after"])

    assert code == case["rc"], err
    assert (json.loads(out) if out else None) == case["config"]


DROP_IN, ETC = "/etc/containers/storage.conf.d", "/etc/containers/storage.conf"


def test_links_and_directories_are_no_drop_ins() -> None:
    """A link or a directory among the drop-ins changes nothing, and `--sources` names it."""
    files = {ETC: "[storage]\ndriver='vfs'\n", f"{DROP_IN}/a.conf": "->/srv/x.conf", f"{DROP_IN}/b.conf": None}
    files["/srv/x.conf"] = "[storage]\ndriver='overlay'\n"

    assert json.loads(in_namespace(files, 0, {}, "config")[1])["driver"] == "vfs"
    said = in_namespace(files, 0, {}, "config", "--sources")[1]
    assert f"passed over: {DROP_IN}/a.conf: it is a symbolic link" in said
    assert f"passed over: {DROP_IN}/b.conf: it is a directory" in said


def test_a_later_directory_replaces_a_drop_in_of_the_same_name() -> None:
    """All drop-ins are read by name; of one name only that of the later directory."""
    files: dict[str, str | None] = {
        "/usr/share/containers/storage.conf.d/50-a.conf": "[storage]\ndriver='vfs'\ntransient_store=true\n",
        f"{DROP_IN}/50-a.conf": "[storage]\ndriver='overlay'\n",
    }
    view = json.loads(in_namespace(files, 0, {}, "config")[1])

    assert (view["driver"], "transient_store" in view) == ("overlay", False)


def test_a_broken_drop_in_is_named_with_its_line() -> None:
    """A drop-in that is no TOML stops every command, with file and line."""
    code, _, err = in_namespace({f"{DROP_IN}/a.conf": "[storage]\ndriver = vfs\n"}, 0, {}, "layers")

    assert code == 1
    assert f"{DROP_IN}/a.conf, line 2" in err


def test_sources_name_file_and_line_and_what_was_overridden() -> None:
    """`config --sources` shows where a value comes from, and the value that it replaced."""
    files: dict[str, str | None] = {
        ETC: "[storage]\n\ndriver='vfs'\n",
        f"{DROP_IN}/a.conf": "# mine\n[storage]\ndriver='overlay'\n",
    }
    said = in_namespace(files, 0, {}, "config", "--sources")[1]

    assert f'storage.driver = "overlay"  ({DROP_IN}/a.conf, line 3)\n    overrides "vfs"  ({ETC}, line 3)\n' in said


def test_the_file_that_debian_ships_makes_no_noise_for_a_user() -> None:
    """Roots of root are passed over without a word for a user who cannot use them; `--sources` tells."""
    shipped = (
        "[storage]\ndriver='overlay'\nrunroot='/run/containers/storage'\ngraphroot='/var/lib/containers/storage'\n"
    )
    files: dict[str, str | None] = {"/usr/share/containers/storage.conf": shipped}

    code, out, err = in_namespace(files, _USER, {}, "config")

    assert (code, err) == (0, "")
    assert json.loads(out)["root"] == "/home/user/.local/share/containers/storage"
    assert (
        "/var/lib/containers/storage is no directory of yours"
        in in_namespace(files, _USER, {}, "config", "--sources")[1]
    )


RECORDS = "vfs-layers/layers.json"


def test_the_store_that_exists_is_used_where_generations_differ() -> None:
    """Older tools know no drop-ins: where theirs is the only store, it is used."""
    files: dict[str, str | None] = {
        ETC: "[storage]\ndriver='vfs'\ngraphroot='/srv/old'\n",
        f"{DROP_IN}/a.conf": "[storage]\ngraphroot='/srv/new'\n",
    }
    assert json.loads(in_namespace(files, 0, {}, "config")[1])["root"] == "/srv/new"

    files[f"/srv/old/{RECORDS}"] = "[]"
    assert json.loads(in_namespace(files, 0, {}, "config")[1])["root"] == "/srv/old"

    files[f"/srv/new/{RECORDS}"] = "[]"
    code, out, err = in_namespace(files, 0, {}, "config")
    assert (code, json.loads(out)["root"], err) == (0, "/srv/new", "")
    said = in_namespace(files, 0, {}, "create-layer")[2]
    assert "/srv/new" in said
    assert "/srv/old" in said


def test_the_option_names_a_file_as_the_variable_does() -> None:
    """`--config FILE` stands in for main files and drop-ins."""
    files: dict[str, str | None] = {f"{DROP_IN}/a.conf": "broken", "/srv/c.conf": "[storage]\ndriver='vfs'\n"}
    code, out, _ = in_namespace(files, 0, {}, "--config", "/srv/c.conf", "config")

    assert (code, json.loads(out)["driver"]) == (0, "vfs")
