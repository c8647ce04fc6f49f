"""Which file counts, and flags over environment over file, field by field."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.config.options import Overrides
from cstore.config.sources import load_config, load_file
from cstore.errors import ConfigError
from cstore.idmap import IDMap, IDRange
from tests.unit.config.settings_files import ROOT, USER

if TYPE_CHECKING:
    from cstore.config.options import StoreConfig
    from tests.unit.config.settings_files import Machine


class TestFiles:
    """Exactly one file gives the settings."""

    def test_no_file_gives_the_built_in_roots(self, machine: Machine) -> None:
        """Nothing configured: the system's roots, no driver, no warning."""
        config = machine.load()

        assert config.graph_root == os.path.realpath("/var/lib/containers/storage")
        assert config.run_root == os.path.realpath("/run/containers/storage")
        assert (config.driver, config.source, config.warnings) == ("", "", ())
        assert (config.sync, config.lock_timeout) == (True, None)

    def test_administrator_file_hides_the_distribution_file(self, machine: Machine) -> None:
        """Files are not merged: what only the distribution's file says is gone."""
        machine.write("share/storage.conf", "[storage]\ndriver='vfs'\ngraphroot='/far/g'\n")
        assert machine.load().graph_root == "/far/g"
        path = machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n")

        config = machine.load()

        assert (config.driver, config.source) == ("overlay", path)
        assert config.graph_root != "/far/g"

    def test_variable_names_the_only_file(self, machine: Machine) -> None:
        """CONTAINERS_STORAGE_CONF hides every other file, for root and for users."""
        machine.write("etc/storage.conf", "broken")
        machine.write("home/.config/containers/storage.conf", "broken")
        path = machine.write("mine.conf", "[storage]\ndriver='vfs'\ngraphroot='/m/g'\nrunroot='/m/r'\n")

        for config in (
            machine.load(machine.system(CONTAINERS_STORAGE_CONF=path)),
            machine.load(machine.user(CONTAINERS_STORAGE_CONF=path), USER),
        ):
            assert (config.graph_root, config.run_root, config.source) == ("/m/g", "/m/r", path)

    def test_variable_must_name_a_file_that_exists(self, machine: Machine) -> None:
        """A name that leads nowhere is an error; an empty one counts as unset, as in the Go library from 1.61 on."""
        missing = str(machine.root / "missing.conf")
        with pytest.raises(ConfigError, match=r"missing\.conf: cannot be read: No such file"):
            machine.load(machine.system(CONTAINERS_STORAGE_CONF=missing))
        with pytest.raises(ConfigError, match=r"missing\.conf: cannot be read: No such file"):
            machine.load(machine.system(CONTAINERS_STORAGE_CONF_OVERRIDE=missing))
        assert machine.load(machine.system(CONTAINERS_STORAGE_CONF="")).source == ""

    def test_null_device_means_no_configuration(self, machine: Machine) -> None:
        """The way past a broken file gives the defaults without a word."""
        machine.write("etc/storage.conf", "broken")

        assert machine.load(machine.system(CONTAINERS_STORAGE_CONF="/dev/null")).warnings == ()

    def test_broken_system_file_is_fatal_with_its_line(self, machine: Machine) -> None:
        """Root cannot work with a broken file, and is told where it is broken."""
        path = machine.write("etc/storage.conf", "[storage]\ndriver = vfs\n")

        with pytest.raises(ConfigError) as caught:
            machine.load()

        assert (caught.value.source, caught.value.line) == (path, 2)
        assert "CONTAINERS_STORAGE_CONF" in caught.value.hint

    def test_file_in_the_home_counts_for_root_too(self, machine: Machine) -> None:
        """From 1.61 on, the main file is the user's own, for root as for others."""
        machine.write("xdg/containers/storage.conf", "[storage]\ngraphroot='/user/g'\n")
        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\ngraphroot='/system/g'\n")

        assert machine.load(machine.system(XDG_CONFIG_HOME=str(machine.root / "xdg"))).graph_root == "/user/g"

    def test_loading_creates_nothing(self, machine: Machine) -> None:
        """Whatever is configured, configuration itself leaves no trace (C14)."""
        base = machine.root
        machine.write("etc/storage.conf", f"[storage]\ndriver='vfs'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n")
        environ = machine.user(XDG_RUNTIME_DIR="", TMPDIR=str(base))
        before = sorted(str(path) for path in base.rglob("*"))

        machine.load()
        machine.load(environ, USER)

        assert sorted(str(path) for path in base.rglob("*")) == before


class TestPrecedence:
    """Flags over environment over file over default."""

    def test_flags_win_field_by_field(self, machine: Machine) -> None:
        """One flag changes one field; everything else stays as configured (C1)."""
        machine.write(
            "etc/storage.conf",
            "[storage]\ndriver='overlay'\ngraphroot='/f/g'\nrunroot='/f/r'\n[storage.options]\nmountopt='nodev'\n"
            "disable-volatile=true\nauto-userns-min-size=7\n[storage.options.pull_options]\na='b'\n",
        )

        config = machine.load(overrides=Overrides(graph_root="/flag/g"))

        assert (config.graph_root, config.run_root, config.driver) == ("/flag/g", "/f/r", "overlay")
        assert config.driver_options == ("mountopt=nodev",)
        assert config.pull_options == {"a": "b"}
        assert config.disable_volatile
        assert config.auto_userns_sizes == (7, 65536)

    def test_every_flag_beats_the_file(self, machine: Machine) -> None:
        """Each override has its field."""
        machine.write(
            "etc/storage.conf",
            "[storage]\ndriver='overlay'\ngraphroot='/f/g'\nrunroot='/f/r'\nimagestore='/f/i'\ntransient_store=true\n"
            "[storage.options.cstore]\nsync=false\nlock_timeout=5\n",
        )
        assert machine.load().lock_timeout == 5
        assert not machine.load().sync

        config = machine.load(
            overrides=Overrides(
                graph_root="/o/g",
                run_root="/o/r",
                image_store="/o/i",
                driver="vfs",
                driver_options=("a=b",),
                transient_store=False,
                sync=True,
                lock_timeout=float("inf"),
            )
        )

        assert (config.graph_root, config.run_root, config.image_store) == ("/o/g", "/o/r", "/o/i")
        assert (config.driver, config.driver_options) == ("vfs", ("a=b",))
        assert (config.transient_store, config.sync, config.lock_timeout) == (False, True, None)

    def test_environment_beats_the_file_and_not_the_flags(self, machine: Machine) -> None:
        """STORAGE_DRIVER and STORAGE_OPTS stand between; options of the command line are added to theirs."""
        machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n[storage.options]\nmountopt='nodev'\n")
        environ = machine.system(STORAGE_DRIVER="btrfs", STORAGE_OPTS="btrfs.min_space=1, x=y")

        assert machine.load(environ).driver == "btrfs"
        assert machine.load(environ).driver_options == ("btrfs.min_space=1", " x=y")
        config = machine.load(environ, overrides=Overrides(driver="vfs", driver_options=("c=d",)))
        assert (config.driver, config.driver_options[-1]) == ("vfs", "c=d")

    def test_environment_counts_without_any_file(self, machine: Machine) -> None:
        """No file has to exist for the variables to be obeyed (C3)."""
        config = machine.load(machine.system(STORAGE_DRIVER="vfs", STORAGE_OPTS="vfs.imagestore=/x"))

        assert (config.driver, config.driver_options) == ("vfs", ("vfs.imagestore=/x",))

    def test_empty_options_variable_means_no_options(self, machine: Machine) -> None:
        """STORAGE_OPTS that is set and empty removes the file's options; an empty STORAGE_DRIVER says nothing."""
        machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n[storage.options]\nmountopt='nodev'\n")

        config = machine.load(machine.system(STORAGE_OPTS="", STORAGE_DRIVER=""))

        assert (config.driver, config.driver_options) == ("overlay", ())

    def test_relative_roots_of_flags_are_seen_from_here(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Flags are made absolute and are not expanded."""
        monkeypatch.chdir(machine.root)

        config = machine.load(overrides=Overrides(graph_root="g/$HOME", run_root="./r", image_store="i"))

        assert config.graph_root == f"{machine.root}/g/$HOME"
        assert config.run_root == f"{machine.root}/r"
        assert config.image_store == f"{machine.root}/i"


class TestPaths:
    """Paths of files are expanded, made plain, and must make sense."""

    def test_every_path_is_expanded(self, machine: Machine) -> None:
        """Roots, image stores and additional stores all take variables (C8)."""
        machine.write(
            "etc/storage.conf",
            "[storage]\ndriver='overlay'\ngraphroot='$B/g'\nrunroot='${B}/r/$UID'\nimagestore='$B/i'\n"
            "rootless_storage_path='$B//u'\n[storage.options]\nadditionalimagestores=['$B/a','']\n"
            "additionallayerstores=['$B/l/../k:ref']\n",
        )

        config = machine.load(machine.system(B="/srv/b"))

        assert (config.graph_root, config.run_root) == ("/srv/b/g", "/srv/b/r/0")
        assert (config.image_store, config.rootless_storage_path) == ("/srv/b/i", "/srv/b/u")
        assert config.driver_options == ("imagestore=/srv/b/a", "additionallayerstore=/srv/b/k:ref")

    def test_variable_that_is_not_set_is_a_warning(self, machine: Machine) -> None:
        """It means nothing, as ever, but it is told."""
        path = machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\ngraphroot='/srv/$NOBODY/g'\n")

        config = machine.load()

        assert config.graph_root == "/srv/g"
        assert config.warnings == (
            f"{path}, line 3: storage.graphroot: the variable NOBODY is not set, so /srv/$NOBODY/g means /srv//g",
        )

    @pytest.mark.parametrize("key", ["graphroot", "runroot", "rootless_storage_path", "imagestore"])
    def test_path_of_which_nothing_is_left_is_refused(self, machine: Machine, key: str) -> None:
        """An empty path must not become the working directory."""
        machine.write("etc/storage.conf", f"[storage]\ndriver='vfs'\n{key}='$NOBODY'\n")

        with pytest.raises(ConfigError, match=r"line 3: .*expands to nothing"):
            machine.load()

    @pytest.mark.parametrize(
        "lines",
        [
            "imagestore='i'\n",
            "options.imagestore='i'\n",
            "options.additionalimagestores=['i']\n",
            "options.additionallayerstores=['i:ref']\n",
        ],
    )
    def test_stores_must_be_absolute(self, machine: Machine, lines: str) -> None:
        """A store whose place depends on the working directory is refused (C8)."""
        machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n" + lines)

        with pytest.raises(ConfigError, match=r"line 3: .*not an absolute path"):
            machine.load()

    def test_relative_roots_of_files_are_seen_from_here(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Roots may be relative, as the Go tools allow."""
        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\ngraphroot='g'\nrunroot='r'\n")
        monkeypatch.chdir(machine.root)

        config = machine.load()

        assert (config.graph_root, config.run_root) == (f"{machine.root}/g", f"{machine.root}/r")


class TestImageStore:
    """The separate image store: two keys, one meaning, and never the graph root."""

    @pytest.mark.parametrize(
        "lines", ["imagestore='{0}'\ngraphroot='{0}'\n", "options.imagestore='{0}'\ngraphroot='{0}/./x/..'\n"]
    )
    def test_image_store_must_not_be_the_graph_root(self, machine: Machine, lines: str) -> None:
        """One directory twice would make a command wait for itself (C2)."""
        path = machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\n" + lines.format("/srv/g"))

        with pytest.raises(ConfigError, match="must be another directory than the graph root, /srv/g") as caught:
            machine.load()

        assert (caught.value.source, caught.value.line) == (path, 3)

    def test_flags_are_held_to_the_same_rule(self, machine: Machine) -> None:
        """Also through a symbolic link, and also when only one of the two is a flag."""
        (machine.root / "g").mkdir()
        (machine.root / "link").symlink_to("g")
        link = str(machine.root / "link")

        with pytest.raises(ConfigError, match="--image-store"):
            machine.load(overrides=Overrides(graph_root=str(machine.root / "g"), image_store=link))

    def test_key_among_the_options_is_honoured(self, machine: Machine) -> None:
        """`storage.options.imagestore` counts if `storage.imagestore` is not set (C10)."""
        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\n[storage.options]\nimagestore='/srv/i'\n")
        assert machine.load().image_store == "/srv/i"

        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\nimagestore='/srv/j'\noptions.imagestore='/srv/i'\n")
        config = machine.load()

        assert config.image_store == "/srv/j"
        assert "line 4: storage.options.imagestore: ignored" in config.warnings[0]

    def test_general_composefs_is_honoured(self, machine: Machine) -> None:
        """`storage.options.use_composefs` reaches overlay (C10)."""
        machine.write("etc/storage.conf", "[storage]\ndriver='overlay'\n[storage.options]\nuse_composefs='true'\n")

        assert machine.load().driver_options == ("use_composefs=true",)


class TestWarnings:
    """What is odd is always told, and stops only those who ask for that."""

    def test_missing_driver(self, machine: Machine) -> None:
        """A file need not name a driver: from 1.61 on, the one that is shipped names none."""
        machine.write("etc/storage.conf", "[storage]\n")

        assert machine.load().warnings == ()
        machine.write("etc/storage.conf", "[storage]\ndriver_priority=['vfs']\n")
        assert machine.load().warnings == ()
        assert machine.load().driver_priority == ("vfs",)

    def test_old_name_of_overlay(self, machine: Machine) -> None:
        """overlay2 in the file or in the environment becomes overlay with a warning; a flag is taken at its word."""
        path = machine.write("etc/storage.conf", "[storage]\n\ndriver='overlay2'\n")
        said = "overlay2 is called overlay now; overlay is used"

        config = machine.load()
        assert (config.driver, config.warnings) == ("overlay", (f"{path}, line 3: storage.driver: {said}",))
        config = machine.load(machine.system(STORAGE_DRIVER="overlay2"))
        assert (config.driver, config.warnings) == ("overlay", (f"STORAGE_DRIVER: {said}",))
        assert machine.load(overrides=Overrides(driver="overlay2")).driver == "overlay2"

    def test_strictness_makes_errors_of_warnings(self, machine: Machine) -> None:
        """The first warning is raised, with its place (C13)."""
        path = machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\nbogus=1\n")
        assert machine.load().warnings == (f"{path}, line 3: storage.bogus: unknown key, ignored",)

        with pytest.raises(ConfigError) as caught:
            machine.load(strict=True)
        assert (caught.value.line, caught.value.key) == (3, "storage.bogus")
        with pytest.raises(ConfigError):
            load_file(path, strict=True)

    def test_guess_is_part_of_the_warning(self, machine: Machine) -> None:
        """The sentence ends with what was likely meant."""
        machine.write("etc/storage.conf", "[storage]\ndriver='vfs'\ngraphrot='/x'\n")

        assert machine.load().warnings[0].endswith("unknown key, ignored; did you mean storage.graphroot?")


class TestOneFile:
    """`config FILE`: that file alone."""

    def test_values_stand_as_written(self, machine: Machine) -> None:
        """No defaults and no expansion."""
        path = machine.write("x.conf", "[storage]\ndriver='vfs'\ngraphroot='$HOME/g'\nimagestore='$HOME/i'\n")

        config = load_file(path, environ={})

        assert (config.graph_root, config.run_root, config.image_store) == ("$HOME/g", "", "$HOME/i")

    def test_environment_still_counts(self, machine: Machine) -> None:
        """STORAGE_DRIVER and STORAGE_OPTS are applied."""
        path = machine.write("x.conf", "[storage]\ndriver='vfs'\n")

        config = load_file(path, environ={"STORAGE_DRIVER": "overlay", "STORAGE_OPTS": "a=b"})

        assert (config.driver, config.driver_options) == ("overlay", ("a=b",))

    def test_warnings_are_told(self, machine: Machine) -> None:
        """Unknown keys are not passed over in silence (C13)."""
        assert load_file(machine.write("x.conf", "[storage]\ndriver='vfs'\nbogus=1\n"), environ={}).warnings


def test_environment_of_the_process_is_the_default(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an explicit environment the process's own is read."""
    path = machine.write("x.conf", "[storage]\ndriver='vfs'\ngraphroot='/p/g'\nrunroot='/p/r'\n")
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", path)

    assert load_config(identity=ROOT).graph_root == "/p/g"
    assert load_config().source == path


class TestDefaultMap:
    """Keys that newer tools ignore, and 1.43 obeys."""

    @staticmethod
    def _load(machine: Machine, lines: str) -> StoreConfig:
        machine.write("etc/storage.conf", f"[storage.options]\n{lines}\n")
        return machine.load()

    def test_maps_are_spelled_out(self, machine: Machine) -> None:
        """As the options of commands spell them; a kind that is not named is not mapped."""
        config = self._load(machine, "remap-uids = '0:100000:10:10:200000:5'")

        assert config.id_map == IDMap((IDRange(0, 100000, 10), IDRange(10, 200000, 5)), ())
        assert config.warnings == ()
        assert machine.load().with_(id_map=None).id_map is None
        assert self._load(machine, "remap-uids = ''").id_map is None

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            ("remap-uids = '0:1'", "triples"),
            ("remap-gids = '0:1:0'", "size"),
            ("remap-uids = '0:1:5:0:9:5'", "overlaps"),
            ("remap-user = 'nobody-has-this'", "assigns no IDs"),
        ],
    )
    def test_a_map_that_cannot_be_is_an_error_with_its_line(self, machine: Machine, line: str, reason: str) -> None:
        """Before anything is made with other owners than were meant."""
        with pytest.raises(ConfigError, match=rf"storage\.conf, line 2: .*{reason}"):
            self._load(machine, line)
