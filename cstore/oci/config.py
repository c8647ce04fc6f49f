"""The image JSON: typed objects for known fields, and the bytes themselves, which are never rewritten (docker 6).

An image's ID is the digest of these bytes, so unknown fields are kept. Keys are looked up as in Go, ignoring case; the
last of several counts.
"""

from __future__ import annotations

import re

from cstore.digests import check_digest, digest_of
from cstore.errors import ImageInvalid, InvalidDigest
from cstore.oci.chain import chain_id, layer_ids
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


class RootFS(Value):
    """The layers of an image: DiffIDs, bottom first."""

    type: str = "layers"
    diff_ids: tuple[str, ...] = ()

    @property
    def chain_id(self) -> str:
        """The ChainID of the top layer; "" without layers."""
        return chain_id(self.diff_ids)

    @property
    def layer_ids(self) -> tuple[str, ...]:
        """The IDs of these layers in a store that skopeo or Podman filled."""
        return layer_ids(self.diff_ids)

    def append(self, diff_id: str) -> RootFS:
        """Return a copy with one more layer on top."""
        return self.with_(diff_ids=(*self.diff_ids, diff_id))


class HistoryItem(Value):
    """One step in the creation of an image. `empty_layer`: the step added no layer."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False

    def document(self) -> dict[str, object]:
        """Return the item as JSON, without empty fields."""
        return {key: value for key, value in self.as_dict().items() if value}


class Platform(Value):
    """The platform of an image, in the terms of its config."""

    os: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()


class ImageConfig(Value):
    """An image JSON.

    Attributes:
        raw: its bytes.
        document: the parsed JSON.
        rootfs: the layers.
        history: the steps that created the image, the first one first; may be empty.
        created: the time of its creation, RFC 3339, or "".
        platform: the platform that it runs on.
    """

    raw: bytes
    document: Mapping[str, Any]
    rootfs: RootFS
    history: tuple[HistoryItem, ...] = ()
    created: str = ""
    platform: Platform = Platform()

    @property
    def id(self) -> str:
        """The image ID without its algorithm: 64 hex digits."""
        return self.digest.partition(":")[2]

    @property
    def digest(self) -> str:
        """The image ID: the digest of the bytes."""
        return digest_of(self.raw)

    @property
    def run_config(self) -> Mapping[str, Any]:
        """The config for running containers of the image: the key `config`."""
        found = _field(self.document, "config")
        return found if isinstance(found, dict) else {}

    @property
    def container_config(self) -> Mapping[str, Any]:
        """The config of the container that the image was made from: the key `container_config`."""
        found = _field(self.document, "container_config")
        return found if isinstance(found, dict) else {}

    @property
    def author(self) -> str:
        """The author, or ""."""
        return self.text("author")

    @property
    def comment(self) -> str:
        """The comment, or ""."""
        return self.text("comment")

    @property
    def parent(self) -> str:
        """The ID of the image that it was made from, which images in Docker's first format record, or ""."""
        return self.text("parent")

    @property
    def size(self) -> int | None:
        """The recorded size in bytes; None for most images, which record none."""
        found = _field(self.document, "size")
        return found if type(found) is int else None

    def on_host(self, host: Platform) -> Platform:
        """Return the platform, with missing fields from `host`; see `platforms.host_platform`."""
        own = self.platform
        return own.with_(os=own.os or host.os, architecture=own.architecture or host.architecture)

    def changed(self, **fields: Any) -> ImageConfig:
        """Return a config with some fields changed, which therefore has another ID.

        Args:
            fields: `rootfs`, `history`, `created` and `platform` with the types used here; any other key of the JSON
                with its JSON value. None removes a key.

        Raises:
            ImageInvalid: the result is not a valid config.
        """
        from cstore.gojson import encode

        typed: dict[str, Any] = {}
        for name, value in fields.items():
            if isinstance(value, Platform):
                typed |= {"os": value.os, "architecture": value.architecture, "variant": value.variant}
                typed |= {"os.version": value.os_version, "os.features": list(value.os_features)}
            elif isinstance(value, RootFS):
                typed[name] = {"type": value.type, "diff_ids": list(value.diff_ids)}
            elif name == "history" and value is not None:
                typed[name] = [item.document() if isinstance(item, HistoryItem) else item for item in value]
            else:
                typed[name] = value
        kept = {key: value for key, value in self.document.items() if key.lower() not in typed}
        written = {key: value for key, value in typed.items() if value or key == "rootfs"}
        return parse_config(encode({**kept, **written}, sort_keys=True))

    def text(self, key: str) -> str:
        """Return the text of a top-level key; "" if there is none."""
        return _text(self.document, key)

    def check_history(self) -> None:
        """Compare the history with the layers.

        Raises:
            ImageInvalid: the history has more items with a layer than there are layers. Fewer are valid (docker 7.2).
        """
        with_layer = sum(not item.empty_layer for item in self.history)
        if with_layer > len(self.rootfs.diff_ids):
            raise ImageInvalid(
                f"its history has {with_layer} layers, but the image has {len(self.rootfs.diff_ids)}",
                go_text="too many non-empty layers in History section",
            )

    def check_diff_ids(self) -> None:
        """Check that all DiffIDs are valid, because they become parts of paths.

        Raises:
            ImageInvalid: a DiffID is not `sha256:` and 64 hex digits.
        """
        for place, diff_id in enumerate(self.rootfs.diff_ids):
            try:
                check_digest(diff_id)
            except InvalidDigest as error:
                raise ImageInvalid(f"the DiffID of layer {place} is {diff_id!r}: {error.reason}") from None
            if not diff_id.startswith("sha256:"):
                raise ImageInvalid(f"the DiffID of layer {place} is {diff_id!r}, but layers must use sha256")


def empty_config() -> ImageConfig:
    """Return an empty config, to be filled with `changed`."""
    return parse_config(b'{"rootfs":{"type":"layers","diff_ids":[]}}')


def parse_config(raw: bytes) -> ImageConfig:
    """Read an image JSON.

    Raises:
        ImageInvalid: it is not a JSON object, has no rootfs, or a field has the wrong type.
    """
    import json

    try:
        document = json.loads(raw.decode(errors="replace"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ImageInvalid(f"its config is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ImageInvalid("its config is not a JSON object")
    rootfs = _field(document, "rootfs")
    if rootfs is None:
        raise ImageInvalid("its config has no rootfs", go_text="invalid image JSON, no RootFS key")
    if not isinstance(rootfs, dict):
        raise ImageInvalid("the rootfs in its config is not an object")
    diff_ids = _list(rootfs, "diff_ids")
    if not all(isinstance(diff_id, str) for diff_id in diff_ids):
        raise ImageInvalid("a DiffID in its config is not a string")
    return ImageConfig(
        raw=raw,
        document=document,
        rootfs=RootFS(_text(rootfs, "type"), tuple(diff_ids)),
        history=tuple(map(_history_item, _list(document, "history"))),
        created=_time(document),
        platform=Platform(
            os=_text(document, "os"),
            architecture=_text(document, "architecture"),
            variant=_text(document, "variant"),
            os_version=_text(document, "os.version"),
            os_features=tuple(map(str, _list(document, "os.features"))),
        ),
    )


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is not a number")


def _field(document: Mapping[str, Any], key: str) -> Any:
    if key in document:
        return document[key]
    return next((document[other] for other in reversed(list(document)) if other.lower() == key), None)


def _text(document: Mapping[str, Any], key: str) -> str:
    found = _field(document, key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise ImageInvalid(f"{key!r} in its config is not a string")
    return found


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    found = _field(document, key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ImageInvalid(f"{key!r} in its config is not a list")
    return found


def _time(document: Mapping[str, Any]) -> str:
    found = _text(document, "created")
    if found and not _TIME.fullmatch(found):
        raise ImageInvalid(f"it was created at {found!r}, which is not a time", go_text=f'parsing time "{found}"')
    return found


def _history_item(found: object) -> HistoryItem:
    if not isinstance(found, dict):
        raise ImageInvalid("an item of the history in its config is not an object")
    return HistoryItem(
        created=_time(found),
        created_by=_text(found, "created_by"),
        author=_text(found, "author"),
        comment=_text(found, "comment"),
        empty_layer=_field(found, "empty_layer") is True,
    )
