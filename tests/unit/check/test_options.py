"""What a check looks at can be chosen, one thing after the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check import CheckOptions, check_store
from cstore.records.model import Container, Image, Layer
from cstore.store.places import ItemKind
from tests.builders import regular
from tests.unit.check.tables import Tables, tar, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A store in which something is wrong with everything that a switch is for."""
    tables = Tables(
        tmp_path, Image(id="image", layer="layer", data_names=("manifest",)), Container(id="box", data_names=("key",))
    )
    digest = tables.archive("layer", regular("file", b"right"))
    size = len(tar(regular("file", b"right")))
    tables.records(ItemKind.LAYERS, [Layer(id="layer", diff_digest=digest, diff_size=size, data_names=("key",))])
    write(os.path.join(tables.tree("layer"), "file"), b"wrong")
    write(os.path.join(tables.tree("layer"), "more"), b"nobody imported this")
    return tables


SWITCHES = {
    "layer_data": {"layer-data-missing"},
    "image_data": {"image-data-missing"},
    "container_data": {"container-data-missing"},
    "layer_contents": {"file-unexpected"},
    "layer_digests": {"file-unexpected", "file-changed"},
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_leaves_out_its_own(tables: Tables, switch: str) -> None:
    """And nothing else."""
    options = CheckOptions(workers=1)
    everything = {finding.kind for finding in check_store(tables.context, options).findings}
    some = {finding.kind for finding in check_store(tables.context, options.with_(**{switch: False})).findings}

    assert everything - some == SWITCHES[switch]
