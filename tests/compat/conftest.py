"""Corpora and peers for the compatibility tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.compat.corpora import NAMES, Corpus, make_corpus
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=NAMES)
def corpus(request: pytest.FixtureRequest) -> Iterator[Corpus]:
    """Each real layer in turn; its files go when the last test with it is done."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a Debian root has owners and devices, and the peers want root")
    with fresh_disk() as folder:
        yield make_corpus(request.param, folder)
