"""The laboratory as a page of the manual: `python -m tests.damage.table` does all damage and writes what was seen.

It takes some minutes, root, and the other programs; whatever is not installed is left out of the page. Nothing in the
page is from hearsay: each fact is what a program did with a store of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.damage import damages, facts, outcomes, peers
from tests.damage.specimen import Specimen, copy, make
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.damage.damages import Damage
    from tests.damage.peers import Round

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "man", "cstore-damage.7")
GROUPS = {
    "RECORD FILES": damages.RECORD_FILES,
    "RECORDS": damages.RECORDS,
    "CONTENTS OF LAYERS": damages.CONTENTS,
    "DATA ITEMS": damages.ITEMS,
    "THE STORAGE DRIVER": damages.DRIVER,
    "LEFTOVERS": damages.LEFTOVERS,
    "PLACES AND LOCKS": damages.PLACES,
}
OTHERS: dict[str, Callable[[Specimen, str], Round]] = {
    "containers-storage": peers.go_tools,
    "podman": peers.podman,
}
FATES = {
    outcomes.HEALED: "repair heals it",
    outcomes.SOURCE: "repair heals it with --from",
    outcomes.ADOPTED: "repair records what is there now",
    outcomes.SWEPT: "gc removes it",
    outcomes.NOTHING: "nothing to heal",
    outcomes.LEFT: "repair leaves it",
}


class Row(NamedTuple):
    """A damage, what cstore makes of it, and what each other program did."""

    damage: Damage
    outcome: outcomes.Outcome
    rounds: dict[str, Round]


class _Laboratory:
    """Stores of both drivers, and copies of them for each experiment."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._sound: dict[str, Specimen] = {}
        for driver in damages.BOTH:
            root = os.path.join(folder, f"sound-{driver}")
            os.mkdir(root)
            self._sound[driver] = make(driver, root)
        self.programs = {name: path for name in OTHERS if (path := shutil.which(name))}
        self.expected = {driver: self._rounds(driver, "s", lambda _: None) for driver in damages.BOTH}
        for driver, rounds in self.expected.items():
            for name, sound in rounds.items():
                _insist(f"{name} on a sound store of {driver}", sound)

    def row(self, damage: Damage) -> Row:
        """Do a damage, and see."""
        driver = _driver(damage)
        number = str(damages.DAMAGES.index(damage))
        left: list[Specimen] = []

        def again() -> Specimen:
            left.append(self._copy(driver, f"{number}-{len(left)}"))
            damage.do(left[-1])
            return left[-1]

        try:
            found = outcomes.outcome(again, self._sound[driver])
        finally:
            for specimen in left:
                _drop(specimen)
        return Row(damage, found, self._rounds(driver, number, damage.do))

    def _rounds(self, driver: str, number: str, do: Callable[[Specimen], object]) -> dict[str, Round]:
        rounds = {}
        for name, path in self.programs.items():
            specimen = self._copy(driver, f"{number}{driver[0]}{name[0]}")
            try:
                do(specimen)
                rounds[name] = OTHERS[name](specimen, path)
            finally:
                _drop(specimen)
        return rounds

    def _copy(self, driver: str, name: str) -> Specimen:
        return copy(self._sound[driver], Path(self._folder) / name)


def _insist(what: str, sound: Round) -> None:
    """With a program that fails anyway nothing can be measured. Podman does with a path longer than it likes."""
    failed = {name: answer for name, answer in {**sound.answers, **sound.changes}.items() if answer.code}
    if failed:
        sys.exit(f"{what}: {failed}")


def _driver(damage: Damage) -> str:
    return "overlay" if "overlay" in damage.drivers else damage.drivers[0]


def _drop(specimen: Specimen) -> None:
    detach_all(specimen.root)
    shutil.rmtree(specimen.root, ignore_errors=True)


def measure(folder: str) -> tuple[list[Row], dict[str, dict[str, Round]]]:
    """Do all damage, in two threads: most of the time is spent waiting for other programs."""
    laboratory = _Laboratory(folder)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(laboratory.row, damages.DAMAGES)), laboratory.expected


# ── the page ──

_HEAD = r"""'\" t
.\" Written by: python -m tests.damage.table
.TH CSTORE-DAMAGE 7 "" "cstore" "cstore manual"
.SH NAME
cstore\-damage \- what can happen to a store, and what programs make of it
.SH DESCRIPTION
Each damage on this page was done to a small store of three layers, two images and a container.
Then
.BR cstore (1),
.BR containers\-storage (1)
1.43 and
.BR podman (1)
4.3 each had a copy of that store, and the page says what they did with it.
Damage to layers was done with the driver overlay; what can only happen with vfs was done with vfs.
.PP
For
.B cstore
there are the kinds that
.BR cstore\-check (1)
finds, worst first, and what
.BR cstore\-repair (1)
does:
.TP
.B repair heals it
from what is left in the store, and the check finds nothing any more.
.TP
.B repair heals it with \-\-from
and a source that has the lost bytes: an archive, or another store.
.TP
.B repair records what is there now
because there is no other copy, and only its maker can tell whether it is of use.
.TP
.B gc removes it
because nobody needs it; repair leaves it in its place.
.TP
.B repair leaves it
for the reason given.
With
.B \-\-remove
it goes into quarantine, if nothing that is sound needs it.
.PP
The other programs were asked for lists, for the archive of each layer, for items and for mounts, and then to make a
layer, an image and a container or to tag an image.
For them, there is what differs from a sound store.
.B Notices nothing
means that each command went as if nothing were wrong, also if what it handed out was damaged.
A program makes it worse if records or files that had survived the damage are gone afterwards, or if a damaged record
file looks sound then and lacks records.
These versions have no check of their own.
"""

_FOOT = r""".SH SEE ALSO
.BR cstore (1),
.BR cstore\-check (1),
.BR cstore\-repair (1),
.BR cstore\-gc (1),
.BR cstore\-layout (5)
"""


def page(rows: list[Row], expected: dict[str, dict[str, Round]]) -> str:
    """The page of the manual."""
    lines = [_HEAD.rstrip("\n"), ".SH IN NUMBERS", *_numbers(rows, expected)]
    by_name = {row.damage.name: row for row in rows}
    for title, group in GROUPS.items():
        lines.append(f".SH {title}")
        for damage in group:
            lines += _entry(by_name[damage.name], expected[_driver(damage)])
    return "\n".join(lines) + "\n" + _FOOT


def _numbers(rows: list[Row], expected: dict[str, dict[str, Round]]) -> Iterator[str]:
    yield from (".TS", "tab(|);", "l r.")
    for label, count in numbers(rows, expected):
        yield f"{_safe(label)}|{count}"
    yield ".TE"


def numbers(rows: list[Row], expected: dict[str, dict[str, Round]]) -> Iterator[tuple[str, int]]:
    """How many damages there are, and how many of them come to which end."""
    yield "damages", len(rows)
    yield "cstore: check finds it", sum(bool(row.outcome.found) for row in rows)
    for fate, words in FATES.items():
        yield f"cstore: {words}", sum(row.outcome.fate == fate for row in rows)
    for name in OTHERS:
        measured = [(row, row.rounds[name], expected[_driver(row.damage)][name]) for row in rows if name in row.rounds]
        if measured:
            yield f"{name} fails or complains", sum(facts.noticed(now, sound) for _, now, sound in measured)
            harm = [row for row, now, sound in measured if facts.worse(now, sound)]
            yield f"{name} makes it worse", sum(row.outcome.fate != outcomes.SWEPT for row in harm)


def _entry(row: Row, expected: dict[str, Round]) -> Iterator[str]:
    yield from (".TP", page_name(row.damage).replace("-", r"\-"))
    found = ", ".join(f"{kind} ({severity})" for kind, severity in row.outcome.found)
    remark = row.outcome.remark
    joint = ": " if row.outcome.fate == outcomes.LEFT else ", "
    yield rf"\fIcstore:\fR {_safe(found)};"
    yield _safe(FATES[row.outcome.fate] + (joint + remark if remark else "") + ".")
    for name, now in row.rounds.items():
        yield from (".br", rf"\fI{_safe(name)}:\fR", _safe(facts.fact(now, expected[name]).removesuffix(".") + "."))


def page_name(damage: Damage) -> str:
    """The line that an entry begins with."""
    only = f" ({damage.drivers[0]})" if len(damage.drivers) == 1 else ""
    return rf"\fB{damage.name}\fR{only}"


def _safe(text: str) -> str:
    """Keep troff from taking a character for one of its own."""
    safe = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{safe}" if safe[:1] in {".", "'"} else safe


def main(arguments: Iterable[str]) -> None:
    """Measure, write the page, and say the numbers."""
    where = next(iter(arguments), PAGE)
    with tempfile.TemporaryDirectory(prefix="damage-") as folder:
        rows, expected = measure(folder)
    with open(where, "w", encoding="utf-8") as file:
        file.write(page(rows, expected))
    sys.stdout.writelines(f"{count:4} {label}\n" for label, count in numbers(rows, expected))


if __name__ == "__main__":
    main(sys.argv[1:])
