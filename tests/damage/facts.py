"""What another program did with a damaged store, condensed to a sentence: only what differs from a sound store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.damage.peers import HUNG, NEW, TIMEOUT

if TYPE_CHECKING:
    from tests.damage.peers import Answer, Round

SILENT = "notices nothing"
_LONGEST = 90
_NOISE = (
    r"^Error: ",
    r"(?:^| )while (?:un)?mounting ID",
    r"^\* (?:creating file-getter: )?",
    r".*you may need to remove the image to resolve the error: ",
    r"^inspecting object: ",
    r",? \(?consider removing .*?\)",
    r", ignoring the error$",
    r", error found in .*",
)
_LISTS = frozenset({"layers", "images", "containers", "ps"})


def noticed(now: Round, sound: Round) -> bool:
    """Whether any command fails, hangs or complains that does not on a sound store."""
    pairs = [(now.answers[what], sound.answers[what]) for what in now.answers]
    pairs += [(now.changes[what], sound.changes[what]) for what in now.changes]
    return any(one.code != other.code or bool(one.complaint) != bool(other.complaint) for one, other in pairs)


def worse(now: Round, sound: Round) -> bool:
    """Whether something is gone that was there before the program came, or a sign of damage is."""
    return bool(_buried(now, sound) or any(now.lost.values()))


def _buried(now: Round, sound: Round) -> list[str]:
    """Damaged record files that look sound now, without what they should hold."""
    return [kind for kind in now.rewritten if not sound.held[kind] <= now.held[kind] | {NEW}]


def fact(now: Round, sound: Round) -> str:
    """What the program did, in words."""
    tried = {**now.answers, **now.changes}
    expected = {**sound.answers, **sound.changes}
    parts = [*_hangs(tried), *_failures(tried, expected), *_other_answers(now.answers, sound.answers)]
    parts += _complaints(tried, expected)
    parts += _losses(now, sound)
    return "; ".join(parts) or SILENT


def _hangs(tried: dict[str, Answer]) -> list[str]:
    hung = [what for what, answer in tried.items() if answer.code == HUNG]
    return [f"{_words(hung, tried)} never {_ends(hung, tried)} (killed after {TIMEOUT:.0f} s)"] if hung else []


def _failures(tried: dict[str, Answer], expected: dict[str, Answer]) -> list[str]:
    by_complaint: dict[str, list[str]] = {}
    for what, answer in tried.items():
        if answer.code > 0 and expected[what].code == 0:
            by_complaint.setdefault(_short(answer.complaint), []).append(what)
    return [
        f"{_words(failing, tried)} {'fails' if len(_plain(failing)) == 1 or len(failing) == len(tried) else 'fail'}"
        + (f': "{complaint}"' if complaint else " without a word")
        for complaint, failing in by_complaint.items()
    ]


def _other_answers(tried: dict[str, Answer], expected: dict[str, Answer]) -> list[str]:
    parts: dict[str, list[str]] = {}
    for what, answer in tried.items():
        other = expected[what]
        if answer.code == 0 and answer.said != other.said:
            parts.setdefault(_difference(what, answer.said, other.said), []).append(what)
    parts.pop("", None)
    return [f"{_words(whats, {})} {_for_some(text, _plain(whats))}" for text, whats in parts.items()]


def _for_some(text: str, whats: list[str]) -> str:
    """Let the verb be of as many as there are."""
    return text if len(whats) == 1 else re.sub(r"^(list|give)s", r"\1", text)


def _difference(what: str, said: str, other: str) -> str:
    if what not in _LISTS:
        return "gives something else, exit 0"
    now, then = _listed(said), _listed(other)
    if now == then:
        return ""
    if not now:
        return "lists nothing, exit 0"
    return "lists less, exit 0" if len(now) < len(then) else "lists more" if len(now) > len(then) else "lists others"


def _listed(text: str) -> list[str]:
    return re.findall(r"^(?:sha256:)?([^\s]+)", text, re.MULTILINE)


def _complaints(tried: dict[str, Answer], expected: dict[str, Answer]) -> list[str]:
    """What is only said, by commands that succeed, and not by others that fail."""
    failing = {_short(answer.complaint) for answer in tried.values() if answer.code}
    said = {
        _short(answer.complaint)
        for what, answer in tried.items()
        if answer.code == 0 and answer.complaint and not expected[what].complaint
    }
    return [f'complains: "{complaint}"' for complaint in sorted(said - failing)[:1]]


def _losses(now: Round, sound: Round) -> list[str]:
    parts = [f"a change writes {kind}.json anew, without all that was there" for kind in _buried(now, sound)]
    if now.lost["files"]:
        parts.append("the layer's files are deleted")
    parts += [
        f"{count} {kind[:-1] if count == 1 else kind} {'is' if count == 1 else 'are'} dropped from {kind}.json"
        for kind, count in now.lost.items()
        if count and kind != "files"
    ]
    return parts


def _plain(whats: list[str]) -> list[str]:
    """The names of commands, each once."""
    named = [re.sub(r" [abc]$", "", what) for what in whats]
    return list(dict.fromkeys("mount" if what == "mount a layer" and "mount" in named else what for what in named))


def _words(whats: list[str], tried: dict[str, Answer]) -> str:
    return "every command" if len(whats) == len(tried) else ", ".join(_plain(whats))


def _ends(whats: list[str], tried: dict[str, Answer]) -> str:
    return "ends" if len(whats) == len(tried) or len(_plain(whats)) == 1 else "end"


def _short(complaint: str) -> str:
    """The innermost reason, without paths, escapes and names that are other ones each time."""
    text = complaint.strip()
    if text.startswith('"'):
        text = text.strip('"').replace('\\"', '"')
    for noise in _NOISE:
        text = re.sub(noise, "", text)
    parts = text.split(": ")
    while len(parts) > 2 and len(": ".join(parts)) > _LONGEST:
        parts.pop(0)
    text = re.sub(r'.*mount_data=".*": ', "", ": ".join(parts))
    text = re.sub(r"/(?:graph|run)/\S*?([^/\s:\"]+)(?=[:\"\s]|$)", r"\1", text)
    text = re.sub(r"\b[A-Z2-7]{26}\b", "LINK", text)
    return (text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "...").replace('"', "'")
