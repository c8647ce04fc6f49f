"""All checks, in the order of their modules: importing this declares them."""

from __future__ import annotations

from tests.conformance import docker_rows, item_rows, library_rows, store_rows
from tests.conformance.lab import CHECKS

__all__ = ["CHECKS", "docker_rows", "item_rows", "library_rows", "store_rows"]
