"""The meaning and default of each storage.conf key, and its tool versions: for `config explain` and `config init`."""

from __future__ import annotations

from cstore.config import keys
from cstore.config.keys import OPTIONS, Kind, all_keys, kind_of

_OVERLAY, _BTRFS, _ZFS = f"{OPTIONS}.overlay", f"{OPTIONS}.btrfs", f"{OPTIONS}.zfs"
_VFS_SYNC = f"{OPTIONS}.vfs.sync"

MEANINGS: dict[str, str] = {
    keys.DRIVER: "Storage driver: overlay, vfs, btrfs or zfs. Empty: the existing store's, else the first usable.",
    keys.DRIVER_PRIORITY: "Drivers to try, in order, if no driver is named.",
    keys.RUN_ROOT: "Directory for data that must not survive a reboot.",
    keys.GRAPH_ROOT: "Directory for layers, images and containers.",
    keys.IMAGE_STORE: "Separate directory for images and their layers; not the graph root.",
    keys.ROOTLESS_PATH: "Graph root of users, such as /srv/containers/$UID; graphroot wins over it. Deprecated.",
    keys.TRANSIENT_STORE: "Keep containers under the run root, so that a reboot removes them.",
    keys.MORE_IMAGE_STORES: "Read-only stores that are searched after the store itself, in order.",
    keys.MORE_LAYER_STORES: "Directories from which a layer provider serves layers, PATH or PATH:ref.",
    keys.OPTIONS_IMAGE_STORE: "The same as storage.imagestore, which wins if both are set.",
    f"{OPTIONS}.size": "The most that each container may write, such as 10G.",
    f"{OPTIONS}.mount_program": "Program that mounts overlay instead of the kernel.",
    f"{OPTIONS}.skip_mount_home": "Do not mount the driver's home directory on itself as a private mount.",
    f"{OPTIONS}.ignore_chown_errors": "Ignore owners that cannot be set while unpacking.",
    f"{OPTIONS}.force_mask": "Mode of all files on disk; the real one is kept in an attribute.",
    f"{OPTIONS}.mountopt": "Options for every mount of a layer.",
    f"{OPTIONS}.use_composefs": "Store layers as composefs images; cstore creates plain layers.",
    keys.AUTO_USER: "User whose subordinate IDs root's automatic user namespaces use.",
    keys.AUTO_MIN_SIZE: "Smallest automatic user namespace, in IDs.",
    keys.AUTO_MAX_SIZE: "Largest automatic user namespace, in IDs.",
    keys.DISABLE_VOLATILE: "Mount volatile containers as ordinary ones.",
    keys.PULL_OPTIONS: "What a pull of an image may do: a table of strings.",
    f"{_OVERLAY}.inodes": "The most files that each container may create.",
    f"{_OVERLAY}.sync": "filesystem or none: whether Podman syncs a new layer. cstore always does.",
    _VFS_SYNC: "The same for vfs.",
    f"{_BTRFS}.min_space": "Smallest limit that a layer may have; turns quotas on.",
    f"{_BTRFS}.size": "Limit of writable layers without a limit of their own.",
    f"{_ZFS}.fsname": "Dataset that contains the layers.",
    f"{OPTIONS}.aufs.mountopt": "No effect: the driver no longer exists.",
    f"{OPTIONS}.thinpool": "No effect: device mapper support no longer exists.",
    keys.SYNC: "Make every change durable before reporting success; cstore only.",
    keys.LOCK_TIMEOUT: "How long to wait for a lock, such as 30s; cstore only.",
}
_DEFAULTS = {
    keys.RUN_ROOT: "/run/containers/storage; for users $XDG_RUNTIME_DIR/containers",
    keys.GRAPH_ROOT: "/var/lib/containers/storage; for users ~/.local/share/containers/storage",
    keys.AUTO_USER: "containers",
    keys.AUTO_MIN_SIZE: "1024",
    keys.AUTO_MAX_SIZE: "65536",
    keys.SYNC: "true",
    keys.LOCK_TIMEOUT: "no limit",
}
_SINCE = {
    f"{_OVERLAY}.sync": "1.62 of containers/storage",
    _VFS_SYNC: "1.62 of containers/storage",
    keys.SYNC: "cstore",
    keys.LOCK_TIMEOUT: "cstore",
}
_ADDED_BY_KIND = {Kind.TEXTS: "[]", Kind.FLAG: "false", Kind.NUMBER: "0", Kind.TEXT_TABLE: "{}", Kind.EMPTY_TABLE: "{}"}


def meaning_of(key: str) -> str:
    """Return the meaning of a key in one line; a driver's own key without one has that of the general key."""
    return MEANINGS.get(key) or MEANINGS.get(f"{OPTIONS}.{key.rpartition('.')[2]}", "")


def default_of(key: str) -> str:
    """Return the value in effect if no file sets the key, as text for the user."""
    return _DEFAULTS.get(key) or _ADDED_BY_KIND.get(kind_of(key), '""')


def since(key: str) -> str:
    """Return the tool versions that support the key, as text for the user."""
    return _SINCE.get(key, "all versions of containers/storage from 1.43")


def starting_text() -> str:
    """Return the text of a file that has every key in a comment and therefore no effect."""
    lines = ["# Settings of the container store, read by cstore, Podman 6 and newer tools after the main storage.conf."]
    table = ""
    for key, kind in all_keys().items():
        above, _, name = key.rpartition(".")
        if kind in {Kind.EMPTY_TABLE, Kind.TEXT_TABLE} or ".aufs" in key:
            continue
        if above != table:
            lines += ["", f"[{above}]"]
            table = above
        value = {Kind.TEXTS: "[]", Kind.FLAG: "false", Kind.NUMBER: "0", Kind.SECONDS: "inf"}.get(kind, '""')
        lines += [f"# {meaning_of(key)}", f"#{name} = {'true' if key == keys.SYNC else value}"]
    return "\n".join(lines) + "\n"
