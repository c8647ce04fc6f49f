"""What belongs to a new layer, brought to its place: tree, tar-split and data, before its record says so."""

from __future__ import annotations

from cstore.errors import SystemFailure
from cstore.store.applied_layer import archive_fields, contents_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.drivers.contract import StagedTree
    from cstore.records.model import Layer
    from cstore.store.applied_layer import AppliedLayer
    from cstore.store.creation import LayerPlan, NewLayer
    from cstore.store.session import Writer


def attach(
    writer: Writer,
    record: Layer,
    request: NewLayer,
    plan: LayerPlan,
    staged: StagedTree,
    applied_layer: AppliedLayer | None,
) -> Layer:
    """Bring tree, tar-split and data to their places; return the record that describes them."""
    from cstore.records.bigdata import write_item

    layout, sync = writer.layout, writer.context.sync
    writer.driver.adopt(staged, record.id, record.parent or None)
    for key, value in request.data.items():
        write_item(layout.layer_data(record.id), key, value, sync=sync)
    record = record.with_(data_names=tuple(request.data))
    if applied_layer is not None:
        applied_layer.publish(layout.tar_split(record.id), sync=sync)
        return record.with_(**archive_fields(applied_layer.applied))
    if request.far:
        from cstore.store.far_layers import far_fields

        return record.with_(**far_fields(request.far))
    return record if plan.template is None else _like(writer, record, plan.template)


def _like(writer: Writer, record: Layer, template: Layer) -> Layer:
    """Take over from the template what describes its contents (semantics 5)."""
    from cstore.fs.atomic import write_file

    source = writer.layout.tar_split(template.id)
    try:
        with open(source, "rb") as stream:
            parts = iter(lambda: stream.read(1 << 20), b"")
            write_file(writer.layout.tar_split(record.id), parts, sync=writer.context.sync)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SystemFailure("read", source, error) from None
    return record.with_(metadata=template.metadata, **contents_of(template))
