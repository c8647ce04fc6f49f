"""Corpora and peers for the compatibility tests."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.compat.corpora import NAMES, Corpus, make_corpus

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", params=NAMES)
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """Each real layer in turn; its files go when the last test with it is done."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a Debian root has owners and devices, and the peers want root")
    folder = str(tmp_path_factory.mktemp(request.param))
    yield make_corpus(request.param, folder)
    shutil.rmtree(folder)
