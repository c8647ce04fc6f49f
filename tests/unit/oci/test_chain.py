"""ChainIDs and layer IDs, against values that Docker and skopeo computed."""

from __future__ import annotations

from cstore.oci.chain import EMPTY_DIFF_ID, chain_id, layer_ids, next_chain, next_layer_id

THREE = (
    "sha256:cbf5b70d1478b4cb969b9f479af2e50bf5e217f699536ad7570d25d6ee98bace",
    "sha256:86a1221d3360076c84591a4374b84f18ab6acb9922585b840d34b621fdb425f5",
    "sha256:74ea7946ef3875e4c7d1aabfd10f98260e7e172451c3bd19a3a65ccfd8a5a60b",
)


def test_chains_of_three_layers() -> None:
    """Each ChainID names all that is below."""
    assert [chain_id(THREE[:count]) for count in (0, 1, 2, 3)] == [
        "",
        THREE[0],
        "sha256:82756b5f59720a997819b1ecdc29ae77928bf4c3d060362adfcfb8c70a7c3659",
        "sha256:20bb298b4feb15149bf189f6acee4703537adf6f8e9a73c3fdb1fd903308cfed",
    ]
    assert next_chain(chain_id(THREE[:2]), THREE[2]) == chain_id(THREE)


def test_layer_ids_of_three_layers() -> None:
    """As skopeo and Podman name them: not ChainIDs above the bottom."""
    assert layer_ids(THREE) == (
        "cbf5b70d1478b4cb969b9f479af2e50bf5e217f699536ad7570d25d6ee98bace",
        "7d4e5cee795d21d172374d25f66b7aea5654c4c9989a2fbe63f298fa64ac61e5",
        "e16b49026f1eaeff76e20f37fafb4f4eb35b6996f60323bf98a108e8b691bcc6",
    )
    assert layer_ids(()) == ()


def test_one_layer_twice_is_two_layers() -> None:
    """The same DiffID higher up has another ID."""
    twice = (THREE[0], THREE[0])

    assert chain_id(twice) == "sha256:893a6339116a1a3f518d66a56cab2884fcb6b62df2b7c41df659d5068b0a30dc"
    assert layer_ids(twice)[1] == "d61db85314e0f9d4499f0e08c42457866df43f9af671e1e8f45604f1c1cdbc96"


def test_two_empty_layers() -> None:
    """The empty tar is a layer like any other."""
    assert chain_id((EMPTY_DIFF_ID,) * 2) == "sha256:170b376f64fb30995c140276be3d71dfb256b308d86183ca3b22aa93a79ad548"
    assert (
        next_layer_id(EMPTY_DIFF_ID.removeprefix("sha256:"), EMPTY_DIFF_ID)
        == "9b8ee3b34fd5261042248659e43763dab3c56e76aa64f6181f1fbe7141124b55"
    )


def test_a_real_image() -> None:
    """ChainID from Docker's layerdb, layer ID from a store that skopeo wrote."""
    real = (
        "sha256:c962f9c563c0485159c3eb07a11338d175b1f59a164d390ac219ee31adaaa5c4",
        "sha256:7b482af33b02dae3fd612a4ed4bd6d9e6cccace4739f91250d5d14649273dda2",
    )

    assert chain_id(real) == "sha256:60a8f0eb858da1526f4c13382db3e7643eb8fec4a2abd61b663bfb0523ddb6b4"
    assert layer_ids(real)[1] == "27405d59717dac58dc1cbde5d0e947dfe4a03cf746c7e250cafee7ea35144029"
