"""Healing: from findings to an ordered plan, and the plan carried out, each step durable, locked and undoable.

    survivors     everything in a store that bears witness: directories, data items, tar-splits, the driver's files
    *_records     lost records, made again from that
    heal_*        for each kind of finding, a step that heals it, or why nothing can be done
    remake        a layer made anew from its archive, and exchanged for the damaged one
    repairing     check, plan, carry out, and again, until nothing is left that can be healed

Owns: what is evidence for what, and the order of healing. Must not know: how a plan is shown.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.check.repair.plan import Plan, Step, Unrepairable
    from cstore.check.repair.repairing import Repaired, RepairOptions, repair_store

__all__ = ["Plan", "RepairOptions", "Repaired", "Step", "Unrepairable", "repair_store"]

_HOMES = {"Unrepairable": "plan", "Plan": "plan", "Step": "plan"}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'cstore.check.repair' has no attribute {name!r}")
    return getattr(__import__(f"cstore.check.repair.{_HOMES.get(name, 'repairing')}", fromlist=[name]), name)
