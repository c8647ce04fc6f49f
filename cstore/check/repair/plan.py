"""A plan: what will be done, in which order, why, by which evidence; and what cannot be healed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.check.findings import Subject
    from cstore.check.repair.workshop import Workshop


class Phase:
    """The order of steps: each kind of damage is healed on ground that is sound already."""

    PLACES = 0
    RECORD_FILES = 1
    RECORDS = 2
    DRIVER = 3
    CONTENTS = 4
    ITEMS = 5
    MOUNTS = 6
    ASIDE = 7


class Step(Value):
    """One thing to do.

    Attributes:
        phase: when, see `Phase`.
        subject: what is healed.
        what: the deed, in words.
        why: the sentence of the finding.
        evidence: what the deed rests on; "" if that goes without saying.
        act: does it. It looks again whether it is needed, takes its own locks, and may be repeated.
    """

    phase: int
    subject: Subject
    what: str
    why: str
    evidence: str
    act: Callable[[Workshop], None]

    @property
    def key(self) -> tuple[int, str, str, str]:
        """What makes it the same step as another."""
        return self.phase, self.subject.kind, self.subject.name, self.what

    def document(self) -> dict[str, Any]:
        """The step as JSON."""
        subject = {name: text for name, text in self.subject.as_dict().items() if text}
        return {"subject": subject, "what": self.what, "why": self.why, "evidence": self.evidence}


class Hopeless(Value):
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


class Plan(Value):
    """Steps in the order in which they are done, what is left as it is, and sources that have nothing that is lost."""

    steps: tuple[Step, ...]
    hopeless: tuple[Hopeless, ...]
    unused: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The plan as JSON."""
        return {
            "steps": [step.document() for step in self.steps],
            "unhealable": [one.document() for one in self.hopeless],
            "unused_sources": list(self.unused),
        }
