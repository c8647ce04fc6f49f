"""Compute IDs from digests: Docker's ChainIDs, and the layer IDs of skopeo and Podman (docker 2).

    ChainID   of a bottom layer its DiffID; else sha256(<ChainID below> + " " + <DiffID>), both with `sha256:`
    layer ID  of a bottom layer the hex of its DiffID; else sha256(<layer ID below> + "+" + <hex of the DiffID>)

Both identify a layer together with all layers below it, so equal IDs mean equal contents.
"""

from __future__ import annotations

from functools import reduce

from cstore.digests import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY_DIFF_ID = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
"""The DiffID of a tar without entries: 1024 zero bytes."""


def next_chain(below: str, diff_id: str) -> str:
    """Return the ChainID of a layer with this DiffID on top of `below`, a ChainID or ""."""
    return digest_of(f"{below} {diff_id}".encode()) if below else diff_id


def chain_id(diff_ids: Iterable[str]) -> str:
    """Return the ChainID of the uppermost of these layers, given bottom first; "" without layers."""
    return reduce(next_chain, diff_ids, "")


def next_layer_id(below: str, diff_id: str) -> str:
    """Return the ID that skopeo and Podman give a layer with this DiffID on top of `below`, a layer ID or ""."""
    encoded = diff_id.partition(":")[2]
    return digest_of(f"{below}+{encoded}".encode()).partition(":")[2] if below else encoded


def layer_ids(diff_ids: Iterable[str]) -> tuple[str, ...]:
    """Return the IDs that skopeo and Podman give these layers, bottom first."""
    ids: list[str] = []
    for diff_id in diff_ids:
        ids.append(next_layer_id(ids[-1] if ids else "", diff_id))
    return tuple(ids)
