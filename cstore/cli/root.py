"""The program's table of contents: its commands, none of them imported before it is called for, and its options."""

from __future__ import annotations

from cstore.cli.command import SECONDS, SESSION, SWITCH, TEXT, TEXTS, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Entry:
    """One row: the name, `module:attribute` below `cstore.cli.commands`, one line of help, other spellings.

    No `Value`, whose making takes several times as long: all rows are made at every start.
    """

    def __init__(self, name: str, target: str, help: str, aliases: tuple[str, ...] = ()) -> None:  # noqa: A002  - as below
        self.name, self.target, self.help, self.aliases = name, target, help, aliases


SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Layers",
        (
            Entry("create-layer", "create:create_layer", "Create a layer.", ("createlayer",)),
            Entry("import-layer", "create:import_layer", "Create a layer from a tar archive.", ("importlayer",)),
            Entry("layers", "layers:layers", "List layers."),
            Entry("layer", "layers:layer", "Show layer records."),
            Entry("delete-layer", "delete:delete_layer", "Delete unused layers.", ("deletelayer",)),
            Entry(
                "create-storage-layer",
                "create:create_storage_layer",
                "Create a tree in the storage driver only.",
            ),
            Entry("storage-layers", "layers:storage_layers", "List the trees in the storage driver."),
            Entry(
                "layer-parent-owners",
                "layers:layer_parent_owners",
                "List owners of parent directories that a layer's ID map lacks.",
            ),
        ),
    ),
    (
        "Images",
        (
            Entry("create-image", "images:create_image", "Create an image from a layer.", ("createimage",)),
            Entry("import", "importing:import_", "Create an image from a root file system archive."),
            Entry("images", "images:images", "List images."),
            Entry("image", "images:image", "Show image records."),
            Entry("images-by-digest", "images:images_by_digest", "List the images that have a digest."),
            Entry(
                "delete-image",
                "delete:delete_image",
                "Delete images and the layers only they use.",
                ("deleteimage",),
            ),
            Entry("get-image-dir", "image_data:get_image_dir", "Print an image's own directory.", ("getimagedir",)),
            Entry(
                "get-image-run-dir",
                "image_data:get_image_run_dir",
                "Print an image's own run-time directory.",
                ("getimagerundir",),
            ),
        ),
    ),
    (
        "Containers",
        (
            Entry(
                "create-container",
                "containers:create_container",
                "Create a container from an image.",
                ("createcontainer",),
            ),
            Entry("containers", "containers:containers", "List containers."),
            Entry("container", "containers:container", "Show container records."),
            Entry(
                "delete-container",
                "delete:delete_container",
                "Delete containers.",
                ("deletecontainer",),
            ),
            Entry(
                "get-container-dir",
                "container_data:get_container_dir",
                "Print a container's own directory.",
                ("getcontainerdir",),
            ),
            Entry(
                "get-container-run-dir",
                "container_data:get_container_run_dir",
                "Print a container's own run-time directory.",
                ("getcontainerrundir",),
            ),
            Entry(
                "container-parent-owners",
                "containers:container_parent_owners",
                "List owners of parent directories that a container's ID map lacks.",
            ),
        ),
    ),
    (
        "Contents",
        (
            Entry("changes", "diff:changes", "List the files that a layer adds, modifies and deletes."),
            Entry("diff", "diff:diff", "Write a layer as a tar archive."),
            Entry("diffsize", "diff:diffsize", "Print the size of a layer's changes.", ("diff-size",)),
            Entry("applydiff", "diff:applydiff", "Apply a tar archive to a layer.", ("apply-diff",)),
            Entry(
                "applydiff-using-staging-dir",
                "staged_diff:applydiff_using_staging_dir",
                "Replace a layer's contents with a directory's.",
            ),
            Entry("copy", "copy:copy", "Copy files into an item, or out of one.", ("cp",)),
            Entry("ls", "contents:ls", "List files in an image, container or layer."),
            Entry("cat", "contents:cat", "Print files of an image, container or layer."),
            Entry("stat", "contents:stat", "Show the attributes of a file in an item."),
            Entry("find", "find:find", "Find files in an image, container or layer, or in all images."),
            Entry("compare", "compare:compare", "Compare the files of two images, containers or layers."),
            Entry("blame", "blame:blame", "Show which layers changed a file, or waste space."),
            Entry("mount", "mount:mount", "Mount layers or containers, or images read-only."),
            Entry("unmount", "mount:unmount", "Unmount layers, containers or images.", ("umount",)),
            Entry("mounted", "mount:mounted", "List the given layers or containers that are mounted."),
        ),
    ),
    (
        "Names and data",
        (
            Entry("exists", "exists:exists", "Check whether layers, images or containers exist."),
            Entry("get-names", "names:get_names", "List the names of an item.", ("getnames",)),
            Entry("set-names", "names:set_names", "Replace the names of an item.", ("setnames",)),
            Entry("add-names", "names:add_names", "Add names to an item.", ("addnames",)),
            Entry("remove-names", "names:remove_names", "Remove names from an item.", ("removenames",)),
            Entry("tag", "names:tag", "Add names to an image, as podman tag does."),
            Entry("untag", "names:untag", "Remove names from an image, as podman untag does."),
            Entry("metadata", "metadata:metadata", "Print the metadata of items."),
            Entry("set-metadata", "metadata:set_metadata", "Replace the metadata of an item.", ("setmetadata",)),
            Entry("list-layer-data", "bigdata:list_layer_data", "List the data items of a layer.", ("listlayerdata",)),
            Entry("get-layer-data", "bigdata:get_layer_data", "Write a data item of a layer.", ("getlayerdata",)),
            Entry("set-layer-data", "bigdata:set_layer_data", "Store a data item with a layer.", ("setlayerdata",)),
            Entry("delete-layer-data", "bigdata:delete_layer_data", "Delete a data item of a layer."),
            Entry(
                "list-image-data", "image_data:list_image_data", "List the data items of an image.", ("listimagedata",)
            ),
            Entry("get-image-data", "image_data:get_image_data", "Write a data item of an image.", ("getimagedata",)),
            Entry(
                "get-image-data-size",
                "image_data:get_image_data_size",
                "Print the size of a data item of an image.",
                ("getimagedatasize",),
            ),
            Entry(
                "get-image-data-digest",
                "image_data:get_image_data_digest",
                "Print the digest of a data item of an image.",
                ("getimagedatadigest",),
            ),
            Entry("set-image-data", "image_data:set_image_data", "Store a data item with an image.", ("setimagedata",)),
            Entry("delete-image-data", "image_data:delete_image_data", "Delete a data item of an image."),
            Entry(
                "list-container-data",
                "container_data:list_container_data",
                "List the data items of a container.",
                ("listcontainerdata",),
            ),
            Entry(
                "get-container-data",
                "container_data:get_container_data",
                "Write a data item of a container.",
                ("getcontainerdata",),
            ),
            Entry(
                "get-container-data-size",
                "container_data:get_container_data_size",
                "Print the size of a data item of a container.",
                ("getcontainerdatasize",),
            ),
            Entry(
                "get-container-data-digest",
                "container_data:get_container_data_digest",
                "Print the digest of a data item of a container.",
                ("getcontainerdatadigest",),
            ),
            Entry(
                "set-container-data",
                "container_data:set_container_data",
                "Store a data item with a container.",
                ("setcontainerdata",),
            ),
            Entry(
                "delete-container-data", "container_data:delete_container_data", "Delete a data item of a container."
            ),
        ),
    ),
    (
        "Docker and OCI",
        (
            Entry("pull", "pull:pull", "Pull images from registries."),
            Entry("push", "push:push", "Push an image to a registry."),
            Entry("sync", "sync:sync", "Mirror many images to another place."),
            Entry("relocate", "relocate:relocate", "Show what still names the old place of a store."),
            Entry("load", "load:load", "Load images from an archive."),
            Entry("save", "save:save", "Write images to an archive."),
            Entry(
                "copy-image",
                "copy_image:copy_image",
                "Copy an image between stores, registries, layouts, directories and archives.",
            ),
            Entry("docker-images", "docker:docker_images", "List the images in a Docker data root."),
            Entry("docker-layers", "docker:docker_layers", "List the layers in a Docker data root."),
            Entry("docker-containers", "docker:docker_containers", "List the containers in a Docker data root."),
            Entry("docker-import", "docker:docker_import", "Import images from a Docker data root."),
            Entry(
                "docker-export",
                "docker:docker_export",
                "Write an image, layer or container of a Docker data root as a tar archive.",
            ),
        ),
    ),
    (
        "Registries",
        (
            Entry("login", "registries:login", "Log in to a registry."),
            Entry("logout", "registries:logout", "Log out of a registry."),
            Entry("tags", "registries:tags", "List the tags of a repository.", ("list-tags",)),
        ),
    ),
    (
        "Docker's layers and images",
        (
            Entry("register", "chains:register", "Register a tar archive as a layer by ChainID."),
            Entry("chains", "chains:chains", "List layers by ChainID."),
            Entry("export-chain", "chains:export_chain", "Write a layer, or a chain of layers, as a tar archive."),
            Entry("release", "chains:release", "Delete layers that nothing uses."),
            Entry("create-writable", "writables:create_writable", "Create a named writable layer."),
            Entry("writables", "writables:writables", "List writable layers."),
            Entry("commit", "writables:commit", "Create an image from a writable layer."),
            Entry(
                "delete-writable", "writables:delete_writable", "Delete writable layers and layers that become unused."
            ),
            Entry(
                "register-image",
                "configs:register_image",
                "Create an image from a config JSON; its digest becomes the ID.",
            ),
            Entry("release-image", "configs:release_image", "Delete images and layers that become unused."),
            Entry("lineage", "configs:lineage", "Show an image's parent, children and build notes."),
            Entry("search", "lineage:search", "Find an image by an ID prefix."),
            Entry("children", "lineage:children", "List the images built from an image."),
            Entry("heads", "lineage:heads", "List the images without children."),
            Entry("history", "lineage:history", "Show the build steps of an image."),
        ),
    ),
    (
        "Answers and deletion",
        (
            Entry("inspect", "inspect:inspect", "Print everything about items as JSON."),
            Entry("df", "usage:df", "Show what takes up the space of the store."),
            Entry("why", "holders:why", "Show what holds images, containers and layers."),
            Entry("whois", "holders:whois", "Show what a path, hash, link, process or mount point belongs to."),
            Entry("rm", "removals:rm", "Delete images, containers and layers that nothing else needs."),
            Entry("prune", "removals:prune", "Delete images that nothing uses, by rules."),
        ),
    ),
    (
        "Check and repair",
        (
            Entry("check", "check:check", "Check the store for damage."),
            Entry("repair", "repair:repair", "Heal a damaged store."),
            Entry("gc", "gc:gc", "Remove what interrupted commands left behind."),
        ),
    ),
    (
        "The store",
        (
            Entry("status", "status:status", "Show the store's location and driver."),
            Entry("browse", "browse:browse", "Browse the store in a terminal interface."),
            Entry("report", "report:report", "Write a page about the store, for a browser."),
            Entry("doctor", "doctor:doctor", "Check whether this host is sound for container storage."),
            Entry("config", "config:config", "Print, explain, check or change the configuration."),
            Entry("dedup", "dedup:dedup", "Share the space of equal files."),
            Entry("delete", "delete:delete", "Delete items even if they are in use."),
            Entry("wipe", "wipe:wipe", "Delete all layers, images and containers."),
            Entry("shutdown", "wipe:shutdown", "Unmount the storage driver."),
            Entry("unshare", "unshare:unshare", "Run a program in your user namespace."),
            Entry("batch", "batch:batch", "Run commands from standard input, one per line."),
            Entry("completion", "completion:completion", "Print the completion script for a shell."),
            Entry("version", "status:version", "Print the version."),
        ),
    ),
)


COMMON = (
    "images",
    "containers",
    "layers",
    "pull",
    "push",
    "load",
    "save",
    "import",
    "mount",
    "copy",
    "check",
    "repair",
    "gc",
)
"""The commands that the help lists first."""

BORROWED = {
    "attach": "containers are run by Podman: podman attach NAME.",
    "build": "images are built by Buildah: buildah build DIRECTORY.",
    "clean": "cstore gc removes what interrupted commands left behind.",
    "cleanup": "cstore gc removes what interrupted commands left behind.",
    "create": "use cstore create-layer, cstore create-image or cstore create-container.",
    "exec": "containers are run by Podman: podman exec NAME COMMAND.",
    "export": "cstore diff writes a layer as a tar archive, cstore save an image.",
    "fix": "use cstore repair.",
    "fsck": "cstore check looks for damage, cstore repair heals it.",
    "info": "use cstore status.",
    "list": "use cstore images, cstore containers or cstore layers.",
    "ps": "use cstore containers.",
    "remove": "use cstore delete-image, cstore delete-container or cstore delete-layer.",
    "rmi": "use cstore delete-image.",
    "run": "containers are run by Podman: podman run IMAGE.",
    "start": "containers are run by Podman: podman start NAME.",
    "stop": "containers are run by Podman: podman stop NAME.",
    "tree": "use cstore layers --tree.",
    "validate": "cstore check looks for damage.",
    "verify": "cstore check looks for damage.",
}
"""Commands of other programs, and the hint for users who type them."""


BORROWED_OPTIONS = {
    "--format": "use --json for JSON, or --columns in lists.",
    "--no-heading": "a pipe gets no headings.",
    "--noheading": "a pipe gets no headings.",
}
"""Options of other programs, and what to use instead, where a command has none of that name."""


def entries() -> Iterator[Entry]:
    """All rows of the table, in its order."""
    for _title, rows in SECTIONS:
        yield from rows


def targets() -> dict[str, str]:
    """Where each command is, by name and alias."""
    return {name: entry.target for entry in entries() for name in (entry.name, *entry.aliases)}


def find(name: str) -> Command | None:
    """Import the command of that name or alias; None if there is none."""
    target = targets().get(name)
    if target is None:
        return None
    module, _, attribute = target.partition(":")
    found = getattr(__import__(f"cstore.cli.commands.{module}", fromlist=[attribute]), attribute)
    if not isinstance(found, Command):
        raise TypeError(f"{target} is not declared with @command")
    return found


def _global(
    *spellings: str,
    help: str,  # noqa: A002  - reads best where it is used
    takes: str = TEXT,
    metavar: str = "TEXT",
    choices: tuple[str, ...] = (),
) -> Option:
    return Option(spellings=spellings, help=help, takes=takes, metavar=metavar, tells=SESSION, choices=choices)


GLOBAL_OPTIONS = (
    _global("-g", "--graph", metavar="PATH", help="Root of the storage tree."),
    _global("-R", "--run", metavar="PATH", help="Root of the runtime state tree."),
    _global("--image-store", metavar="PATH", help="Root of the separate image store."),
    _global("--transient-store", takes=SWITCH, help="Keep container records in the run root."),
    _global("-s", "--storage-driver", metavar="NAME", help="Storage driver ($STORAGE_DRIVER)."),
    _global("--storage-opt", takes=TEXTS, metavar="KEY=VALUE", help="Driver option ($STORAGE_OPTS); may be repeated."),
    _global("--no-sync", takes=SWITCH, help="Do not sync to disk: faster, but a power cut may lose changes."),
    _global("--lock-timeout", takes=SECONDS, metavar="SECONDS", help="Give up waiting for a lock after this time."),
    _global("-U", "--unshare", takes=SWITCH, help="Run in a user namespace (the default for ordinary users)."),
    _global("--config", metavar="FILE", help="Configuration file ($CONTAINERS_STORAGE_CONF)."),
    _global("--raw", takes=SWITCH, help="Write control characters to a terminal unescaped."),
    _global(
        "--progress",
        metavar="HOW",
        help="auto (a bar on a terminal), plain (a line a minute), json or none.",
        choices=("auto", "plain", "json", "none"),
    ),
    _global("-D", "--debug", takes=SWITCH, help="Print debugging information."),
)
"""The options that are accepted before the command and after it."""


def options_after(command: Command) -> tuple[Option, ...]:
    """The options that are accepted after a command: its own, and the global ones without spellings that it has."""
    own = {spelling for option in command.options for spelling in option.spellings}
    others = (
        option if own.isdisjoint(option.spellings) else option.with_(spellings=tuple(_without(option.spellings, own)))
        for option in GLOBAL_OPTIONS
    )
    return (*command.options, *others)


def _without(spellings: tuple[str, ...], taken: set[str]) -> Iterator[str]:
    return (spelling for spelling in spellings if spelling not in taken)
