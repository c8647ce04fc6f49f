"""A repair plan: ordered steps, each with its reason and evidence, and the problems that cannot be repaired."""

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
"""How many paths a step's sentence names; it counts the others."""


class Phase:
    """The phases of a repair, in order: a phase relies on what earlier phases repaired."""

    PLACES = 0
    RECORD_FILES = 1
    RECORDS = 2
    DRIVER = 3
    CONTENTS = 4
    ITEMS = 5
    MOUNTS = 6
    ASIDE = 7


class Action(Enum):
    """The action of a step: its name in JSON, and its phase."""

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
    MAKE_PARTS_ABOVE = "make-parts", Phase.ITEMS  # for layers above an added one
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
        """The phase in which it is carried out; see `Phase`."""
        return self.value[1]


class Step(Value):
    """One step of a plan.

    Attributes:
        action: what the step does, and in which phase.
        subject: the item or path that it repairs.
        what: a description of the step, for people; programs use `action`.
        why: the sentence of the finding.
        evidence: what the step relies on; "" if nothing.
        act: carries the step out. It takes its own locks, checks again whether the step is still needed, and may be
            called again.
        parts: the affected parts of the subject, as paths in a layer or keys of data items; empty for all of it.
        advice: what a person may add afterwards, with the command for it; "" for nothing.
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
        """The phase in which it is carried out; see `Phase`."""
        return self.action.phase

    @property
    def key(self) -> tuple[Action, str, str, tuple[str, ...]]:
        """The identity of the step: action, kind and name of the subject, and parts."""
        return self.action, self.subject.kind, self.subject.name, self.parts

    def document(self) -> dict[str, Any]:
        """Return the step as a JSON document."""
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
    """A problem that repair cannot solve.

    Attributes:
        subject: the item or path that has the problem.
        why: what is wrong with it.
        reason: why it cannot be repaired.
        remedy: what may help, with the command; "" for nothing.
        last_seen: no later check will report it, because the rest of the repair removes the last trace of it.
    """

    subject: Subject
    why: str
    reason: str
    remedy: str = ""
    last_seen: bool = False

    def document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        subject = {name: text for name, text in self.subject.as_dict().items() if text}
        return {"subject": subject, "why": self.why, "reason": self.reason, "remedy": self.remedy}


def unrepairable(finding: Finding, reason: str, why: str = "") -> Unrepairable:
    """Return why a finding cannot be repaired. The remedy never repeats `cstore repair`, which was just tried.

    `why` replaces the finding's sentence.
    """
    remedy = finding.remedy
    another = remedy.command and remedy.command != REPAIR
    helps = f"{remedy.sentence}: {remedy.command}" if another else remedy.sentence
    return Unrepairable(finding.subject, why or finding.sentence, reason, helps)


class Plan(Value):
    """A repair plan.

    Attributes:
        steps: in the order in which they are carried out.
        unrepairable: the problems that stay.
        unused: sources that have nothing of what is lost.
        complete: whether this is the whole plan. If record files are damaged, the items in them can be judged only
            after these files are rebuilt; the steps for those items form another plan, which is shown before it is
            carried out.
    """

    steps: tuple[Step, ...]
    unrepairable: tuple[Unrepairable, ...]
    unused: tuple[str, ...] = ()
    complete: bool = True

    def document(self) -> dict[str, Any]:
        """Return the plan as a JSON document."""
        return {
            "steps": [step.document() for step in self.steps],
            "unhealable": [one.document() for one in self.unrepairable],
            "unused_sources": list(self.unused),
            "complete": self.complete,
        }


def how_to_name(image: str) -> str:
    """Return the advice for an image whose names are lost."""
    given = f"--name {image}=NAME"
    return f"the names of image {image} are lost: repeat with {given}, or later: cstore add-names --name NAME {image}"


def counted(paths: Sequence[str]) -> str:
    """Return the first paths, quoted, and the number of the others."""
    shown = ", ".join(map(repr, paths[:MOST_SHOWN]))
    more = len(paths) - MOST_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
