"""The table of commands, each of which is imported only when it is used, and the global options."""

from __future__ import annotations

from cstore.cli.command import SECONDS, SESSION, SWITCH, TEXT, TEXTS, Command, Option
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Entry(Value):
    """A row of the table: the name, `module:attribute` below `cstore.cli.commands`, one line of help, and aliases."""

    name: str
    target: str
    help: str
    aliases: tuple[str, ...] = ()


SECTIONS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "Layers",
        (
            ("create-layer", "create:create_layer", "Create a layer.", "createlayer"),
            ("import-layer", "create:import_layer", "Create a layer from a tar archive.", "importlayer"),
            ("layers", "layers:layers", "List layers."),
            ("layer", "layers:layer", "Show layer records."),
            ("delete-layer", "delete:delete_layer", "Delete unused layers.", "deletelayer"),
            (
                "create-storage-layer",
                "create:create_storage_layer",
                "Create a tree in the storage driver only.",
            ),
            ("storage-layers", "layers:storage_layers", "List the trees in the storage driver."),
            (
                "layer-parent-owners",
                "layers:layer_parent_owners",
                "List owners of parent directories that a layer's ID map lacks.",
            ),
        ),
    ),
    (
        "Images",
        (
            ("create-image", "images:create_image", "Create an image from a layer.", "createimage"),
            ("import", "importing:import_", "Create an image from a root file system archive."),
            ("images", "images:images", "List images."),
            ("image", "images:image", "Show image records."),
            ("images-by-digest", "images:images_by_digest", "List the images that have a digest."),
            (
                "delete-image",
                "delete:delete_image",
                "Delete images and the layers only they use.",
                "deleteimage",
            ),
            ("get-image-dir", "image_data:get_image_dir", "Print an image's own directory.", "getimagedir"),
            (
                "get-image-run-dir",
                "image_data:get_image_run_dir",
                "Print an image's own run-time directory.",
                "getimagerundir",
            ),
        ),
    ),
    (
        "Containers",
        (
            (
                "create-container",
                "containers:create_container",
                "Create a container from an image.",
                "createcontainer",
            ),
            ("containers", "containers:containers", "List containers."),
            ("container", "containers:container", "Show container records."),
            (
                "delete-container",
                "delete:delete_container",
                "Delete containers.",
                "deletecontainer",
            ),
            (
                "get-container-dir",
                "container_data:get_container_dir",
                "Print a container's own directory.",
                "getcontainerdir",
            ),
            (
                "get-container-run-dir",
                "container_data:get_container_run_dir",
                "Print a container's own run-time directory.",
                "getcontainerrundir",
            ),
            (
                "container-parent-owners",
                "containers:container_parent_owners",
                "List owners of parent directories that a container's ID map lacks.",
            ),
        ),
    ),
    (
        "Contents",
        (
            ("changes", "diff:changes", "List the files that a layer adds, modifies and deletes."),
            ("diff", "diff:diff", "Write a layer as a tar archive."),
            ("diffsize", "diff:diffsize", "Print the size of a layer's changes.", "diff-size"),
            ("applydiff", "diff:applydiff", "Apply a tar archive to a layer.", "apply-diff"),
            (
                "applydiff-using-staging-dir",
                "diff:applydiff_using_staging_dir",
                "Replace a layer's contents with a directory's.",
            ),
            ("copy", "copy:copy", "Copy files into an item, or out of one.", "cp"),
            ("ls", "contents:ls", "List files in an image, container or layer."),
            ("cat", "contents:cat", "Print files of an image, container or layer."),
            ("stat", "contents:stat", "Show the attributes of a file in an item."),
            ("find", "find:find", "Find files in an image, container or layer, or in all images."),
            ("compare", "compare:compare", "Compare the files of two images, containers or layers."),
            ("blame", "blame:blame", "Show which layers changed a file, or waste space."),
            ("mount", "mount:mount", "Mount layers or containers, or images read-only."),
            ("unmount", "mount:unmount", "Unmount layers, containers or images.", "umount"),
            ("mounted", "mount:mounted", "List the given layers or containers that are mounted."),
        ),
    ),
    (
        "Names and data",
        (
            ("exists", "exists:exists", "Check whether layers, images or containers exist."),
            ("get-names", "names:get_names", "List the names of an item.", "getnames"),
            ("set-names", "names:set_names", "Replace the names of an item.", "setnames"),
            ("add-names", "names:add_names", "Add names to an item.", "addnames"),
            ("remove-names", "names:remove_names", "Remove names from an item.", "removenames"),
            ("tag", "names:tag", "Add names to an image, as podman tag does."),
            ("untag", "names:untag", "Remove names from an image, as podman untag does."),
            ("metadata", "metadata:metadata", "Print the metadata of items."),
            ("set-metadata", "metadata:set_metadata", "Replace the metadata of an item.", "setmetadata"),
            ("list-layer-data", "bigdata:list_layer_data", "List the data items of a layer.", "listlayerdata"),
            ("get-layer-data", "bigdata:get_layer_data", "Write a data item of a layer.", "getlayerdata"),
            ("set-layer-data", "bigdata:set_layer_data", "Store a data item with a layer.", "setlayerdata"),
            ("delete-layer-data", "bigdata:delete_layer_data", "Delete a data item of a layer."),
            ("list-image-data", "image_data:list_image_data", "List the data items of an image.", "listimagedata"),
            ("get-image-data", "image_data:get_image_data", "Write a data item of an image.", "getimagedata"),
            (
                "get-image-data-size",
                "image_data:get_image_data_size",
                "Print the size of a data item of an image.",
                "getimagedatasize",
            ),
            (
                "get-image-data-digest",
                "image_data:get_image_data_digest",
                "Print the digest of a data item of an image.",
                "getimagedatadigest",
            ),
            ("set-image-data", "image_data:set_image_data", "Store a data item with an image.", "setimagedata"),
            ("delete-image-data", "image_data:delete_image_data", "Delete a data item of an image."),
            (
                "list-container-data",
                "container_data:list_container_data",
                "List the data items of a container.",
                "listcontainerdata",
            ),
            (
                "get-container-data",
                "container_data:get_container_data",
                "Write a data item of a container.",
                "getcontainerdata",
            ),
            (
                "get-container-data-size",
                "container_data:get_container_data_size",
                "Print the size of a data item of a container.",
                "getcontainerdatasize",
            ),
            (
                "get-container-data-digest",
                "container_data:get_container_data_digest",
                "Print the digest of a data item of a container.",
                "getcontainerdatadigest",
            ),
            (
                "set-container-data",
                "container_data:set_container_data",
                "Store a data item with a container.",
                "setcontainerdata",
            ),
            ("delete-container-data", "container_data:delete_container_data", "Delete a data item of a container."),
        ),
    ),
    (
        "Docker and OCI",
        (
            ("pull", "pull:pull", "Pull images from registries."),
            ("push", "push:push", "Push an image to a registry."),
            ("sync", "sync:sync", "Mirror many images to another place."),
            ("relocate", "relocate:relocate", "Show what still names the old place of a store."),
            ("load", "load:load", "Load images from an archive."),
            ("save", "save:save", "Write images to an archive."),
            (
                "copy-image",
                "copy_image:copy_image",
                "Copy an image between stores, registries, layouts, directories and archives.",
            ),
            ("docker-images", "docker:docker_images", "List the images in a Docker data root."),
            ("docker-layers", "docker:docker_layers", "List the layers in a Docker data root."),
            ("docker-containers", "docker:docker_containers", "List the containers in a Docker data root."),
            ("docker-import", "docker:docker_import", "Import images from a Docker data root."),
            (
                "docker-export",
                "docker:docker_export",
                "Write an image, layer or container of a Docker data root as a tar archive.",
            ),
        ),
    ),
    (
        "Registries",
        (
            ("login", "registries:login", "Log in to a registry."),
            ("logout", "registries:logout", "Log out of a registry."),
            ("tags", "registries:tags", "List the tags of a repository.", "list-tags"),
        ),
    ),
    (
        "Docker's layers and images",
        (
            ("register", "chains:register", "Register a tar archive as a layer by ChainID."),
            ("chains", "chains:chains", "List layers by ChainID."),
            ("export-chain", "chains:export_chain", "Write a layer, or a chain of layers, as a tar archive."),
            ("release", "chains:release", "Delete layers that nothing uses."),
            ("create-writable", "writables:create_writable", "Create a named writable layer."),
            ("writables", "writables:writables", "List writable layers."),
            ("commit", "writables:commit", "Create an image from a writable layer."),
            ("delete-writable", "writables:delete_writable", "Delete writable layers and layers that become unused."),
            (
                "register-image",
                "configs:register_image",
                "Create an image from a config JSON; its digest becomes the ID.",
            ),
            ("release-image", "configs:release_image", "Delete images and layers that become unused."),
            ("lineage", "configs:lineage", "Show an image's parent, children and build notes."),
            ("search", "lineage:search", "Find an image by an ID prefix."),
            ("children", "lineage:children", "List the images built from an image."),
            ("heads", "lineage:heads", "List the images without children."),
            ("history", "lineage:history", "Show the build steps of an image."),
        ),
    ),
    (
        "Answers and deletion",
        (
            ("inspect", "inspect:inspect", "Print everything about items as JSON."),
            ("df", "usage:df", "Show what takes up the space of the store."),
            ("why", "holders:why", "Show what holds images, containers and layers."),
            ("whois", "holders:whois", "Show what a path, hash, link, process or mount point belongs to."),
            ("rm", "removals:rm", "Delete images, containers and layers that nothing else needs."),
            ("prune", "removals:prune", "Delete images that nothing uses, by rules."),
        ),
    ),
    (
        "Check and repair",
        (
            ("check", "check:check", "Check the store for damage."),
            ("repair", "repair:repair", "Heal a damaged store."),
            ("gc", "gc:gc", "Remove what interrupted commands left behind."),
        ),
    ),
    (
        "The store",
        (
            ("status", "status:status", "Show the store's location and driver."),
            ("browse", "browse:browse", "Browse the store in a terminal interface."),
            ("report", "report:report", "Write a page about the store, for a browser."),
            ("doctor", "doctor:doctor", "Check whether this host is sound for container storage."),
            ("config", "config:config", "Print, explain, check or change the configuration."),
            ("dedup", "dedup:dedup", "Share the space of equal files."),
            ("delete", "delete:delete", "Delete items even if they are in use."),
            ("wipe", "wipe:wipe", "Delete all layers, images and containers."),
            ("shutdown", "wipe:shutdown", "Unmount the storage driver."),
            ("unshare", "unshare:unshare", "Run a program in your user namespace."),
            ("batch", "batch:batch", "Run commands from standard input, one per line."),
            ("completion", "completion:completion", "Print the completion script for a shell."),
            ("version", "status:version", "Print the version."),
        ),
    ),
)

"""Titles and rows: name, target, help and aliases. They are constants for the compiler, so startup creates nothing."""

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
"""The names of other programs' commands, with the hint for each."""


BORROWED_OPTIONS = {
    "--format": "use --json for JSON, or --columns in lists.",
    "--no-heading": "a pipe gets no headings.",
    "--noheading": "a pipe gets no headings.",
}
"""Options of other programs, with the hint for a command that has no option of that name."""


def sections() -> list[tuple[str, list[Entry]]]:
    """Return the sections of the table in order, as titles and rows."""
    return [(title, [Entry(row[0], row[1], row[2], row[3:]) for row in rows]) for title, rows in SECTIONS]


def entries() -> Iterator[Entry]:
    """Yield all rows of the table in order."""
    for _title, rows in sections():
        yield from rows


def targets() -> dict[str, str]:
    """Return the target of each command by name and alias."""
    return {name: entry.target for entry in entries() for name in (entry.name, *entry.aliases)}


def find(name: str) -> Command | None:
    """Import and return the command with that name or alias; None if there is none."""
    rows = (row for _title, rows in SECTIONS for row in rows)
    target = next((row[1] for row in rows if name == row[0] or name in row[3:]), None)
    if target is None:
        return None
    module, _, attribute = target.partition(":")
    found = getattr(__import__(f"cstore.cli.commands.{module}", fromlist=[attribute]), attribute)
    if not isinstance(found, Command):
        raise TypeError(f"{target} is not declared with @command")
    return found


def _global(
    *spellings: str,
    help: str,  # noqa: A002  - the clearest name at the call
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
"""The options accepted before and after the command."""


def options_after(command: Command) -> tuple[Option, ...]:
    """Return the options accepted after a command: its own, and the global ones without the spellings of its own."""
    own = {spelling for option in command.options for spelling in option.spellings}
    others = (
        option if own.isdisjoint(option.spellings) else option.with_(spellings=tuple(_without(option.spellings, own)))
        for option in GLOBAL_OPTIONS
    )
    return (*command.options, *others)


def _without(spellings: tuple[str, ...], taken: set[str]) -> Iterator[str]:
    return (spelling for spelling in spellings if spelling not in taken)
