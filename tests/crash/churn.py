"""A program that makes, names and deletes small layers until it is killed: nearly all of its time is inside the store.

Run as `python -m tests.crash.churn GRAPH RUN`.
"""

from __future__ import annotations

import os
import sys

from cstore import NewLayer, Overrides, load_config, open_store
from tests.builders import make_tar, regular


def churn(graph: str, run: str) -> None:
    """Go round until the signal comes."""
    store = open_store(load_config(Overrides(graph_root=graph, run_root=run, driver="vfs")))
    archive = os.memfd_create("archive")
    os.write(archive, make_tar(*(regular(f"f{number}", b"x" * number) for number in range(20))))
    for turn in range(1_000_000):
        layer = f"churn{turn % 3}"
        if store.layers.find(layer):
            store.layers.delete(layer)
        os.lseek(archive, 0, os.SEEK_SET)
        store.layers.put(NewLayer(id=layer, names=(f"name{turn % 3}",), parent="base"), archive)
        store.set_names("base", (f"turn{turn}",))
        store.layers.set_data(layer, "item", b"x" * turn)


if __name__ == "__main__":
    churn(sys.argv[1], sys.argv[2])
