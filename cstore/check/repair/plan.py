"""A plan: what will be done, in which order, why, by which evidence; and what cannot be healed."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from cstore.check.findings import REPAIR
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.check.findings import Finding, Subject
    from cstore.check.repair.repair_context import RepairContext

MOST_SHOWN = 3
"""Paths of a step that are named in its sentence; the others are counted."""


class Phase:
    """The order of steps: each kind of damage is healed once what it rests on is sound."""

    PLACES = 0
    RECORD_FILES = 1
    RECORDS = 2
    DRIVER = 3
    CONTENTS = 4
    ITEMS = 5
    MOUNTS = 6
    ASIDE = 7


class Action(Enum):
    """What a step does: its word in JSON, and when it is done."""

    PUT_ASIDE = "put-aside", Phase.PLACES
    MAKE_LOCK = "make-lock", Phase.PLACES
    SET_MODE = "set-mode", Phase.PLACES
    SET_OWNER = "set-owner", Phase.PLACES
    WRITE_RECORD_FILE = "write-record-file", Phase.RECORD_FILES
    ADD_RECORD = "add-record", Phase.RECORDS
    SET_LAYER = "set-layer", Phase.RECORDS
    SET_IMAGE = "set-image", Phase.RECORDS
    SET_PARENT = "set-parent", Phase.RECORDS
    SET_DIGEST = "set-digest", Phase.RECORDS
    DROP_DUPLICATES = "drop-duplicates", Phase.RECORDS
    SETTLE_NAMES = "settle-names", Phase.RECORDS
    MARK_COMPLETE = "mark-complete", Phase.RECORDS
    MAKE_LINKS = "make-links", Phase.DRIVER
    MAKE_PARTS = "make-parts", Phase.DRIVER
    MAKE_SUBVOLUME = "make-subvolume", Phase.DRIVER
    REMAKE_LAYER = "remake-layer", Phase.CONTENTS
    ADD_LAYER = "add-layer", Phase.CONTENTS
    RESTORE_FILES = "restore-files", Phase.CONTENTS
    SET_ATTRIBUTES = "set-attributes", Phase.CONTENTS
    TAKE_OUT_FILES = "take-out-files", Phase.CONTENTS
    WRITE_ITEM = "write-item", Phase.ITEMS
    MAKE_PARTS_ABOVE = "make-parts", Phase.ITEMS  # of what lies on a layer that is added
    ADD_IMAGE = "add-image", Phase.ITEMS
    RECORD_ITEM = "record-item", Phase.ITEMS
    COUNT_MOUNTS = "count-mounts", Phase.MOUNTS
    TAKE_OUT = "take-out", Phase.ASIDE

    @property
    def word(self) -> str:
        """The action's name in JSON, which programs may rely on."""
        return self.value[0]

    @property
    def phase(self) -> int:
        """When it is done, see `Phase`."""
        return self.value[1]


class Step(Value):
    """One thing to do.

    Attributes:
        action: what is done, and when.
        subject: what is healed.
        what: the same in words, for people only.
        why: the sentence of the finding.
        evidence: what the deed rests on; "" if that goes without saying.
        act: does it. It looks again whether it is needed, takes its own locks, and may be repeated.
        parts: what of the subject it is about, where it is not all of it: paths in a layer, keys of items.
        advice: what a person may add, with the command that does it; "" if nothing.
    """

    action: Action
    subject: Subject
    what: str
    why: str
    evidence: str
    act: Callable[[RepairContext], None]
    parts: tuple[str, ...] = ()
    advice: str = ""

    @property
    def phase(self) -> int:
        """When it is done, see `Phase`."""
        return self.action.phase

    @property
    def key(self) -> tuple[Action, str, str, tuple[str, ...]]:
        """What makes it the same step as another."""
        return self.action, self.subject.kind, self.subject.name, self.parts

    def document(self) -> dict[str, Any]:
        """The step as JSON."""
        subject = {name: text for name, text in self.subject.as_dict().items() if text}
        return {
            "action": self.action.word,
            "subject": subject,
            "parts": list(self.parts),
            "what": self.what,
            "why": self.why,
            "evidence": self.evidence,
            "advice": self.advice,
        }


class Unrepairable(Value):
    """Something that cannot be healed: what it is about, what is wrong with it, why nothing can be done, what helps.

    `last_seen`: once the rest is healed, nothing tells of it any more, so no later check finds it again.
    """

    subject: Subject
    why: str
    reason: str
    remedy: str = ""
    last_seen: bool = False

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        subject = {name: text for name, text in self.subject.as_dict().items() if text}
        return {"subject": subject, "why": self.why, "reason": self.reason, "remedy": self.remedy}


def unrepairable(finding: Finding, reason: str, why: str = "") -> Unrepairable:
    """Say why a finding cannot be healed, and what helps. That is not the command which has just been tried.

    `why` is what is wrong, if other than the finding's sentence.
    """
    remedy = finding.remedy
    another = remedy.command and remedy.command != REPAIR
    helps = f"{remedy.sentence}: {remedy.command}" if another else remedy.sentence
    return Unrepairable(finding.subject, why or finding.sentence, reason, helps)


class Plan(Value):
    """Steps in the order in which they are done, what is left as it is, and sources that have nothing that is lost.

    `complete`: nothing else is waiting for these steps. Only what damaged record files described cannot be judged
    before these are written again; the steps for it are a plan of their own, which is shown before it is done.
    """

    steps: tuple[Step, ...]
    unrepairable: tuple[Unrepairable, ...]
    unused: tuple[str, ...] = ()
    complete: bool = True

    def document(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "steps": [step.document() for step in self.steps],
            "unhealable": [one.document() for one in self.unrepairable],
            "unused_sources": list(self.unused),
            "complete": self.complete,
        }


def how_to_name(image: str) -> str:
    """Say how to name an image whose names are lost."""
    given = f"--name {image}=NAME"
    return f"the names of image {image} are lost: repeat with {given}, or later: cstore add-names --name NAME {image}"


def counted(paths: Sequence[str]) -> str:
    """Name the first paths and count the others."""
    shown = ", ".join(map(repr, paths[:MOST_SHOWN]))
    more = len(paths) - MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
