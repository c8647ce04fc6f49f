"""Answers about a store: disk usage, holders of items, owners of paths, and the effects of deletions.

Owns: the rules for the owner of a byte, the holders of an item, and the items that a deletion includes.
Must not know: how an answer is displayed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.insight.accounting import FileSystem, Line, Sum, Summary, Usage, summary, usage
    from cstore.insight.holding import Holder, Holding, flattened, holders
    from cstore.insight.identity import Identity, Known, identify
    from cstore.insight.inspecting import Inspection, User, inspect
    from cstore.insight.listing import Cell, Listing, Query, parse_query
    from cstore.insight.pruning import Pruning, Rules, plan_prune
    from cstore.insight.relocation import mentions
    from cstore.insight.removing import Going, Plan, Refusal, Removed, freed_by, plan_removal, remove

__all__ = [
    "Cell",
    "FileSystem",
    "Going",
    "Holder",
    "Holding",
    "Identity",
    "Inspection",
    "Known",
    "Line",
    "Listing",
    "Plan",
    "Pruning",
    "Query",
    "Refusal",
    "Removed",
    "Rules",
    "Sum",
    "Summary",
    "Usage",
    "User",
    "flattened",
    "freed_by",
    "holders",
    "identify",
    "inspect",
    "mentions",
    "parse_query",
    "plan_prune",
    "plan_removal",
    "remove",
    "summary",
    "usage",
]

_HOMES = {
    "mentions": "relocation",
    "Cell": "listing",
    "User": "inspecting",
    "flattened": "holding",
    **dict.fromkeys(("FileSystem", "Line", "Sum", "Summary", "Usage", "summary", "usage"), "accounting"),
    **dict.fromkeys(("Holder", "Holding", "holders"), "holding"),
    **dict.fromkeys(("Identity", "Known", "identify"), "identity"),
    **dict.fromkeys(("Inspection", "inspect"), "inspecting"),
    **dict.fromkeys(("Listing", "Query", "parse_query"), "listing"),
    **dict.fromkeys(("Pruning", "Rules", "plan_prune"), "pruning"),
    **dict.fromkeys(("Going", "Plan", "Refusal", "Removed", "freed_by", "plan_removal", "remove"), "removing"),
}


def __getattr__(name: str) -> object:
    """Import an exported name on first access (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.insight' has no attribute {name!r}")
    return getattr(__import__(f"cstore.insight.{_HOMES[name]}", fromlist=[name]), name)
