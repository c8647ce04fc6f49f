"""The data of a report on a whole store: sizes, users, history and findings, collected from lower rooms.

Owns the contents of a report. Must not know how it is displayed. `gather` is the only entry point.
"""

from __future__ import annotations

from cstore.report.gathering import GROUPS, Block, Bundle, ImageFacts, LayerFacts, Report, Slice, gather

__all__ = ["GROUPS", "Block", "Bundle", "ImageFacts", "LayerFacts", "Report", "Slice", "gather"]
