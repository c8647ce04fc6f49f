"""A summary of an image's config: its platform, run parameters and history."""

from __future__ import annotations

from cstore.store import bigdata
from cstore.store.places import ItemKind
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cstore.oci.config import ImageConfig
    from cstore.records.model import Image
    from cstore.store.context import Context


class ConfigSummary(Value):
    """The fields of an image's config. Missing fields, and those of a wrong type, are empty.

    Attributes:
        digest: of the config.
        created: RFC 3339.
        history: the build steps of the image, oldest first, without empty fields.
    """

    digest: str
    os: str
    architecture: str
    variant: str
    created: str
    author: str
    env: tuple[str, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    user: str
    working_dir: str
    stop_signal: str
    exposed_ports: tuple[str, ...]
    volumes: tuple[str, ...]
    labels: Mapping[str, str]
    history: tuple[Mapping[str, object], ...]


def image_config(context: Context, image: Image) -> ConfigSummary | None:
    """Read an image's config: the data item of the image's digest, or the one that its manifest names.

    Returns:
        None if the image has neither, such as a manually created image.

    Raises:
        ImageInvalid: it is not a config.
        DataItemUnknown, SystemFailure: it cannot be read.
    """
    from cstore.oci.config import parse_config

    name = f"sha256:{image.id}"
    if name not in image.data_names:
        if "manifest" not in image.data_names:
            return None
        import json

        try:
            manifest = json.loads(bigdata.get_data(context, ItemKind.IMAGES, image.id, "manifest"))
            name = str(manifest["config"]["digest"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if name not in image.data_names:
            return None
    return summary(parse_config(bigdata.get_data(context, ItemKind.IMAGES, image.id, name)))


def summary(config: ImageConfig) -> ConfigSummary:
    """Return the summary of a config."""
    run = {str(key).lower(): value for key, value in config.run_config.items()}
    labels = run.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    return ConfigSummary(
        digest=config.digest,
        os=config.platform.os,
        architecture=config.platform.architecture,
        variant=config.platform.variant,
        created=config.created,
        author=config.text("author"),
        env=_texts(run.get("env")),
        entrypoint=_texts(run.get("entrypoint")),
        cmd=_texts(run.get("cmd")),
        user=_text(run.get("user")),
        working_dir=_text(run.get("workingdir")),
        stop_signal=_text(run.get("stopsignal")),
        exposed_ports=_texts(run.get("exposedports")),
        volumes=_texts(run.get("volumes")),
        labels={key: text for key, text in labels.items() if isinstance(text, str)},
        history=tuple(step.document() for step in config.history),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    """Return the items of a list, the keys of an object, or a string as a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | dict) else ()
