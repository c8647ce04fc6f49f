"""Long, random, reproducible sequences of commands.

They are chosen by a model that learns from the peer which commands succeeded, and so which items there are. It names
existing items most of the time, and wrong ones often enough to try the refusals.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# No empty name: once a layer has it, the peer takes that layer for the one of every image without layers.
NAMES = (
    "base", "app", "web", "weird <n> & é", "registry.example/a:1", "b:2", " ", "base ", "-dash", "tab\there",
    "two\nlines", '"quoted\\"', "../up", "x" * 300, "\u2028\x7f\x01\b\f", "10001",
)  # fmt: skip
KEYS = ("manifest", "manifest-two", "sha256:0123", "signatures", "A", "with space", "sub/dir", "é<&>", ".dot")
TEXTS = ("text", '{"json": "<&>"}', "", "é\u2028", "line\n")
MAPS = ("0:100000:65536", "0:1000:10:10:5000:5", "0:0:4294967295", "1:2", "0:1:10:10:100:10")
# 1.43 takes no SHA-512, later versions do.
DIGESTS = (
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha256:" + 64 * "0",
    "sha256:short",
    "md5:d41d8cd98f00b204e9800998ecf8427e",
    "bogus",
)


class Model:
    """What the sequence so far has made: the IDs of each kind."""

    def __init__(self, seed: int, files: dict[str, str], driver: str) -> None:
        self.random = random.Random(seed)
        self.files = files
        # Of an image with maps later versions mount the unmapped one, 1.43 the top layer; so a sequence has either.
        self.has_maps = seed % 2 == 1
        # 1.43 refuses to mount images with vfs.
        self.mounts_images = driver != "vfs" and not self.has_maps
        self.layers: list[str] = []
        self.images: list[str] = []
        self.containers: list[str] = []
        self.count = 0
        self.unnamed: list[str] = []
        self.untouched: list[str] = []
        self.bases: set[str] = set()
        self.full: list[str] = []

    def choose(self) -> list[str]:
        """Choose a command, each weighed by how often it makes sense."""
        choices: list[tuple[int, Callable[[], list[str]]]] = [
            (6, self.create_layer), (5, self.import_layer), (5, self.create_image), (6, self.create_container),
            (7, self.names), (4, self.metadata), (7, self.set_data), (5, self.get_data), (3, self.apply),
            (6, self.mounting), (2, self.mounting_images), (6, self.listing), (5, self.showing), (4, self.comparing),
            (3, self.copy), (2, self.by_digest), (2, self.directories), (1, self.owners),
            (3, self.delete_layer), (2, self.delete_image), (2, self.delete_container), (2, self.delete),
        ]  # fmt: skip
        (_, choose), *_ = self.random.choices(choices, [weight for weight, _ in choices])
        return choose()

    def learn(self, words: list[str]) -> None:
        """Note what a command that succeeded has made or removed."""
        verb, *_ = words
        if "--id" in words:
            made = words[words.index("--id") + 1]
            self._kind(verb).append(made)
            self.untouched += [made] * (verb == "create-layer")
            self.full += [made] * (self.files["base"] in words)
            self.unnamed += [made] * ("-n" not in words)
        elif verb.startswith("delete") and "--test" not in words:
            for kind in (self.layers, self.images, self.containers):
                if words[-1] in kind and (verb == "delete" or kind is self._kind(verb)):
                    kind.remove(words[-1])
            self.full = [layer for layer in self.full if layer in self.layers]
        touched = words[-1].partition(":")[0]
        if verb in ("applydiff", "copy", "mount"):
            self.untouched = [item for item in self.untouched if item != touched]
        if verb.startswith(("create", "import")):
            self.bases.add(words[-1])
        self.unnamed = [item for item in self.unnamed if not (item.startswith(touched) and "-n" in words)]

    def _kind(self, verb: str) -> list[str]:
        return {"image": self.images, "container": self.containers}.get(verb.rpartition("-")[2], self.layers)

    # ── words ──

    def chance(self, share: float) -> bool:
        """Throw a die that says yes so often."""
        return self.random.random() < share

    def new(self, kind: list[str], letter: str) -> str:
        """Give a new ID, or now and then one in use."""
        if kind and self.chance(0.08):
            return self.random.choice(kind)
        self.count += 1
        return f"{letter}{self.count:04d}"

    def some(self, kind: list[str]) -> str:
        """Name an item, or now and then nothing that there is."""
        if not kind or self.chance(0.06):
            return "nope"
        return self.random.choice(kind)

    def some_by_any_word(self, kind: list[str]) -> str:
        """Name an item by its ID, a prefix of it, or a name that it may have."""
        found = self.some(kind)
        if self.chance(0.15):
            return self.random.choice(NAMES)
        return found[: self.random.choice((3, 4, 5, 5, 5, 5))]

    def some_of_any(self) -> str:
        """Name an item of any kind."""
        return self.some_by_any_word(self.layers + self.images + self.containers)

    def file(self) -> str:
        """An archive."""
        return self.files[self.random.choice(("base", "base", "more", "garbage", "note"))]

    def name_options(self) -> list[str]:
        """Give names now and then."""
        if self.chance(0.6):
            return []
        names = self.random.choices(NAMES, [4] * 6 + [1] * (len(NAMES) - 6), k=self.random.choice((1, 1, 2)))
        return [word for name in names for word in ("-n", name)]

    def map_options(self) -> list[str]:
        """Give ID maps now and then."""
        if self.chance(0.7) or not self.has_maps:
            return []
        options = [[f"--{kind}idmap", self.random.choice(MAPS)] for kind in "ug"] + [["--hostuidmap", "--hostgidmap"]]
        chosen = options[:2] if self.chance(0.5) else [self.random.choice(options)]
        return [word for option in chosen for word in option]

    def metadata_options(self) -> list[str]:
        """Give metadata now and then."""
        if self.chance(0.6):
            return []
        return ["-m", self.random.choice(TEXTS)] if self.chance(0.6) else ["-f", self.files["note"]]

    def json(self) -> list[str]:
        """Ask for JSON half of the time."""
        return ["--json"] if self.chance(0.5) else []

    # ── making ──

    def create_layer(self) -> list[str]:
        """A layer above another one, or on nothing."""
        parent = [self.some_by_any_word(self.layers)] if self.layers and self.chance(0.7) else []
        more = [*self.name_options(), *self.map_options()]
        if self.chance(0.2):
            more += self.random.choice((["--readonly"], []))
        return ["create-layer", *self.json(), "--id", self.new(self.layers, "1"), *more, *parent]

    def import_layer(self) -> list[str]:
        """A layer from an archive; one with whiteouts only where they hide something, for others trouble the peer."""
        parent = [self.some(self.layers)] if self.layers and self.chance(0.5) else []
        archive = self.file()
        if self.full and self.chance(0.2):
            parent, archive = [self.random.choice(self.full)], self.files["less"]
        more = [*self.name_options(), *self.map_options()]
        return ["import-layer", "--id", self.new(self.layers, "1"), *more, "-f", archive, *parent]

    def create_image(self) -> list[str]:
        """An image, with a layer or without."""
        layer = [self.some_by_any_word(self.layers)] if self.chance(0.8) else []
        more = self.metadata_options()
        if self.chance(0.3):
            more += ["-d", self.random.choice(DIGESTS)]
        return ["create-image", *self.json(), "--id", self.new(self.images, "2"), *self.name_options(), *more, *layer]

    def create_container(self) -> list[str]:
        """A container of an image, or of none."""
        image = self.some_by_any_word(self.images) if self.chance(0.9) else ""
        more = [*self.name_options(), *self.metadata_options(), *self.map_options()]
        if self.chance(0.15):
            more += ["--volatile"]
        return ["create-container", *self.json(), "--id", self.new(self.containers, "3"), *more, image]

    # ── what is noted of items ──

    def names(self) -> list[str]:
        """Names added or replaced, or asked for."""
        verb = self.random.choice(("add-names", "set-names", "set-names", "get-names"))
        options = [] if verb == "get-names" else self.name_options()
        # 1.43 puts added names last, later versions first: only to an item without names all add them alike.
        item = self.some(self.unnamed) if verb == "add-names" and options else self.some_of_any()
        return [verb, *self.json(), *options, item]

    def metadata(self) -> list[str]:
        """Metadata set or shown."""
        if self.chance(0.5):
            how = ["-f", self.files["note"]] if self.chance(0.3) else ["-m", self.random.choice(TEXTS)]
            return ["set-metadata", *how, self.some_of_any()]
        quiet = ["-q"] if self.chance(0.3) else []
        return ["metadata", *quiet, *self.json(), self.some_of_any(), self.some_of_any()]

    def owner(self) -> tuple[str, str]:
        """Choose whose data item."""
        kind, items = self.random.choice(
            (("layer", self.layers), ("image", self.images), ("container", self.containers))
        )
        return kind, self.some_by_any_word(items)

    def set_data(self) -> list[str]:
        """A data item of anything."""
        kind, item = self.owner()
        return [f"set-{kind}-data", "-f", self.file(), item, self.random.choice(KEYS)]

    def get_data(self) -> list[str]:
        """A data item, its size or its digest, or all their names."""
        kind, item = self.owner()
        what = self.random.choice(("data", "data") if kind == "layer" else ("data", "data-size", "data-digest"))
        if self.chance(0.4):
            return [f"list-{kind}-data", *self.json(), item]
        return [f"get-{kind}-{what}", item, self.random.choice(KEYS)]

    # ── contents ──

    def apply(self) -> list[str]:
        """An archive applied to a layer to which none was: the peer does not get over what is there already.

        Nor to one that was mounted: cstore refuses to change an overlay layer under its users.
        """
        return ["applydiff", "-f", self.file(), self.some(self.untouched)]

    def copy(self) -> list[str]:
        """A file or a directory copied into a layer, from the host or another layer.

        A file never to where a directory is: cstore puts it in there, and the peer fails.
        """
        chown = ["--chown", self.random.choice(("7", "7:8", "x"))] if self.chance(0.4) else []
        source = self.random.choice((self.files["note"], f"{self.some(self.layers)}:/d/f", self.files["folder"]))
        name = self.random.choice(("copied", "d")) if source == self.files["folder"] else "file"
        target = f"{self.some(self.layers[-3:])}:/{name}"
        return ["copy", *chown, source, target]

    def mounting(self) -> list[str]:
        """Mounts made, asked for and taken back, of layers and containers."""
        verb = self.random.choice(("mount", "mount", "unmount", "unmount", "mounted"))
        force = ["--force"] if verb == "unmount" and self.chance(0.3) else []
        return [verb, *force, self.some(self.layers + self.containers)]

    def mounting_images(self) -> list[str]:
        """Mounts of images, made and taken back."""
        if not self.mounts_images:
            return self.mounting()
        verb = self.random.choice((["mount", "-r"], ["mount", "-r"], ["unmount"]))
        return [*verb, self.some_by_any_word(self.images)]

    def comparing(self) -> list[str]:
        """What a layer changes. The other layer is one that there is: the peer takes any word for the parent."""
        verb = self.random.choice((["diffsize"], ["diff"], ["diff", "-u"], ["changes", *self.json()]))
        other = [self.random.choice(self.layers)] if self.layers and self.chance(0.2) else []
        return [*verb, self.some_by_any_word(self.layers), *other]

    # ── asking ──

    def listing(self) -> list[str]:
        """All items of a kind."""
        return self.random.choice(
            (
                ["layers", *self.json()], ["images", *self.json()], ["containers", *self.json()],
                ["layers", "--tree"], ["images", "-q"], ["status", "--json"],
            )
        )  # fmt: skip

    def showing(self) -> list[str]:
        """One or two items of a kind."""
        if self.chance(0.4):
            only = [f"-{letter}" for letter in "lic" if self.chance(0.1)]
            return ["exists", *only, *self.json(), self.some_of_any(), self.some_of_any()]
        kind, item = self.owner()
        return [kind, *self.json(), item, *([self.owner()[1]] if self.chance(0.3) else [])]

    def by_digest(self) -> list[str]:
        """Images that have a digest."""
        return ["images-by-digest", *self.json(), self.random.choice(DIGESTS)]

    def directories(self) -> list[str]:
        """The directories of a container; 1.43 does not tell those of images."""
        verb = self.random.choice(("get-container-dir", "get-container-run-dir"))
        return [verb, self.some_by_any_word(self.containers)]

    def owners(self) -> list[str]:
        """Owners above the mount points."""
        kind = self.random.choice(("layer", "container"))
        return [f"{kind}-parent-owners", *self.json(), self.some(self.layers if kind == "layer" else self.containers)]

    # ── deleting ──

    def delete_layer(self) -> list[str]:
        """A layer that may be in use. By its whole ID: by another word the peer does not look."""
        return ["delete-layer", *self.json(), self.some(self.layers)]

    def delete_image(self) -> list[str]:
        """An image with the layers that nothing else needs."""
        test = ["--test"] if self.chance(0.3) else []
        return ["delete-image", *test, *self.json(), self.some_by_any_word(self.images)]

    def delete_container(self) -> list[str]:
        """A container with its layer."""
        return ["delete-container", *self.json(), self.some_by_any_word(self.containers)]

    def delete(self) -> list[str]:
        """Anything, without a check; of layers only those without any above: what is left of others differs."""
        layers = [layer for layer in self.layers if not any(layer.startswith(base) for base in self.bases)]
        return ["delete", *self.json(), self.some(self.containers + self.images + layers)]
