"""Corpora and peers for the compatibility tests."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.compat.corpora import NAMES, Corpus, make_corpus
from tests.conftest import OverlayRoots
from tests.disk import fresh_disk
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Runner, RunnerMaker


@pytest.fixture(scope="session", params=NAMES)
def corpus(request: pytest.FixtureRequest) -> Iterator[Corpus]:
    """Each real layer in turn; its files go when the last test with it is done."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a Debian root has owners and devices, and the peers want root")
    with fresh_disk() as folder:
        yield make_corpus(request.param, folder)


# ── a store where Podman finds its own: files with other roots have fixtures of these names themselves ────────────────


@pytest.fixture
def short() -> Iterator[str]:
    """A directory with a short name: Podman takes no long ones. Mounts in it go with the test."""
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        yield folder
        detach_all(folder)


@pytest.fixture
def roots(short: str) -> OverlayRoots:
    """A store for cstore."""
    return OverlayRoots(f"{short}/graph", f"{short}/run")


@pytest.fixture
def ours(run_on: RunnerMaker, roots: OverlayRoots) -> Runner:
    """Our tool on our store."""
    return run_on(roots)
