"""Who runs cstore, and where an ordinary user's store lives."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from cstore.config.options import Overrides
from cstore.config.rootless import Process, current_process, rootless_identity
from cstore.errors import ConfigError
from tests.unit.config.settings_files import ROOT, USER, USER_ID

if TYPE_CHECKING:
    from tests.unit.config.settings_files import Machine

ROOT_PROCESS = Process(uid=0, euid=0, gid=0, admin=True, whole_map=True)
USER_PROCESS = Process(uid=1000, euid=1000, gid=100, admin=False, whole_map=True)


class TestIdentity:
    """On whose behalf cstore runs."""

    @pytest.mark.parametrize(
        ("process", "environ", "rootless", "per_user", "uid"),
        [
            (ROOT_PROCESS, {}, False, False, 0),
            (USER_PROCESS, {}, True, True, 1000),
            (USER_PROCESS.with_(euid=0, admin=True), {}, False, False, 1000),
            (ROOT_PROCESS.with_(admin=False), {}, True, False, 0),
            (ROOT_PROCESS.with_(whole_map=False), {}, True, False, 0),
            (ROOT_PROCESS, {"_CONTAINERS_USERNS_CONFIGURED": "done"}, True, False, 0),
            (ROOT_PROCESS, {"_CONTAINERS_USERNS_CONFIGURED": ""}, False, False, 0),
            (ROOT_PROCESS, {"_CONTAINERS_ROOTLESS_UID": "1000"}, True, True, 1000),
            (ROOT_PROCESS.with_(whole_map=False), {"_CONTAINERS_ROOTLESS_UID": "7"}, True, True, 7),
            (ROOT_PROCESS, {"_CONTAINERS_ROOTLESS_UID": ""}, False, False, 0),
        ],
    )
    def test_mode(self, process: Process, environ: dict[str, str], rootless: bool, per_user: bool, uid: int) -> None:
        """Root of the whole machine, an ordinary user, and root of a namespace are told apart."""
        found = rootless_identity(environ, process)

        assert (found.rootless, found.per_user, found.uid) == (rootless, per_user, uid)
        assert found.seen_uid == process.uid

    def test_variables_must_be_numbers(self) -> None:
        """A variable that makes no sense is named."""
        for name in ("_CONTAINERS_ROOTLESS_UID", "_CONTAINERS_ROOTLESS_GID"):
            with pytest.raises(ConfigError, match=name):
                rootless_identity({name: "me"}, ROOT_PROCESS)

    def test_kernel_is_asked_by_default(self) -> None:
        """The process that runs this test is described truthfully."""
        process = current_process()

        assert (process.uid, process.euid, process.gid) == (os.getuid(), os.geteuid(), os.getgid())
        assert rootless_identity({}).uid == os.getuid()


class TestRoots:
    """Where the roots are when no file names them."""

    def test_example_of_the_specification(self, machine: Machine) -> None:
        """No files at all: the runtime directory and the data directory below home."""
        config = machine.load(machine.user(), USER)

        assert config.run_root == f"{machine.root}/runtime/containers"
        assert config.graph_root == f"{machine.root}/home/.local/share/containers/storage"
        assert config.rootless_storage_path == ""
        assert config.pull_options is None
        assert config.userns_owner == "u"

    def test_data_directory(self, machine: Machine) -> None:
        """XDG_DATA_HOME moves the graph root, unless it is empty."""
        config = machine.load(machine.user(XDG_DATA_HOME="/data"), USER)
        assert config.graph_root == "/data/containers/storage"
        assert "/home/.local/share" in machine.load(machine.user(XDG_DATA_HOME=""), USER).graph_root

    def test_path_for_users_in_the_system_file(self, machine: Machine) -> None:
        """rootless_storage_path is for users, and is expanded for each of them; root never gets it (C6)."""
        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\nrootless_storage_path='/srv/$UID/$USER'\n")

        assert machine.load(machine.user(), USER).graph_root == f"/srv/{USER_ID}/u"
        root = machine.load(machine.system(USER="root"))
        assert root.graph_root == os.path.realpath("/var/lib/containers/storage")
        assert root.rootless_storage_path == "/srv/0/root"

    def test_a_user_inherits_the_system_file_whole(self, machine: Machine) -> None:
        """A user without a file gets all of the system's, roots that they can use among it, as from 1.61 on."""
        machine.write(
            "etc/storage.conf",
            f"[storage]\ndriver='overlay'\ngraphroot='{machine.root}/g'\nrunroot='/dev/null/r'\nimagestore='/sys/i'\n"
            "transient_store=true\n[storage.options]\nmountopt='nodev'\nroot-auto-userns-user='x'\n"
            "[storage.options.pull_options]\na='b'\n[storage.options.cstore]\nsync=false\nlock_timeout='3s'\n",
        )

        config = machine.load(machine.user(), USER)

        assert config.graph_root == f"{machine.root}/g"
        assert config.run_root == f"{machine.root}/runtime/containers"
        assert "/dev/null/r is not your directory" in config.notes[0]
        assert (config.image_store, config.transient_store, config.root_auto_userns_user) == ("/sys/i", True, "x")
        assert (config.driver, config.driver_options) == ("overlay", ("mountopt=nodev",))
        assert config.pull_options == {"a": "b"}
        assert (config.sync, config.lock_timeout) == (False, 3.0)

    def test_path_for_users_is_beaten_by_the_graph_root(self, machine: Machine) -> None:
        """rootless_storage_path beside a graphroot is ignored with a warning."""
        text = f"[storage]\ndriver='vfs'\nrootless_storage_path='/a'\ngraphroot='{machine.root}/g'\n"
        machine.write("etc/storage.conf", text)
        config = machine.load(machine.user(), USER)

        assert config.graph_root == f"{machine.root}/g"
        assert "line 3: storage.rootless_storage_path: ignored" in config.warnings[0]

    def test_additional_store_that_is_none_is_refused(self, machine: Machine) -> None:
        """A user cannot make a store where the administrator's list names one, so it must be there."""
        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\noptions.additionalimagestores=['/absent']\n")

        with pytest.raises(ConfigError, match="/absent: No such file"):
            machine.load(machine.user(), USER)

    def test_runtime_directory_must_exist(self, machine: Machine) -> None:
        """XDG_RUNTIME_DIR that names nothing is an error; a link is followed."""
        (machine.root / "link").symlink_to("runtime")
        environ = machine.user(XDG_RUNTIME_DIR=str(machine.root / "link"))
        assert machine.load(environ, USER).run_root == f"{machine.root}/runtime/containers"

        with pytest.raises(ConfigError, match="XDG_RUNTIME_DIR: /absent is not a directory"):
            machine.load(machine.user(XDG_RUNTIME_DIR="/absent"), USER)

    def test_runtime_directory_does_not_matter_with_a_run_root(self, machine: Machine) -> None:
        """What is not needed is not judged (C5)."""
        environ = machine.user(XDG_RUNTIME_DIR="/absent")

        assert machine.load(environ, USER, overrides=Overrides(run_root="/r")).run_root == "/r"

    def test_usual_runtime_directory(self, machine: Machine) -> None:
        """Without the variable it is the user's own directory among those of all users, if it is safe."""
        usual = machine.root / "run/user" / str(USER_ID)
        usual.mkdir(parents=True, mode=0o700)
        environ = machine.user(XDG_RUNTIME_DIR="")
        assert machine.load(environ, USER).run_root == f"{usual}/containers"

        usual.chmod(0o770)
        assert machine.load(environ, USER).run_root == f"{machine.root}/tmp/storage-run-{USER_ID}/containers"

    def test_runtime_directory_of_somebody_else_is_not_used(self, machine: Machine) -> None:
        """Ownership counts, and a link is not the user's directory."""
        usual = machine.root / "run/user" / str(USER_ID)
        usual.mkdir(parents=True, mode=0o700)
        environ = machine.user(XDG_RUNTIME_DIR="")
        stranger = USER.with_(seen_uid=USER.seen_uid + 1)
        assert "/tmp/storage-run-" in machine.load(environ, stranger).run_root

        usual.rename(machine.root / "own")
        usual.symlink_to(machine.root / "own")
        assert "/tmp/storage-run-" in machine.load(environ, USER).run_root

    def test_runtime_directory_that_the_user_may_create(self, machine: Machine) -> None:
        """It is named, not made; where it cannot be made, the temporary directory stands in."""
        parent = machine.root / "run/user"
        parent.mkdir(parents=True)
        environ = machine.user(XDG_RUNTIME_DIR="", TMPDIR=str(machine.root / "own-tmp"))

        assert machine.load(environ, USER).run_root == f"{parent}/{USER_ID}/containers"
        assert list(parent.iterdir()) == []
        stranger = USER.with_(seen_uid=USER.seen_uid + 1)
        assert machine.load(environ, stranger).run_root == f"{machine.root}/own-tmp/storage-run-{USER_ID}/containers"

    def test_last_resort_must_be_safe(self, machine: Machine) -> None:
        """A directory in the temporary directory that others can write to is refused, not trusted."""
        last = machine.root / "tmp" / f"storage-run-{USER_ID}"
        last.mkdir(parents=True)
        last.chmod(0o777)

        with pytest.raises(ConfigError, match="other users can write to it"):
            machine.load(machine.user(XDG_RUNTIME_DIR=""), USER)

    def test_home_comes_from_the_user_database(self, machine: Machine) -> None:
        """Without HOME the database is asked, and a user unknown to both is told so."""
        environ = machine.user(HOME="")
        owner = USER.with_(uid=os.getuid())
        home = pwd.getpwuid(os.getuid()).pw_dir
        if os.path.exists(os.path.join(home, ".config/containers/storage.conf")):
            pytest.skip(f"{home} has a storage.conf of its own")
        assert machine.load(environ, owner).graph_root.startswith(os.path.realpath(home))

        with pytest.raises(ConfigError, match="HOME: is not set, and user 4000000000 has no entry"):
            machine.load(environ, USER.with_(uid=4000000000))


class TestUserFile:
    """A user's own file replaces the system's."""

    def test_it_counts_alone(self, machine: Machine) -> None:
        """Found below XDG_CONFIG_HOME or home; the system's file gives nothing beside it."""
        machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n[storage.options.pull_options]\na='b'\n")
        path = machine.write("home/.config/containers/storage.conf", "[storage]\ndriver='vfs'\n")
        config = machine.load(machine.user(), USER)
        assert (config.driver, config.source, config.pull_options) == ("vfs", path, None)

        other = machine.write("xdg/containers/storage.conf", "[storage]\ndriver='btrfs'\n")
        config = machine.load(machine.user(XDG_CONFIG_HOME=str(machine.root / "xdg")), USER)
        assert (config.driver, config.source) == ("btrfs", other)

    def test_empty_directory_variable_gives_a_relative_path(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """XDG_CONFIG_HOME that is set and empty names the working directory, as in the Go library."""
        machine.write("containers/storage.conf", "[storage]\ndriver='vfs'\n")
        monkeypatch.chdir(machine.root)

        assert machine.load(machine.user(XDG_CONFIG_HOME=""), USER).source == "containers/storage.conf"

    def test_missing_roots_fall_back(self, machine: Machine) -> None:
        """Its own path for users first, then the data directory; main files are never merged with each other."""
        machine.write("etc/storage.conf", "[storage]\nrootless_storage_path='/sys/u'\n")
        machine.write("home/.config/containers/storage.conf", "[storage]\ndriver='vfs'\n")
        assert machine.load(machine.user(), USER).graph_root.startswith(f"{machine.root}/home/.local")

        machine.write(
            "home/.config/containers/storage.conf", "[storage]\ndriver='vfs'\nrootless_storage_path='$HOME/own'\n"
        )
        assert machine.load(machine.user(), USER).graph_root == f"{machine.root}/home/own"

    def test_broken_system_file_does_not_matter_to_users_with_their_own(self, machine: Machine) -> None:
        """A file that cannot matter is not read (C5)."""
        machine.write("etc/storage.conf", "broken")
        machine.write("home/.config/containers/storage.conf", "[storage]\ndriver='vfs'\ngraphroot='/u/g'\n")
        assert machine.load(machine.user(), USER).graph_root == "/u/g"

        machine.write("home/.config/containers/storage.conf", "[storage]\ndriver='vfs'\n")
        assert machine.load(machine.user(), USER, overrides=Overrides(graph_root="/o/g")).graph_root == "/o/g"
        assert machine.load(machine.user(), USER).driver == "vfs"

    def test_broken_user_file_is_fatal(self, machine: Machine) -> None:
        """It never stands for an empty configuration (C5)."""
        path = machine.write("home/.config/containers/storage.conf", "[storage]\ndriver=\n")

        with pytest.raises(ConfigError) as caught:
            machine.load(machine.user(), USER)

        assert (caught.value.source, caught.value.line) == (path, 2)

    def test_root_of_a_namespace_uses_the_system_file(self, machine: Machine) -> None:
        """User 0 in a foreign namespace is rootless, and yet has the system's paths."""
        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\ngraphroot='/sys/g'\nrunroot='/sys/r'\n")

        config = machine.load(machine.system(USER="me"), ROOT.with_(rootless=True))

        assert config.graph_root == "/sys/g"
        assert config.userns_owner == "me"


class TestDriver:
    """The driver of a user who has not named one."""

    def test_order(self, machine: Machine) -> None:
        """Flag, environment, the files, and if none of them says anything, the store that is there."""
        graph = machine.root / "home/.local/share/containers/storage"
        graph.mkdir(parents=True)
        assert machine.load(machine.user(), USER).driver == ""
        (graph / "vfs-images").mkdir()
        assert machine.load(machine.user(), USER).driver == "vfs"
        (graph / "overlay-images").mkdir()
        assert machine.load(machine.user(), USER).driver == ""

        machine.write("etc/storage.conf", "[storage]\ndriver='overlay2'\n")
        config = machine.load(machine.user(), USER)
        assert config.driver == "overlay"
        assert "overlay2 is called overlay now" in config.warnings[0]
        environ = machine.user(STORAGE_DRIVER="vfs")
        assert machine.load(environ, USER).driver == "vfs"
        assert machine.load(environ, USER, overrides=Overrides(driver="aufs")).driver == "aufs"

    def test_options_of_the_environment(self, machine: Machine) -> None:
        """STORAGE_OPTS counts without a file, too."""
        assert machine.load(machine.user(STORAGE_OPTS="a=b,c=d"), USER).driver_options == ("a=b", "c=d")
