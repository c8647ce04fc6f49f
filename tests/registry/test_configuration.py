"""The files of Podman and skopeo: which registry a name leads to, whose credentials count, what a policy accepts."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ConfigError
from cstore.oci.names import parse_name
from cstore.registry import Credentials, Settings, load_settings, read_policy, resolve
from cstore.registry.credentials import find_credentials, forget_all, forget_credentials, keep_credentials
from cstore.registry.errors import NotInRegistry, PolicyRefuses, RegistryBlocked, RegistryError, ShortNameAmbiguous
from cstore.registry.registries_conf import read_registries
from tests import fault_proxy as faults
from tests.conftest import find_peer
from tests.registries import PASSWORD, USER, running_registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.registry import Access, Repository
    from tests.fault_proxy import FaultProxy
    from tests.registries import Pushed, Registry

    Opened = Callable[..., Repository]

DIGEST = "sha256:" + "0" * 64


# ── registries.conf ───────────────────────────────────────────────────────────────────────────────────────────────────

MANY = """
unqualified-search-registries = ["one.example", "two.example:5000"]

[[registry]]
prefix = "example.com/foo"
location = "internal.example/bar"
[[registry.mirror]]
location = "mirror-0.local/for-foo"
[[registry.mirror]]
location = "mirror-1.local/mirrors/foo"
insecure = true
[[registry.mirror]]
location = "by-digest.local"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "by-tag.local"
pull-from-mirror = "tag-only"

[[registry]]
location = "example.com"
insecure = true

[[registry]]
prefix = "example.com/foo/secret"
location = "example.com/foo/secret"
blocked = true

[[registry]]
prefix = "*.sub.example"
insecure = true

[[registry]]
prefix = "*.moved.sub.example"
location = "new.example/all"

[[registry]]
location = "digests.example"
mirror-by-digest-only = true
[[registry.mirror]]
location = "mirror.digests.example"

[[registry]]
prefix = "docker.io/library"
location = "127.0.0.1:5000/hub"
"""


@pytest.fixture
def conf(tmp_path: Path) -> Callable[[str], str]:
    """Writes a registries.conf."""

    def write(text: str) -> str:
        path = tmp_path / "registries.conf"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("other.example/a", ["other.example/a"]),
        ("example.com/a", ["example.com/a insecure"]),
        ("example.com/food", ["example.com/food insecure"]),
        ("example.com/foo/image:1",
         ["mirror-0.local/for-foo/image", "mirror-1.local/mirrors/foo/image insecure", "by-tag.local/image",
          "internal.example/bar/image"]),
        (f"example.com/foo/image@{DIGEST}",
         ["mirror-0.local/for-foo/image", "mirror-1.local/mirrors/foo/image insecure", "by-digest.local/image",
          "internal.example/bar/image"]),
        ("a.sub.example/x", ["a.sub.example/x insecure"]),
        ("a.b.sub.example:5000/x", ["a.b.sub.example:5000/x insecure"]),
        ("sub.example/x", ["sub.example/x"]),
        ("a.moved.sub.example/x", ["new.example/all/x"]),
        ("digests.example/a:1", ["digests.example/a"]),
        (f"digests.example/a@{DIGEST}", ["mirror.digests.example/a", "digests.example/a"]),
        ("docker.io/library/debian", ["127.0.0.1:5000/hub/debian"]),
        ("debian", ["127.0.0.1:5000/hub/debian"]),
        ("docker.io/user/app", ["docker.io/user/app"]),
    ],
)  # fmt: skip
def test_the_longest_prefix_says_where_an_image_is(conf: Callable[[str], str], name: str, places: list[str]) -> None:
    found = read_registries([conf(MANY)]).locations(parse_name(name))

    assert [f"{one.registry}/{one.repository}{' insecure' if one.insecure else ''}" for one in found] == places


def test_what_is_written_goes_to_the_place_itself(conf: Callable[[str], str]) -> None:
    [place] = read_registries([conf(MANY)]).locations(parse_name("example.com/foo/image"), writing=True)

    assert (place.registry, place.repository) == ("example.com", "foo/image")


@pytest.mark.parametrize("writing", [False, True])
def test_a_blocked_registry_is_refused(conf: Callable[[str], str], writing: bool) -> None:
    with pytest.raises(RegistryBlocked, match=r"blocks example\.com/foo/secret"):
        read_registries([conf(MANY)]).locations(parse_name("example.com/foo/secret/x"), writing=writing)


def test_drop_ins_replace_tables_of_the_same_prefix_lists_and_aliases(tmp_path: Path) -> None:
    (tmp_path / "registries.conf").write_text(
        'unqualified-search-registries = ["a.example"]\nshort-name-mode = "enforcing"\n'
        '[[registry]]\nlocation = "x.example"\n[aliases]\n"one" = "a.example/one"\n"two" = "a.example/two"\n'
    )
    drop_ins = tmp_path / "registries.conf.d"
    drop_ins.mkdir()
    (drop_ins / "10.conf").write_text('[[registry]]\nlocation = "x.example"\ninsecure = true\n')
    (drop_ins / "20.conf").write_text('[aliases]\n"one" = "b.example/one"\n"two" = ""\n')
    (drop_ins / "ignored.txt").write_text("no TOML at all")
    own = tmp_path / "home" / ".config" / "containers" / "registries.conf.d"
    own.mkdir(parents=True)
    (own / "mine.conf").write_text('unqualified-search-registries = ["mine.example"]\n')

    config = load_settings({"HOME": str(tmp_path / "home")}, system=str(tmp_path)).registries

    assert (config.search, config.mode, dict(config.aliases)) == (
        ("mine.example",), "enforcing", {"one": "b.example/one"},
    )  # fmt: skip
    assert [(table.prefix, table.insecure) for table in config.tables] == [("x.example", True)]


def test_a_file_of_the_users_own_stands_for_the_systems_and_one_that_is_named_for_both(tmp_path: Path) -> None:
    home = tmp_path / "home"
    own = home / ".config" / "containers"
    own.mkdir(parents=True)
    for path, name in ((tmp_path, "system"), (own, "mine")):
        (path / "registries.conf").write_text(f'unqualified-search-registries = ["{name}.example"]\n')
    named = tmp_path / "named.conf"
    named.write_text('unqualified-search-registries = ["named.example"]\n')

    def search(**environment: str) -> tuple[str, ...]:
        return load_settings({"HOME": str(home), **environment}, system=str(tmp_path)).registries.search

    assert search() == search(XDG_CONFIG_HOME=str(tmp_path / "xdg")) == ("mine.example",)
    assert search(CONTAINERS_REGISTRIES_CONF=str(named)) == ("named.example",)
    (own / "registries.conf").unlink()
    assert search() == ("system.example",)
    with pytest.raises(ConfigError, match="file not found"):
        search(CONTAINERS_REGISTRIES_CONF=str(tmp_path / "none.conf"))


def test_the_older_format_is_read(conf: Callable[[str], str]) -> None:
    path = conf(
        "[registries.search]\nregistries = ['a.example']\n[registries.insecure]\nregistries = ['i.example:5000']\n"
        "[registries.block]\nregistries = ['b.example']\n"
    )
    config = read_registries([path])

    assert config.search == ("a.example",)
    assert config.locations(parse_name("i.example:5000/x"))[0].insecure
    with pytest.raises(RegistryBlocked):
        config.locations(parse_name("b.example/x"))


@pytest.mark.parametrize(
    "text",
    [
        "=",
        "[[registry]]\ninsecure = true",
        '[[registry]]\nlocation = "https://x.example"',
        '[[registry]]\nprefix = "a.*.example"\nlocation = "b"',
        '[[registry]]\nprefix = "*.example/foo"\nlocation = "b"',
        "[[registry]]\nlocation = 5",
        '[[registry]]\nlocation = "a"\nblocked = "no"',
        '[[registry]]\nlocation = "a"\n[[registry.mirror]]\ninsecure = true',
        '[[registry]]\nlocation = "a"\n[[registry.mirror]]\nlocation = "b"\npull-from-mirror = "never"',
        '[[registry]]\nlocation = "a"\n[[registry]]\nlocation = "a"\ninsecure = true',
        'short-name-mode = "sometimes"',
        'unqualified-search-registries = "a"',
        'registry = "a"',
        "[aliases]\na = 5",
        '[registries.search]\nregistries = ["a"]\n[[registry]]\nlocation = "a"',
        "registries = 5",
    ],
)
def test_a_file_that_makes_no_sense_is_named(conf: Callable[[str], str], text: str) -> None:
    path = conf(text)

    with pytest.raises(ConfigError) as caught:
        read_registries([path])

    assert caught.value.source == path
    assert "\n" not in str(caught.value)


# ── mirrors, with a real registry ─────────────────────────────────────────────────────────────────────────────────────


def mirrored(conf: Callable[[str], str], settings: Settings, *mirrors: str) -> Settings:
    """Settings for registry.test with mirrors in a row; the place itself is not there."""
    text = '[[registry]]\nprefix = "registry.test"\nlocation = "127.0.0.1:1"\n'
    text += "".join(f'[[registry.mirror]]\nlocation = "{one}"\ninsecure = true\n' for one in mirrors)
    return settings.with_(registries=read_registries([conf(text)]))


def test_the_first_mirror_that_has_it_is_used(
    registry: Registry, image: Pushed, opened: Opened, access: Access, settings: Settings, conf: Callable[[str], str]
) -> None:
    configured = mirrored(conf, settings, "127.0.0.1:1", f"{registry.host}/nothing-here", registry.host)

    with opened("registry.test/app:1", access=access.with_(tls_verify=None), settings=configured) as repository:
        assert repository.manifest().digest == image.digest
        assert repository.tags() == ["1"]
        assert [str(one.repository) for one in repository._in_order()] == ["app", "app", "nothing-here/app", "app"]
        assert repository._in_order()[0].wire.registry == registry.host


def test_a_blob_goes_on_at_the_next_mirror(
    proxy: FaultProxy,
    registry: Registry,
    image: Pushed,
    opened: Opened,
    access: Access,
    settings: Settings,
    conf: Callable[[str], str],
) -> None:
    """With what is missing, and no byte more."""
    digest, data = image.layers[1], image.blobs[image.layers[1]]
    proxy.fail("GET .*/blobs/", faults.cut(100_000), faults.hung_up, faults.hung_up, faults.hung_up, faults.hung_up)
    configured = mirrored(conf, settings, proxy.host, registry.host)

    repository = opened("registry.test/app:1", access=access.with_(tls_verify=None), settings=configured)
    with repository.blob(digest, len(data)) as reader:
        assert reader.read() == data

    assert (proxy.given, reader.fetched) == (100_000, len(data))


def test_when_all_fail_each_is_named(
    registry: Registry, opened: Opened, access: Access, settings: Settings, conf: Callable[[str], str]
) -> None:
    configured = mirrored(conf, settings, registry.host)

    with pytest.raises(RegistryError) as caught:
        opened("registry.test/none:1", access=access.with_(tls_verify=None), settings=configured).manifest()

    assert "127.0.0.1:1: cannot fetch" in str(caught.value)
    assert f"mirror {registry.host}: cannot fetch" in str(caught.value)


# ── short names ───────────────────────────────────────────────────────────────────────────────────────────────────────


def names(found: object) -> list[str]:
    """The names, as text."""
    assert isinstance(found, list)
    return [str(one) for one in found]


def short_names(text: str, tmp_path: Path) -> Settings:
    """Settings with a registries.conf and an alias that a tool has recorded."""
    (tmp_path / "registries.conf").write_text(text)
    (tmp_path / "cache").mkdir(exist_ok=True)
    recorded = tmp_path / "cache" / "short-name-aliases.conf"
    recorded.write_text('[aliases]\n"recorded" = "r.example/recorded"\n')
    read = load_settings({"HOME": str(tmp_path / "home")}, system=str(tmp_path))
    return read.with_(alias_file=str(recorded))


SEARCH = 'unqualified-search-registries = ["one.example", "two.example"]\n'
ALIASES = '[aliases]\n"debian" = "docker.io/library/debian"\n"a/b" = "q.example/ab"\n"recorded" = "other.example/x"\n'


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("q.example/x", ["q.example/x:latest"]),
        ("localhost/x:1", ["localhost/x:1"]),
        ("host:5000/x", ["host:5000/x:latest"]),
        ("debian:12", ["docker.io/library/debian:12"]),
        (f"debian@{DIGEST}", [f"docker.io/library/debian@{DIGEST}"]),
        ("a/b", ["q.example/ab:latest"]),
        ("recorded", ["r.example/recorded:latest"]),
        ("new/x:2", ["one.example/new/x:2", "two.example/new/x:2"]),
    ],
)
def test_a_short_name_is_an_alias_or_is_searched(tmp_path: Path, name: str, meant: list[str]) -> None:
    assert names(resolve(name, short_names(SEARCH + ALIASES, tmp_path))) == meant


def test_whether_somebody_is_asked_is_a_matter_of_the_mode(tmp_path: Path) -> None:
    asked: list[int] = []

    def choose(candidates: object) -> object:
        asked.append(len(candidates))  # type: ignore[arg-type]
        return candidates[1]  # type: ignore[index]

    both = ["one.example/x:latest", "two.example/x:latest"]
    for mode, with_person, without in (
        ("enforcing", ["two.example/x:latest"], None),
        ("permissive", ["two.example/x:latest"], both),
        (
            "disabled",
            ["one.example/x:latest", "two.example/x:latest"],
            ["one.example/x:latest", "two.example/x:latest"],
        ),
    ):
        known = short_names(f'short-name-mode = "{mode}"\n{SEARCH}', tmp_path)
        assert names(resolve("x", known, choose)) == with_person  # type: ignore[arg-type]
        if without is not None:
            assert names(resolve("x", known)) == without
        else:
            with pytest.raises(ShortNameAmbiguous, match=r"any of one\.example, two\.example"):
                resolve("x", known)
    assert asked == [2, 2]


def test_a_short_name_without_registries_to_search_says_how_to_write_it(settings: Settings) -> None:
    with pytest.raises(ShortNameAmbiguous, match="lists no unqualified-search-registries") as caught:
        resolve("debian", settings)

    assert caught.value.hint == "write it in full, for example docker.io/library/debian"


# ── credentials ───────────────────────────────────────────────────────────────────────────────────────────────────────


def auth(user: str) -> dict[str, str]:
    """An entry of auth.json."""
    return {"auth": base64.b64encode(f"{user}:p".encode()).decode()}


def user_for(settings: Settings, name: str) -> str:
    """Whose credentials count for a repository."""
    registry, _, path = name.partition("/")
    found = find_credentials(settings, registry, path)
    return found.user if found else ""


def test_the_most_specific_entry_counts(settings: Settings, tmp_path: Path) -> None:
    entries = {
        "r.example/a/b": auth("deep"),
        "r.example/a": auth("middle"),
        "r.example": auth("top"),
        "r.example/e": {},
    }
    _write(settings.auth_files[0].path, {"auths": entries})

    assert user_for(settings, "r.example/a/b") == "deep"
    assert user_for(settings, "r.example/a/b/c") == "deep"
    assert user_for(settings, "r.example/a/bc") == "middle"
    assert user_for(settings, "r.example/x") == "top"
    assert user_for(settings, "r.example/e") == "top"
    assert user_for(settings, "r.example:5000/a") == ""
    assert user_for(settings, "other.example/a") == ""


def _write(path: str, document: object) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)


def test_files_are_looked_through_in_their_order(tmp_path: Path) -> None:
    home, runtime = tmp_path / "home", tmp_path / "run"
    places = {
        "dockercfg": (home / ".dockercfg", {"legacy.example": auth("dockercfg")}),
        "docker": (home / ".docker" / "config.json", {"auths": {"https://d.example/v1/": auth("docker")}}),
        "config": (home / ".config" / "containers" / "auth.json", {"auths": {"d.example": auth("config")}}),
        "runtime": (runtime / "containers" / "auth.json", {"auths": {"d.example": auth("runtime")}}),
        "named": (tmp_path / "named.json", {"auths": {"d.example": auth("named")}}),
    }
    environment = {"HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}

    for who, (path, document) in places.items():
        _write(str(path), document)
        if who == "named":
            environment["REGISTRY_AUTH_FILE"] = str(path)
        settings = load_settings(environment, system=str(tmp_path))
        assert user_for(settings, "legacy.example/x") == "dockercfg"
        assert who == "dockercfg" or user_for(settings, "d.example/x") == who
    other = {**environment, "XDG_CONFIG_HOME": str(tmp_path / "xdg"), "REGISTRY_AUTH_FILE": str(tmp_path / "none.json")}
    assert user_for(load_settings(other, system=str(tmp_path)), "d.example/x") == "docker"
    settings = load_settings(environment, system=str(tmp_path), auth_file=str(tmp_path / "none.json"))
    assert user_for(settings, "d.example/x") == "config"


@pytest.mark.parametrize("key", ["docker.io", "index.docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"])
def test_docker_hub_has_several_spellings(settings: Settings, key: str) -> None:
    _write(settings.auth_files[0].path, {"auths": {key: auth("hub")}})

    assert user_for(settings, "docker.io/library/debian") == "hub"


@pytest.fixture
def helper(tmp_path: Path, settings: Settings) -> Settings:
    """Settings in whose search path there is docker-credential-test, which keeps credentials in a file each."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-test"
    program.write_text(
        f"""#!/bin/sh
cd {tmp_path} || exit 1
case $1 in
    store) cat > stored ;;
    get) read -r server; echo "$server" >> asked
         case $server in
             token.example) echo '{{"Username": "<token>", "Secret": "identity"}}' ;;
             broken.example) echo 'S3cret' ;;
             failing.example) echo 'the key ring is locked'; exit 1 ;;
             https://index.docker.io/v1/|r.example) echo '{{"Username": "bob", "Secret": "from helper"}}' ;;
             *) echo 'credentials not found in native keychain'; exit 1 ;;
         esac ;;
    erase) cat > erased ;;
esac
"""
    )
    program.chmod(0o755)
    return settings.with_(search_path=f"{folder}:/bin:/usr/bin")


def test_a_helper_for_a_registry_comes_before_the_entries_of_the_file(helper: Settings) -> None:
    path = helper.auth_files[0].path
    _write(path, {"auths": {"r.example": auth("file")}, "credHelpers": {"r.example": "test", "token.example": "test"}})

    assert find_credentials(helper, "r.example", "a/b") == Credentials("bob", "from helper")
    assert find_credentials(helper, "token.example") == Credentials("", "", "identity")
    assert find_credentials(helper, "other.example") is None


def test_a_store_of_credentials_is_asked_for_what_the_file_does_not_have(helper: Settings) -> None:
    document = {"auths": {"r.example": {}, "f.example": auth("file")}, "credsStore": "test"}
    _write(helper.auth_files[0].path, document)

    assert user_for(helper, "r.example/x") == "bob"
    assert user_for(helper, "f.example/x") == "file"
    assert user_for(helper, "docker.io/library/x") == "bob"
    assert user_for(helper, "unknown.example/x") == ""


@pytest.mark.parametrize(
    ("name", "registry", "told"),
    [
        ("test", "broken.example", "its response is not valid"),
        ("test", "failing.example", "get failed: the key ring is locked"),
        ("absent", "r.example", "program not found"),
        ("../../bin/sh", "r.example", "is not a valid program name"),
    ],
)
def test_a_helper_that_fails_is_named_and_no_secret_shown(
    helper: Settings, name: str, registry: str, told: str
) -> None:
    _write(helper.auth_files[0].path, {"credHelpers": {registry: name}})

    with pytest.raises(ConfigError, match=told) as caught:
        find_credentials(helper, registry)

    assert "S3cret" not in str(caught.value)


def test_credentials_are_kept_with_mode_0600_beside_what_is_not_understood(settings: Settings) -> None:
    path = settings.auth_files[0].path
    _write(path, {"auths": {"old.example": auth("old")}, "HttpHeaders": {"X": "y"}, "unknown": [1, {"a": None}]})
    os.chmod(path, 0o644)

    keep_credentials(settings, "r.example/a", Credentials("bob", "s:é"))

    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    assert document["unknown"] == [1, {"a": None}]
    assert document["HttpHeaders"] == {"X": "y"}
    assert set(document["auths"]) == {"old.example", "r.example/a"}
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert find_credentials(settings, "r.example", "a/x") == Credentials("bob", "s:é")
    assert forget_credentials(settings, "r.example/a")
    assert not forget_credentials(settings, "r.example/a")
    assert user_for(settings, "old.example/x") == "old"
    forget_all(settings)
    assert user_for(settings, "old.example/x") == ""


def test_a_new_file_and_its_directory_are_for_the_user_alone(settings: Settings, usual_umask: None) -> None:
    path = settings.auth_files[0].path

    keep_credentials(settings, "r.example", Credentials("bob", "secret"))

    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_file_that_is_a_link_stays_one(settings: Settings, tmp_path: Path) -> None:
    path, real = settings.auth_files[0].path, tmp_path / "shared.json"
    os.makedirs(os.path.dirname(path))
    os.symlink(real, path)

    keep_credentials(settings, "r.example", Credentials("bob", "secret"))

    assert os.path.islink(path)
    assert user_for(settings, "r.example/x") == "bob"


def test_credentials_go_to_the_helper_that_the_file_names(helper: Settings, tmp_path: Path) -> None:
    _write(helper.auth_files[0].path, {"credHelpers": {"r.example": "test"}})

    assert keep_credentials(helper, "r.example", Credentials("bob", "secret")) == "docker-credential-test"
    assert json.loads((tmp_path / "stored").read_text()) == {
        "ServerURL": "r.example", "Username": "bob", "Secret": "secret",
    }  # fmt: skip
    assert forget_credentials(helper, "r.example")
    with open(helper.auth_files[0].path, encoding="utf-8") as file:
        assert "secret" not in file.read()


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[]",
        '{"auths": []}',
        '{"auths": {"r.example": {"auth": "!!"}}}',
        '{"auths": {"r.example": {"auth": "Ym9i"}}}',
    ],
)
def test_a_damaged_file_is_named_and_left_alone(settings: Settings, text: str) -> None:
    path = settings.auth_files[0].path
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)

    with pytest.raises(ConfigError) as caught:
        find_credentials(settings, "r.example")

    assert caught.value.source == path
    with open(path, encoding="utf-8") as file:
        assert file.read() == text


@pytest.mark.peer
def test_skopeo_and_cstore_take_each_others_credentials(tmp_path: Path) -> None:
    skopeo = find_peer("skopeo")
    shared = str(tmp_path / "auth.json")
    settings = load_settings({"HOME": str(tmp_path)}, system=str(tmp_path), auth_file=shared)
    with running_registry(str(tmp_path), passwords=True) as registry:
        registry.push("app:1")
        keep_credentials(settings, registry.host, Credentials(USER, PASSWORD))
        listed = [skopeo, "list-tags", "--tls-verify=false", "--authfile", shared, f"docker://{registry.host}/app"]
        assert json.loads(subprocess.check_output(listed))["Tags"] == ["1"]

        forget_all(settings)
        login = [skopeo, "login", "--tls-verify=false", "--authfile", shared, "-u", USER, "--password-stdin"]
        subprocess.run([*login, registry.host], input=PASSWORD.encode(), check=True, capture_output=True)
        assert find_credentials(settings, registry.host, "app") == Credentials(USER, PASSWORD)


# ── policy ────────────────────────────────────────────────────────────────────────────────────────────────────────────

ACCEPT, REJECT = [{"type": "insecureAcceptAnything"}], [{"type": "reject"}]
SIGNED = [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/key"}]
SIGSTORE = [{"type": "sigstoreSigned", "keyPath": "/key"}]
SCOPES = {
    "q.example": ACCEPT,
    "q.example/bad": REJECT,
    "q.example/bad/good:1": ACCEPT,
    f"q.example/bad/good@{DIGEST}": ACCEPT,
    "q.example/gpg": SIGNED,
    "q.example/cosign": SIGSTORE,
    "*.wild.example": ACCEPT,
    "docker.io/library/debian": ACCEPT,
}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("q.example/x", ""),
        ("q.example/bad", "reject"),
        ("q.example/bad/x", "reject"),
        ("q.example/badly", ""),
        ("q.example/bad/good:1", ""),
        ("q.example/bad/good:2", "reject"),
        (f"q.example/bad/good@{DIGEST}", ""),
        ("q.example/gpg/x", "GPG signature"),
        ("q.example/cosign/x", "sigstore signature"),
        ("a.wild.example:5000/x", ""),
        ("a.b.wild.example/x", ""),
        ("wild.example/x", "reject"),
        ("debian", ""),
        ("other.example/x", "reject"),
    ],
)
def test_the_most_specific_scope_decides(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"default": REJECT, "transports": {"docker": SCOPES, "dir": {"": REJECT}}}))
    policy = read_policy(str(path))

    if not why:
        policy.require(parse_name(name))
        return
    with pytest.raises(PolicyRefuses, match=why) as caught:
        policy.require(parse_name(name))
    assert "--signature-policy" in caught.value.hint


def test_without_a_policy_digests_are_the_proof() -> None:
    read_policy("").require(parse_name("q.example/x"))


def test_a_default_of_a_transport_comes_before_that_of_all(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"default": ACCEPT, "transports": {"docker": {"": REJECT}, "dir": {"/a": REJECT}}}))
    policy = read_policy(str(path))

    with pytest.raises(PolicyRefuses):
        policy.require(parse_name("q.example/x"))
    policy.require_scopes("oci", ["/a"], shown="/a")
    with pytest.raises(PolicyRefuses):
        policy.require_scopes("dir", ["/a/b", "/a", "/"], shown="/a/b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"default": []}',
        '{"default": [{"type": "newest"}]}',
        '{"default": [{"type": "reject", "x": 1}]}',
        '{"default": [{"type": "reject"}], "more": 1}',
        '{"default": [{"type": "reject"}], "default": [{"type": "insecureAcceptAnything"}]}',
        '{"default": [{"type": "reject"}], "transports": {"docker": []}}',
        '{"default": [{"type": "reject"}], "transports": {"docker": {"": {}}}}',
        '{"default": ["reject"]}',
        "[" * 100_000,
    ],
)
def test_what_a_policy_says_and_is_not_understood_refuses(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        read_policy(str(path))

    assert caught.value.source == str(path)
    assert len(str(caught.value)) < 400


def test_the_users_policy_stands_for_the_systems(tmp_path: Path) -> None:
    own = tmp_path / "home" / ".config" / "containers"
    own.mkdir(parents=True)
    environment = {"HOME": str(tmp_path / "home")}

    assert load_settings(environment, system=str(tmp_path)).policy_file == ""
    (tmp_path / "policy.json").write_text("{}")
    assert load_settings(environment, system=str(tmp_path)).policy_file == str(tmp_path / "policy.json")
    (own / "policy.json").write_text("{}")
    assert load_settings(environment, system=str(tmp_path)).policy_file == str(own / "policy.json")


# ── as skopeo has it ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    ["moved.example/deep/app:1", "mirrored.example/app:1", "a.sub.example/app:1", "blocked.example/app:1",
     "moved.example/none:1", "digest.example/app:1", "tag.example/app:1", "digest.example/app@", "tag.example/app@"],
)  # fmt: skip
def test_a_configuration_leads_skopeo_and_cstore_to_the_same_image(
    registry: Registry, image: Pushed, opened: Opened, access: Access, settings: Settings, tmp_path: Path, name: str
) -> None:
    """Or both to none."""
    skopeo = find_peer("skopeo")
    text = f"""
[[registry]]
prefix = "moved.example/deep"
location = "{registry.host}"
insecure = true
[[registry]]
prefix = "moved.example"
location = "{registry.host}/nothing"
insecure = true
[[registry]]
prefix = "*.sub.example"
location = "{registry.host}"
insecure = true
[[registry]]
prefix = "blocked.example"
location = "127.0.0.1:2"
blocked = true
"""
    for host, rule in (("mirrored", ""), ("digest", "digest-only"), ("tag", "tag-only")):
        text += f'[[registry]]\nprefix = "{host}.example"\nlocation = "127.0.0.1:1"\n[[registry.mirror]]\n'
        text += f'location = "{registry.host}"\ninsecure = true\npull-from-mirror = "{rule}"\n'
    path = tmp_path / "registries.conf"
    path.write_text(text)
    name += image.digest if name.endswith("@") else ""
    command = [skopeo, "--registries-conf", str(path), "inspect", "--raw", f"docker://{name}"]
    peer = subprocess.run(command, capture_output=True, check=False)

    configured = settings.with_(registries=read_registries([str(path)]))
    try:
        raw = opened(name, access=access.with_(tls_verify=None), settings=configured).manifest().raw
    except (RegistryError, NotInRegistry):
        raw = b""

    assert raw == (peer.stdout if peer.returncode == 0 else b""), peer.stderr
