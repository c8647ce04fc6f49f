"""Repair: turn findings into an ordered plan and carry it out; each step is durable, locked and can be undone.

    survivors     the remaining evidence: directories, data items, tar-splits, the driver's files
    *_records     rebuild lost records from that evidence
    heal_*        for each kind of finding: plan the step that repairs it, or return why nothing can
    remake        rebuild a layer from its archive and exchange it for the damaged one
    repairing     check, plan and carry out, until nothing repairable remains

Owns: which evidence counts for what, and the order of steps. Must not know: how a plan is shown.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.check.repair.plan import Plan, Step, Unrepairable
    from cstore.check.repair.repairing import Repaired, RepairOptions, repair_store

__all__ = ["Plan", "RepairOptions", "Repaired", "Step", "Unrepairable", "repair_store"]

_HOMES = {"Unrepairable": "plan", "Plan": "plan", "Step": "plan"}


def __getattr__(name: str) -> object:
    """Import an exported name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'cstore.check.repair' has no attribute {name!r}")
    return getattr(__import__(f"cstore.check.repair.{_HOMES.get(name, 'repairing')}", fromlist=[name]), name)
