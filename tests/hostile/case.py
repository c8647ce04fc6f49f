"""What a hostile archive is: a name, its bytes, and what must become of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Verdict(enum.Enum):
    """What must become of an archive. Whatever it is, nothing outside the layer may change."""

    REFUSED = "one error line, exit 1, the store as it was"
    KEPT = "a layer, confined, whose diff is the archive, byte for byte"
    EITHER = "the kernel or the file system decides between the two"


@dataclass(frozen=True)
class Aim:
    """What an archive may aim at: a directory beside the store that holds `secret`, `victim` and `folder/inside`."""

    canary: bytes

    @property
    def climbing(self) -> bytes:
        """A relative path to the canary, from any depth."""
        return b"../" * 24 + self.canary.lstrip(b"/")


@dataclass(frozen=True)
class Case:
    """One archive.

    Attributes:
        build: makes the bytes, compressed where that is the point.
        on_parent: whether it is imported above a layer that has something to attack (see PARENT in the test).
        tar: the uncompressed bytes, where `build` compresses.
    """

    name: str
    build: Callable[[Aim], bytes]
    verdict: Verdict
    on_parent: bool = False
    tar: Callable[[Aim], bytes] | None = None

    def uncompressed(self, aim: Aim) -> bytes:
        """What `diff --uncompressed` must give back."""
        return (self.tar or self.build)(aim)


class Cases:
    """A table of cases under one heading; each line of a case file is one call."""

    def __init__(self, heading: str) -> None:
        self.heading = heading
        self._cases: list[Case] = []

    def __iter__(self) -> Iterator[Case]:
        return iter(self._cases)

    def refuse(self, name: str, build: Callable[[Aim], bytes] | bytes, *, on_parent: bool = False) -> None:
        """Add an archive that must be refused."""
        self._add(name, build, Verdict.REFUSED, on_parent=on_parent)

    def keep(
        self,
        name: str,
        build: Callable[[Aim], bytes] | bytes,
        *,
        on_parent: bool = False,
        tar: Callable[[Aim], bytes] | bytes | None = None,
    ) -> None:
        """Add an archive that must become a layer, harmlessly."""
        self._add(name, build, Verdict.KEPT, on_parent=on_parent, tar=tar)

    def either(self, name: str, build: Callable[[Aim], bytes] | bytes, *, on_parent: bool = False) -> None:
        """Add an archive on which kernels or file systems differ."""
        self._add(name, build, Verdict.EITHER, on_parent=on_parent)

    def _add(
        self,
        name: str,
        build: Callable[[Aim], bytes] | bytes,
        verdict: Verdict,
        *,
        on_parent: bool,
        tar: Callable[[Aim], bytes] | bytes | None = None,
    ) -> None:
        self._cases.append(
            Case(f"{self.heading}-{name}", _maker(build), verdict, on_parent, None if tar is None else _maker(tar))
        )


def _maker(build: Callable[[Aim], bytes] | bytes) -> Callable[[Aim], bytes]:
    return (lambda _: build) if isinstance(build, bytes) else build
