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


def in_namespace(
    files: dict[str, str | None], uid: int, env: dict[str, str], *words: str, before: str = ""
) -> tuple[int, str, str]:
    """Run cstore where only `files` configure anything; return its exit status and both streams.

    A file that is None is a directory; a text that begins with `->` is a symbolic link. `before` is shell that root
    runs first; there `cstore` is the program.
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
    program = f"{shlex.quote(sys.executable)} -m cstore"
    script += [f'cstore() {{ {program} "$@"; }}', before, f"exec {user}{program} {shlex.join(words)}"]
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
    assert f"ignored: {DROP_IN}/a.conf: it is a symbolic link" in said
    assert f"ignored: {DROP_IN}/b.conf: it is a directory" in said


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
        "/var/lib/containers/storage is not your directory" in in_namespace(files, _USER, {}, "config", "--sources")[1]
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


APPENDED = "[storage.options]\nadditionalimagestores=['/srv/a2', {append=true}]\n"
FIRST = "[storage]\ndriver='vfs'\n[storage.options]\nadditionalimagestores=['/srv/a1']\n"


@pytest.mark.parametrize(
    ("files", "uid", "env", "wanted"),
    [
        ({ETC: FIRST, f"{DROP_IN}/a.conf": APPENDED}, 0, {}, ["imagestore=/srv/a1", "imagestore=/srv/a2"]),
        ({ETC: FIRST, f"{DROP_IN}/a.conf": APPENDED.replace("true", "false")}, 0, {}, ["imagestore=/srv/a2"]),
        ({ETC: APPENDED}, 0, {}, ["imagestore=/srv/a2"]),
        ({ETC: FIRST, f"{DROP_IN}/a.conf": "[storage.options]\nadditionalimagestores=[]\n"}, 0, {}, None),
        (
            {"/srv/c.conf": FIRST, "/srv/o.conf": APPENDED, ETC: "broken"}, 0,
            {"CONTAINERS_STORAGE_CONF": "/srv/c.conf", "CONTAINERS_STORAGE_CONF_OVERRIDE": "/srv/o.conf"},
            ["imagestore=/srv/a1", "imagestore=/srv/a2"],
        ),
        (
            {ETC: FIRST, "/etc/containers/storage.rootless.conf.d/1000/z.conf": APPENDED,
             "/etc/containers/storage.rootless.conf.d/1001/z.conf": "broken"}, _USER, {},
            ["imagestore=/srv/a1", "imagestore=/srv/a2"],
        ),
        ({ETC: FIRST, "/etc/containers/storage.rootless.conf.d/z.conf": "broken"}, 0, {}, ["imagestore=/srv/a1"]),
        (
            {ETC.replace("/etc", "/usr/share"): FIRST, "/home/user/.config/containers/storage.conf.d/z.conf": APPENDED},
            _USER, {}, ["imagestore=/srv/a1", "imagestore=/srv/a2"],
        ),
        ({ETC: FIRST, f"{DROP_IN}/10.conf": APPENDED, f"{DROP_IN}/9.conf": APPENDED.replace("true", "false")}, 0, {},
         ["imagestore=/srv/a2"]),
        ({ETC: FIRST, f"{DROP_IN}/a.CONF": "broken", f"{DROP_IN}/a.conf~": "broken"}, 0, {}, ["imagestore=/srv/a1"]),
    ],
)  # fmt: skip
def test_drop_ins_append_and_replace(
    files: dict[str, str | None], uid: int, env: dict[str, str], wanted: list[str] | None
) -> None:
    """An array that says so is added to what stands so far, wherever it stands; any other takes its place."""
    usable = "chmod 777 /srv/a1 /srv/a2"  # for a user, directories in which no store can be are refused
    code, out, err = in_namespace(files, uid, env, "config", before=usable)

    assert code == 0, err
    assert json.loads(out).get("driver-options") == wanted


def test_a_file_for_the_end_that_is_missing_is_named_with_its_variable() -> None:
    """It is fatal, and the way out is that variable."""
    code, _, err = in_namespace({}, 0, {"CONTAINERS_STORAGE_CONF_OVERRIDE": "/srv/no.conf"}, "config")

    assert (code, "/srv/no.conf" in err, "CONTAINERS_STORAGE_CONF_OVERRIDE" in err) == (1, True, True)


def test_a_store_of_another_driver_decides_as_well() -> None:
    """Where generations differ in the driver only, the store that exists is used; of two, commands that write tell."""
    files: dict[str, str | None] = {
        ETC: "[storage]\ndriver='vfs'\ngraphroot='/srv/g'\n",
        f"{DROP_IN}/a.conf": "[storage]\ndriver='overlay'\n",
        f"/srv/g/{RECORDS}": "[]",
    }
    assert json.loads(in_namespace(files, 0, {}, "config")[1])["driver"] == "vfs"

    files["/srv/g/overlay-images/images.json"] = "[]"
    assert json.loads(in_namespace(files, 0, {}, "config")[1])["driver"] == "overlay"
    said = in_namespace(files, 0, {}, "config", "--sources")[1]
    assert "there are two stores: /srv/g (overlay), which the newest tools use, and /srv/g (vfs)" in said
    assert f"{DROP_IN}/a.conf, line 2" in said


def test_a_drop_in_of_the_system_does_not_lock_a_user_out() -> None:
    """A root that only root can use is passed over, also where it stands beside a main file of the user's own."""
    files: dict[str, str | None] = {
        f"{DROP_IN}/a.conf": "[storage]\ngraphroot='/srv/g'\n",
        "/home/user/.config/containers/storage.conf": "[storage]\ndriver='vfs'\n",
    }
    code, out, err = in_namespace(files, _USER, {}, "config")

    assert (code, err, json.loads(out)["root"]) == (0, "", "/home/user/.local/share/containers/storage")


def test_sources_name_variables_options_and_defaults() -> None:
    """Every value has an origin: an option, a variable, a file, or the default."""
    files: dict[str, str | None] = {ETC: "[storage]\ndriver='overlay'\ngraphroot='/srv/g'\n"}
    env = {"STORAGE_DRIVER": "vfs", "STORAGE_OPTS": "vfs.sync=none"}
    said = in_namespace(files, 0, env, "--graph", "/srv/x", "config", "--sources")[1]

    assert f'storage.driver = "vfs"  (STORAGE_DRIVER)\n    overrides "overlay"  ({ETC}, line 2)\n' in said
    assert f'storage.graphroot = "/srv/x"  (--graph)\n    overrides "/srv/g"  ({ETC}, line 3)\n' in said
    assert 'storage.runroot = "/run/containers/storage"  (the default)\n' in said
    assert 'driver options = "vfs.sync=none", and none of the files  (STORAGE_OPTS)\n' in said


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (f"chmod 600 {DROP_IN}/a.conf", f"{DROP_IN}/a.conf: cannot be read: Permission denied"),
        (f"chmod 700 {DROP_IN}", f"{DROP_IN}: cannot be listed: Permission denied"),
        (f"printf '\\377\\n' > {DROP_IN}/a.conf", f"{DROP_IN}/a.conf, line 1: is not UTF-8 text"),
    ],
)
def test_a_drop_in_that_cannot_be_read_is_fatal(before: str, reason: str) -> None:
    """Whatever a drop-in would have said, nothing is done without it."""
    files: dict[str, str | None] = {f"{DROP_IN}/a.conf": "[storage]\n"}
    code, out, err = in_namespace(files, _USER, {}, "layers", before=before)

    assert (code, out) == (1, "")
    assert reason in err


def test_other_drivers_options_and_sync_stop_nobody() -> None:
    """Options of another driver are passed over; sync is known to overlay and vfs; an unknown prefix is refused."""
    text = "[storage]\ndriver='vfs'\n[storage.options.btrfs]\nsize='50M'\n[storage.options.vfs]\nsync='none'\n"
    files: dict[str, str | None] = {ETC: text}

    assert in_namespace(files, 0, {}, "--storage-opt", "overlay.sync=filesystem", "layers") == (0, "", "")
    code, _, err = in_namespace(files, 0, {}, "--storage-opt", "vfs.sync=often", "layers")
    assert (code, "'often' is neither" in err) == (1, True)
    code, _, err = in_namespace(files, 0, {}, "--storage-opt", "bogus.size=1g", "layers")
    assert (code, "'bogus.size' does not begin with the name of a driver" in err) == (1, True)


def test_set_writes_a_drop_in_and_leaves_the_main_file_alone() -> None:
    """`config set` prints the file that it wrote, readable for all; tools without drop-ins are told of."""
    files: dict[str, str | None] = {ETC: "# mine\n[storage]\ndriver='vfs'\n"}
    code, out, err = in_namespace(files, 0, {}, "config", "set", "driver", "overlay")
    assert (code, out) == (0, f"{DROP_IN}/50-cstore.conf\n")
    assert "--main" in err

    before = f"cstore config set driver overlay; stat -c %a {DROP_IN}/*; cat {ETC}"
    out = in_namespace(files, 0, {}, "config", before=before)[1]
    assert "644\n# mine\n[storage]\ndriver='vfs'\n" in out
    assert json.loads(out.splitlines()[-1])["driver"] == "overlay"

    out = in_namespace(files, 0, {}, "config", before=f"cstore config set --main driver overlay; cat {ETC}")[1]
    assert '# mine\n[storage]\ndriver = "overlay"\n' in out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("imagestore", "/srv/g"), "the image store must be another directory than the graph root"),
        (("imagestore", "images"), "'images' is not an absolute path"),
        (("overlay.sync", "often"), "'often' is neither"),
        (("drivr", "vfs"), "did you mean storage.driver?"),
    ],
)
def test_set_writes_nothing_that_would_stop_the_store(words: tuple[str, str], reason: str) -> None:
    """The whole configuration is checked as it would be; a wrong value leaves no file behind."""
    files: dict[str, str | None] = {ETC: "[storage]\ngraphroot='/srv/g'\n"}
    before = f"cstore config set {shlex.join(words)} && exit 9; test ! -e {DROP_IN}"
    code, _, err = in_namespace(files, 0, {}, "config", before=before)

    assert code == 0
    assert reason in err


def test_set_says_where_a_value_does_not_count() -> None:
    """A later file that has the key wins, and a file that the environment names is the one that is changed."""
    files: dict[str, str | None] = {f"{DROP_IN}/60-x.conf": "[storage]\ndriver='vfs'\n", "/srv/c.conf": "[storage]\n"}
    err = in_namespace(files, 0, {}, "config", "set", "driver", "overlay")[2]
    assert f"50-cstore.conf does not determine storage.driver, which comes from {DROP_IN}/60-x.conf, line 2" in err

    out = in_namespace(files, 0, {"CONTAINERS_STORAGE_CONF": "/srv/c.conf"}, "config", "set", "driver", "vfs")[1]
    assert out == "/srv/c.conf\n"


def test_init_explain_and_check() -> None:
    """`init` writes comments only and no second time; `check` fails for a file that has anything odd."""
    files: dict[str, str | None] = {"/srv/odd.conf": "[storage]\ngrafroot='/x'\n", "/srv/good.conf": "[storage]\n"}
    code, _, err = in_namespace(files, 0, {}, "config", "init", before=f"cstore config init; cat {DROP_IN}/*")
    assert (code, "exists already" in err) == (1, True)
    out = in_namespace(files, 0, {}, "config", before="cstore config init")[1]
    assert "driver" not in json.loads(out.splitlines()[-1])

    out = in_namespace(files, 0, {}, "config", "explain", "overlay.sync")[1]
    assert "since: 1.62" in out
    assert "source: the default" in out
    assert in_namespace(files, 0, {}, "config", "check", "/srv/good.conf") == (0, "", "")
    code, _, err = in_namespace(files, 0, {}, "config", "check", "/srv/odd.conf")
    assert (code, "line 2: storage.grafroot: unknown key" in err) == (1, True)
