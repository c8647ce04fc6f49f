"""A picture of a whole store: sizes, holders, history and findings, gathered from the rooms below.

Owns: what a report of a store tells. Must not know: how it is drawn. `gather` is the one way in.
"""

from __future__ import annotations

from cstore.report.gathering import GROUPS, Block, Bundle, ImageFacts, LayerFacts, Report, Slice, gather

__all__ = ["GROUPS", "Block", "Bundle", "ImageFacts", "LayerFacts", "Report", "Slice", "gather"]
