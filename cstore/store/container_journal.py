"""Create and remove a container together with its layer, although their records are in two files.

The container's record decides. While one of the two may exist without the other, a journal beside the layer records
names them:

    creation    journal ──► layer ──► container's record ──► journal removed
    removal     journal ──► container's record removed ──► layer removed ──► journal removed

So the next holder of the layer lock who finds the journal has one thing to check: a layer that no container has is
removed. One journal is enough, because only the holder of the layer lock writes it. Programs that do not know it see at
worst an unused layer.
"""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.errors import CstoreError, SystemFailure
from cstore.fs import within
from cstore.store.lookup import container_of_layer
from cstore.traces import trace
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store.session import Writer


class Pair(Value):
    """The IDs of a container and its layer."""

    container: str
    layer: str


def begin(writer: Writer, pair: Pair) -> None:
    """Write the journal before a container is created or removed.

    Raises:
        SystemFailure: the journal cannot be written, and nothing has begun.
    """
    from cstore.fs.atomic import write_file
    from cstore.gojson import encode

    text = encode({"container": pair.container, "layer": pair.layer})
    write_file(writer.layout.container_journal, text, sync=writer.context.sync)


def end(writer: Writer) -> None:
    """Remove the journal. If a power cut brings it back, it describes nothing that remains to be done."""
    path = writer.layout.container_journal
    try:
        within.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SystemFailure("remove", path, error) from None


def conclude(writer: Writer) -> None:
    """Complete the operation of a dead writer. A failure is left to the next writer, so as not to block this one."""
    with suppress(CstoreError):
        pair = _read(writer.layout.container_journal)
        if pair is None:
            return
        if container_of_layer(writer, pair.layer) is None:
            from cstore.store.removal import discard_container_data, remove_layer

            trace("removed what a dead process left of container %s", pair.container)
            if writer.layers.get(pair.layer) is not None:
                remove_layer(writer, pair.layer)
            if pair.container not in writer.containers:
                discard_container_data(writer, pair.container)
        end(writer)


def _read(path: str) -> Pair | None:
    """Read the journal; one that is invalid names no items."""
    from cstore.records.shapes import load

    try:
        with open(within.open_file(*os.path.split(path), limit=within.SMALL), "rb") as stream:
            found = load(stream.read())
        return Pair(container=str(found["container"]), layer=str(found["layer"]))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SystemFailure("read", path, error) from None
    except (ValueError, LookupError, TypeError):
        return Pair(container="", layer="")
