"""An ordinary user with no configuration at all: every command, the places where things are, and what is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, node, regular, symlink, whiteout
from tests.conftest import unplaced
from tests.users import COUNT, ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Finished
    from tests.users import User

BASE = make_tar(
    directory("./"),
    directory("etc"),
    regular("etc/config", b"text", uid=7, gid=8),
    regular("etc/suid", b"x", mode=0o4755, uid=1000, gid=1000),
    directory("old"),
    regular("old/file"),
    regular("gone"),
    symlink("link", "etc/config"),
)
NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")
ABOVE = make_tar(whiteout("gone"), directory("old"), regular("old/.wh..wh..opq"), regular("old/new", b"new", uid=9))
DRIVERS = ("overlay", "vfs")


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with sub-IDs."""
    with ordinary_user(ranges=True) as found:
        yield found


@pytest.fixture(scope="module")
def poor_user() -> Iterator[User]:
    """A user without."""
    with ordinary_user(ranges=False) as found:
        yield found


@pytest.fixture(autouse=True)
def _empty_home(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take away what a test left in a home."""
    yield
    for name in ("user", "poor_user"):
        if name in request.fixturenames:
            found: User = request.getfixturevalue(name)
            shutil.rmtree(os.path.join(found.home, ".local"), ignore_errors=True)
            shutil.rmtree(f"/tmp/storage-run-{found.uid}", ignore_errors=True)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, user: User) -> str:
    """Both drivers; overlay only where this kernel mounts it for users, and here."""
    facts = dict(line.split(": ", 1) for line in user.cstore("status").ok().stderr.splitlines())
    if request.param == "overlay" and facts["Driver Name"] != "overlay":
        pytest.skip(f"overlay is not for ordinary users here: {facts}")
    return str(request.param)


def below(user: User, name: str = ".local") -> list[str]:
    """What is in the user's home."""
    walked = os.walk(os.path.join(user.home, name))
    return [os.path.join(at, each) for at, directories, files in walked for each in (*directories, *files)]


def test_answers_in_a_store_of_ones_own(user: User, driver: str) -> None:
    """Where the bytes are, who holds what, whose a path is, and what goes: without root, and to the byte."""
    archive = user.write("base.tar", BASE)
    options = ("--storage-driver", driver)
    user.cstore(*options, "import-layer", "--name", "base", "-f", archive).ok()
    user.cstore(*options, "create-image", "--name", "img", "base").ok()
    user.cstore(*options, "create-container", "--name", "web", "img").ok()
    user.cstore(*options, "create-image", "--name", "spare").ok()

    *lines, total = user.cstore(*options, "df", "-v").ok().lines
    du = user.unshared(f"du -sx --block-size=1 {user.graph}").ok().lines[0]
    assert sum(int(line.split("\t")[1]) for line in lines) == int(total.split("\t")[1]) == int(du.split()[0])
    assert "cstore delete-container web" in unplaced(user.cstore(*options, "why", "img").ok().lines[1])
    assert "cannot" not in user.cstore(*options, "whois", f"{user.graph}/{driver}-layers/layers.json").ok().stderr
    process = str(os.getpid())  # root's; of PID 1, an ID may be the beginning
    assert f"/proc/{process}" in user.cstore(*options, "whois", process).stderr
    planned = user.cstore(*options, "rm", "--dry-run", "web", "img").ok().lines
    assert user.cstore(*options, "rm", "web", "img").ok().lines == planned
    assert [line.split("\t")[0] for line in planned[:-1]].count("layer") == 2
    assert user.cstore(*options, "prune", "-a").ok().lines[0].endswith("\tspare")
    assert user.cstore(*options, "layers").ok().lines == []


def test_looking_makes_nothing(user: User) -> None:
    """Not a directory, not a lock, not a namespace."""
    assert user.cstore("layers").ok().output == b""
    assert user.cstore("images").code in {0, 2}
    user.cstore("status").ok()
    assert below(user) == []
    assert not os.path.exists(f"/tmp/storage-run-{user.uid}")


def test_the_places_are_those_of_the_peers(user: User) -> None:
    """Under HOME and XDG_RUNTIME_DIR; without that, under /tmp, for the user alone."""
    facts = user.cstore("status").ok().stderr.splitlines()
    assert f"Root: {user.graph}" in facts
    usual = [f"Run Root: {parent}/containers" for parent in (f"/run/user/{user.uid}", f"/tmp/storage-run-{user.uid}")]
    assert set(usual) & set(facts)
    user.run("mkdir", "-m", "700", "runtime", "data").ok()
    facts = (
        user.cstore("status", XDG_RUNTIME_DIR=f"{user.home}/runtime", XDG_DATA_HOME=f"{user.home}/data")
        .ok()
        .stderr.splitlines()
    )
    assert f"Root: {user.home}/data/containers/storage" in facts
    assert f"Run Root: {user.home}/runtime/containers" in facts

    user.cstore("create-layer", "--name", "one").ok()
    assert os.stat(user.graph).st_uid == user.uid
    assert os.stat(user.graph).st_mode & 0o777 == 0o700


def test_the_life_of_a_layer(user: User, driver: str) -> None:
    """Import, list, build on, look into, change, compare, write out, delete."""
    chosen = ("-s", driver)
    base = user.cstore("import-layer", *chosen, "--name", "base", stdin=BASE).ok().lines[0]
    top = user.cstore("import-layer", *chosen, "--name", "top", "base", stdin=ABOVE).ok().lines[0]
    assert user.cstore("diff", *chosen, "-u", "base").ok().output == BASE
    assert user.cstore("diff", *chosen, "-u", "top").ok().output == ABOVE
    assert user.cstore("changes", *chosen, "top").ok().lines
    user.cstore("create-layer", *chosen, "--name", "work", "top").ok()

    done = user.unshared(
        f"""
        cd "$(cstore mount -s {driver} work)"
        ls; ls old; stat -c '%u:%g %a' etc/config etc/suid old/new
        rm -r old; echo more > added; chown 77:88 added
        cd /; cstore mounted -s {driver} work; cstore unmount -s {driver} work; cstore mounted -s {driver} work
        """
    ).ok()
    assert done.lines == [
        *("etc", "link", "old", "new", "7:8 644", "1000:1000 4755", "9:0 644"),
        *("work mounted", "work mountpoint unmounted"),
    ]
    assert sorted(user.cstore("changes", *chosen, "work").ok().lines) == ['Add "/added"', 'Delete "/old"']
    assert b"added" in user.cstore("diff", *chosen, "work").ok().output
    user.cstore("applydiff", *chosen, "work", stdin=make_tar(regular("applied", uid=3))).ok()
    for layer in ("work", top, base):
        user.cstore("delete-layer", *chosen, layer).ok()
    user.cstore("gc", *chosen).ok()
    assert user.cstore("layers", *chosen).ok().output == b""


def test_files_of_others_belong_to_the_users_sub_ids(user: User, driver: str) -> None:
    """On disk, ID 7 is the seventh of those set aside for the user, and the user's own is root."""
    layer = user.cstore("import-layer", "-s", driver, stdin=BASE).ok().lines[0]
    root = {"overlay": f"overlay/{layer}/diff", "vfs": f"vfs/dir/{layer}"}[driver]
    about = os.stat(os.path.join(user.graph, root, "etc/config"))
    mine = os.stat(os.path.join(user.graph, root, "gone"))

    with open("/etc/subuid", encoding="ascii") as file:
        first = next(int(line.split(":")[1]) for line in file if line.startswith(user.name + ":"))
    assert (about.st_uid, about.st_gid) == (first + 6, first + 7)
    assert (mine.st_uid, mine.st_gid) == (user.uid, user.gid)


def test_devices_are_left_out(user: User, driver: str) -> None:
    """Nobody but root may make them, and yet most images can be used."""
    archive = make_tar(directory("dev"), node("dev/null", b"3", (1, 3)), regular("f"))
    user.cstore("import-layer", "-s", driver, "--name", "it", stdin=archive).ok()
    assert user.unshared(f'cd "$(cstore mount -s {driver} it)"; ls . dev').ok().lines == [".:", "dev", "f", "", "dev:"]
    assert user.cstore("diff", "-s", driver, "-u", "it").ok().output == archive


def test_an_id_that_is_not_set_aside_is_named(user: User, driver: str) -> None:
    """With the path, the file and the line to add; no layer is made."""
    archive = make_tar(regular("ok"), regular("dir/file", uid=COUNT + 100, gid=5))
    failed = user.cstore("import-layer", "-s", driver, stdin=archive)

    assert failed.code == 1
    assert "dir/file" in failed.stderr
    assert f"{COUNT + 100}:5" in failed.stderr
    assert f"add the line {user.name}:" in failed.stderr
    assert ":100 to /etc/subuid" in failed.stderr
    assert "/etc/subgid:" not in failed.stderr
    assert user.cstore("layers", "-s", driver).ok().output == b""
    leftovers = [path for path in below(user) if "temp-dir" in path or "file" in os.path.basename(path)]
    assert leftovers == []


def test_without_ranges_one_owner_is_all(poor_user: User) -> None:
    """Root's files are the user's own; any other owner is refused with the line that the administrator may add."""
    poor_user.cstore("import-layer", "--name", "own", stdin=make_tar(regular("f"))).ok()
    failed = poor_user.cstore("import-layer", stdin=make_tar(regular("dir/file", uid=5)))
    assert failed.code == 1
    assert f"add the line {poor_user.name}:" in failed.stderr
    assert ":65536 to /etc/subuid" in failed.stderr
    done = poor_user.cstore("unshare", "cat", "/proc/self/uid_map").ok()
    assert done.stdout.split() == ["0", str(poor_user.uid), "1"]
    assert "/etc/subuid assigns no IDs to you" in done.stderr
    assert poor_user.cstore("layers", "--quiet").ok().stdout.count("\n") == 1


def _restricted(user: User, *words: str, stdin: bytes = b"") -> Finished:
    """Run a command as a container does under the option no-new-privileges."""
    return user.run("setpriv", "--no-new-privs", *user.program, *words, stdin=stdin)


def test_without_new_privileges_the_cause_is_named(user: User, driver: str) -> None:
    """What needs no other IDs works; what does is refused for the true reason: the lines in /etc/subuid are right."""
    chosen = ("-s", driver)
    own = make_tar(directory("./"), regular("f"), regular("dir/g"))
    _restricted(user, "import-layer", *chosen, "--name", "own", stdin=own).ok()
    assert _restricted(user, "diff", *chosen, "own").ok().output == own
    failed = _restricted(user, "import-layer", *chosen, stdin=make_tar(regular("f", uid=5, gid=6)))

    assert failed.code == 1
    assert "no-new-privileges" in failed.stderr
    assert "UID 5 and GID 6" in failed.stderr
    assert "/etc/sub" not in failed.stderr
    assert "ignore_chown_errors" in failed.stderr
    assert _restricted(user, "check", *chosen).ok().output == b""


def test_without_new_privileges_and_owners_all_is_imported(user: User, driver: str) -> None:
    """Where the user allows it; the tar comes out as it went in, and check is content."""
    options = ("-s", driver, "--storage-opt", f"{driver}.ignore_chown_errors=true")
    _restricted(user, "import-layer", *options, "--name", "it", stdin=BASE).ok()
    assert _restricted(user, "diff", *options, "-u", "it").ok().output == BASE
    assert _restricted(user, "check", *options).ok().output == b""


def test_without_the_right_to_give_capabilities_all_is_imported(poor_user: User) -> None:
    """As in a container that has none: check is content. A capability that only some files lack is damage, though."""
    archive = make_tar(*(regular(name, pax={b"SCHILY.xattr.security.capability": NET_RAW}) for name in ("a", "b")))
    namespace = ("setpriv", "--no-new-privs", "unshare", "--map-root-user")
    confined = ("setpriv", "--bounding-set=-setfcap", "--inh-caps=-setfcap")
    store = ["-s", "vfs", "--graph", poor_user.graph, "--run", os.path.join(poor_user.home, ".local/run")]
    command = [*poor_user.program, "import-layer", *store, "--id"]
    poor_user.run(*namespace, *confined, *command, "without", stdin=archive).ok()
    assert poor_user.run(*namespace, *poor_user.program, "check", *store).ok().output == b""
    assert poor_user.cstore("diff", *store, "-u", "without").ok().output == archive

    poor_user.run(*namespace, *command, "with", stdin=archive).ok()
    os.removexattr(os.path.join(poor_user.graph, "vfs/dir/with/b"), "security.capability")
    damaged = poor_user.run(*namespace, *poor_user.program, "check", *store)
    assert damaged.code == 1
    assert "'/b' has xattr security.capability ''" in damaged.stdout


def test_maps_lead_to_ids_of_the_namespace(user: User, driver: str) -> None:
    """A container's users are some of the user's; others do not exist."""
    chosen = ("-s", driver)
    user.cstore("import-layer", *chosen, "--name", "mapped", "--uidmap", "0:100:2000", stdin=BASE).ok()
    script = f'cd "$(cstore mount -s {driver} mapped)"; stat -c %u:%g etc/config .'
    assert user.unshared(script).ok().lines == ["107:8", "100:0"]
    assert user.cstore("diff", *chosen, "-u", "mapped").ok().output == BASE

    failed = user.cstore("import-layer", *chosen, "--uidmap", "0:100000:2000", stdin=BASE)
    assert failed.code == 1
    assert f"map to UIDs from 0 to {COUNT}" in failed.stderr


def test_images_and_containers(user: User, driver: str) -> None:
    """Made, given data, copied into, changed, measured, deleted."""
    chosen = ("-s", driver)
    user.cstore("import-layer", *chosen, "--name", "base", stdin=BASE).ok()
    user.cstore("create-image", *chosen, "--name", "image", "base").ok()
    maps = ("--uidmap", "0:100:2000", "--gidmap", "0:100:2000")
    user.cstore("create-container", *chosen, "--name", "plain", "image").ok()
    user.cstore("create-container", *chosen, "--name", "mapped", *maps, "image").ok()
    user.write("item", b"some data")
    user.cstore("set-container-data", *chosen, "-f", "item", "plain", "key").ok()
    assert user.cstore("get-container-data", *chosen, "plain", "key").ok().output == b"some data"
    for name, owners in (("plain", "7:8"), ("mapped", "107:108")):
        script = f'stat -c %u:%g "$(cstore mount -s {driver} {name})"/etc/config'
        assert user.unshared(script).ok().lines == [owners]
    user.cstore("copy", *chosen, f"{user.home}/item", "base:/copied").ok()
    user.cstore("copy", *chosen, "base:/copied", f"{user.home}/back").ok()
    assert user.run("cat", "back").ok().output == b"some data"
    user.cstore("delete-container", *chosen, "plain", "mapped").ok()
    user.cstore("delete-image", *chosen, "image").ok()
    assert user.cstore("layers", *chosen).ok().output == b""


def test_a_mount_that_nobody_would_see_is_refused(user: User, driver: str) -> None:
    """It would end with the command; inside `unshare` it stays. Directories of vfs are no mounts."""
    user.cstore("import-layer", "-s", driver, "--name", "base", stdin=BASE).ok()
    done = user.cstore("mount", "-s", driver, "base")
    if driver == "vfs":
        assert os.listdir(done.ok().lines[0])
        return
    assert done.code == 1
    assert "cstore unshare" in done.stderr
    assert user.cstore("mounted", "-s", driver, "base").ok().output == b""
    assert user.cstore("unshare", *user.program, "mount", "base").ok().lines[0].endswith("/merged")


def test_the_python_of_the_readme_needs_a_namespace_and_runs_in_one(user: User) -> None:
    """The hint of the failure outside is the command that works; a root file system has files of several owners."""
    user.write("rootfs.tar.gz", BASE)
    script = user.write(
        "program.py",
        b"from cstore import NewLayer, Overrides, load_config, open_store\n"
        b"store = open_store(load_config(Overrides(graph_root='graph', run_root='run', driver='vfs')))\n"
        b"with open('rootfs.tar.gz', 'rb') as archive:\n"
        b"    print(store.layers.put(NewLayer(names=('base',)), archive.fileno()).names[0])\n",
    )
    python = user.program[0] if len(user.program) > 1 else sys.executable

    outside = user.run(python, script)
    assert "0:0" in outside.stderr
    inside = user.cstore("unshare", python, script)
    assert inside.code == 0, inside.stderr
    assert inside.lines == ["base"]
    user.cstore("--graph", "graph", "--run", "run", "wipe").ok()


def test_a_program_enters_a_namespace_by_itself(user: User) -> None:
    """As the hint of the failure says; entering twice is no error, and with threads it is one that says why."""
    user.write("rootfs.tar.gz", BASE)
    body = (
        b"store = cstore.open_store(graph_root='own', run_root='own-run', driver='vfs')\n"
        b"print(store.layers.put(cstore.NewLayer(names=('base',)), 'rootfs.tar.gz').names[0])\n"
        b"store.wipe()\n"
    )
    enter = b"cstore.enter_user_namespace()\n"
    python = user.program[0] if len(user.program) > 1 else sys.executable
    outside = user.run(python, user.write("outside.py", b"import cstore\n" + body))
    inside = user.run(python, user.write("inside.py", b"import cstore\n" + enter + enter + body))
    threads = b"import threading, time, cstore\nthreading.Thread(target=time.sleep, args=(2,)).start()\n"
    late = user.run(python, user.write("late.py", threads + b"try:\n    " + enter + LATE))

    assert "cstore.errors.contents.EntryFailed" in outside.stderr
    assert (inside.code, inside.lines) == (0, ["base"]), inside.stderr
    assert late.lines == ["it must be entered before any thread is started"]
    user.run("rm", "-rf", "own", "own-run").ok()


LATE = b"except cstore.CstoreError as error:\n    print(error.hint)\n"


def test_a_store_of_vfs_is_not_passed_over_in_silence(user: User) -> None:
    """Podman would choose overlay beside it: so does cstore, and says how to reach the store that is there."""
    user.cstore("import-layer", "-s", "vfs", "--name", "base", stdin=BASE).ok()

    done = user.cstore("status").ok()

    assert "Driver Name: overlay" in done.stderr.splitlines()
    assert "holds a store of vfs" in done.stderr
    assert user.cstore("exists", "-s", "vfs", "base").code == 0
    assert not os.path.exists(os.path.join(user.graph, "overlay"))


def test_wiping_leaves_nothing_of_others(user: User, driver: str) -> None:
    """Files of sub-IDs can only be removed inside, and are."""
    user.cstore("import-layer", "-s", driver, stdin=BASE).ok()
    user.cstore("wipe", "-s", driver).ok()
    user.cstore("shutdown", "-s", driver).ok()
    assert [path for path in below(user) if os.lstat(path).st_uid != user.uid] == []
    user.run("rm", "-r", ".local").ok()


@pytest.mark.peer
def test_buildah_and_podman_share_the_store(user: User) -> None:
    """What Buildah makes, cstore reads in and out of the namespace, and the other way round."""
    buildah = shutil.which("buildah")
    if buildah is None:
        pytest.skip("buildah is not installed")
    facts = user.cstore("status").ok().stderr
    if "Driver Name: overlay" not in facts:
        pytest.skip("overlay is not for ordinary users here")
    user.write("f", b"text")
    script = """
    c=$(buildah --storage-driver overlay from scratch)
    buildah --storage-driver overlay copy -q "$c" f /dir/f
    buildah --storage-driver overlay commit -q "$c" made
    buildah --storage-driver overlay rm "$c"
    """
    made = user.run("sh", "-e", "-c", script)
    if made.code:
        pytest.skip(f"buildah does not work for this user: {made.stderr[-300:]}")
    layer = user.cstore("layers", "--quiet").ok().lines[0]
    assert user.cstore("changes", layer).ok().lines == ['Add "/dir"', 'Add "/dir/f"']
    assert user.unshared(f'cat "$(cstore mount {layer})"/dir/f').ok().stdout == "text"
    theirs = user.run(buildah, "--storage-driver", "overlay", "images", "--quiet").ok()
    assert len(theirs.lines) == 1
    podman = (shutil.which("podman") or "", "--storage-driver", "overlay")
    user.write("containers.conf", b'[engine]\nlock_type="file"\n')  # not all machines let users make shared memory
    conf = f"{user.home}/containers.conf"
    if podman[0] and user.run(*podman, "images", CONTAINERS_CONF=conf).code == 0:
        assert theirs.lines == user.run(*podman, "images", "--quiet", CONTAINERS_CONF=conf).ok().lines
        point = user.run(*podman, "unshare", *user.program, "mount", layer, CONTAINERS_CONF=conf).ok().lines[0]
        assert user.run(*podman, "unshare", "cat", f"{point}/dir/f", CONTAINERS_CONF=conf).ok().stdout == "text"
        user.run(*podman, "unshare", *user.program, "unmount", layer, CONTAINERS_CONF=conf).ok()
    user.cstore("import-layer", "--name", "ours", layer, stdin=ABOVE).ok()
    assert len(user.cstore("layers", "--quiet").ok().lines) == 2
    user.cstore("delete-layer", "ours").ok()
    assert user.run(buildah, "--storage-driver", "overlay", "rmi", "made").code == 0
    assert user.cstore("layers", "--quiet").ok().lines == []


def test_a_user_looks_into_layers_without_a_mount(user: User, driver: str) -> None:
    """Owners are those inside, for the user and for root who looks into the user's store."""
    for name, parent, data in (("base", (), BASE), ("top", ("base",), ABOVE)):
        archive = user.write(f"{name}.tar", data)
        user.cstore("-s", driver, "import-layer", "-i", name, "-f", archive, *parent).ok()
    words = ("-s", driver)

    assert user.cstore(*words, "ls", "top").ok().lines == ["etc", "link", "old"]
    assert user.cstore(*words, "ls", "top:/old").ok().lines == ["new"]
    assert user.cstore(*words, "cat", "top:/link").ok().stdout == "text"
    assert user.cstore(*words, "ls", "-l", "top:/etc/config").ok().lines[0].split()[2:4] == ["7", "8"]
    assert user.cstore(*words, "find", "--setuid", "top").ok().lines == ["/etc/suid"]
    assert {"D /gone", "D /old/file", "A /old/new"} <= set(user.cstore(*words, "compare", "base", "top").ok().lines)
    assert [line[0] for line in user.cstore(*words, "blame", "top:/gone").ok().lines] == ["D", "A"]
    by_root = [sys.executable, "-m", "cstore", "-g", user.graph, "-s", driver, "ls", "-l", "top:/etc/config"]
    shown = subprocess.run(by_root, capture_output=True, check=True, text=True).stdout
    assert shown.split()[2:4] == ["7", "8"]
