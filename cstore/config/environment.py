"""The environment variables that cstore obeys, read here and nowhere else."""

from __future__ import annotations

import os

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Environment(Value):
    """The settings in the environment (config spec, 11). "" means unset or empty, unless None is possible.

    Attributes:
        config_file, override_file: CONTAINERS_STORAGE_CONF and CONTAINERS_STORAGE_CONF_OVERRIDE.
        driver, driver_options: STORAGE_DRIVER; STORAGE_OPTS, None if unset.
        home, config_home, data_home, runtime_dir, temporary_dir: HOME, the three XDG directories, TMPDIR.
            `config_home` is None if unset.
        search_path, user, shell: PATH, USER, SHELL.
        in_namespace: _CONTAINERS_USERNS_CONFIGURED, which says that a parent has entered a user namespace for us.
        rootless_uid, rootless_gid: _CONTAINERS_ROOTLESS_UID and _GID, the owner before that.
        isolation: BUILDAH_ISOLATION.
        mapped_mounts_off: _CONTAINERS_OVERLAY_DISABLE_IDMAP says yes.
        variables: all of them, for the expansion of paths.
    """

    config_file: str = ""
    override_file: str = ""
    driver: str = ""
    driver_options: str | None = None
    home: str = ""
    config_home: str | None = None
    data_home: str = ""
    runtime_dir: str = ""
    temporary_dir: str = ""
    search_path: str = ""
    user: str = ""
    shell: str = ""
    in_namespace: str = ""
    rootless_uid: str = ""
    rootless_gid: str = ""
    isolation: str = ""
    mapped_mounts_off: bool = False
    variables: Mapping[str, str] = {}


def mark_entered(uid: int, gid: int) -> None:
    """Let this process, and those that it starts, know whose user namespace they are in, as the Go tools do."""
    os.environ.update(
        _CONTAINERS_USERNS_CONFIGURED="done", _CONTAINERS_ROOTLESS_UID=str(uid), _CONTAINERS_ROOTLESS_GID=str(gid)
    )
    os.environ.setdefault("BUILDAH_ISOLATION", "rootless")


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Read `environ`, or the environment of this process."""
    variables = os.environ if environ is None else environ

    def word(name: str) -> str:
        return variables.get(name, "")

    return Environment(
        config_file=word("CONTAINERS_STORAGE_CONF"),
        override_file=word("CONTAINERS_STORAGE_CONF_OVERRIDE"),
        driver=word("STORAGE_DRIVER"),
        driver_options=variables.get("STORAGE_OPTS"),
        home=word("HOME"),
        config_home=variables.get("XDG_CONFIG_HOME"),
        data_home=word("XDG_DATA_HOME"),
        runtime_dir=word("XDG_RUNTIME_DIR"),
        temporary_dir=word("TMPDIR"),
        search_path=word("PATH"),
        user=word("USER"),
        shell=word("SHELL"),
        in_namespace=word("_CONTAINERS_USERNS_CONFIGURED"),
        rootless_uid=word("_CONTAINERS_ROOTLESS_UID"),
        rootless_gid=word("_CONTAINERS_ROOTLESS_GID"),
        isolation=word("BUILDAH_ISOLATION"),
        mapped_mounts_off=word("_CONTAINERS_OVERLAY_DISABLE_IDMAP") == "yes",
        variables=variables,
    )
