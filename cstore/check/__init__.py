"""Check a store and report typed findings with evidence. A check never changes the store.

Owns: what counts as damage, the severity of each kind, and the evidence for it. Must not know: how findings are shown.
`findings.py` defines the kinds that repair relies on; `check_store` is the entry point.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.check.checking import check_store
    from cstore.check.durations import parse_duration
    from cstore.check.findings import KINDS, Finding, Remedy, Severity, Subject
    from cstore.check.host import Fact, HostReport, examine_host
    from cstore.check.memory import place_of_memory
    from cstore.check.options import CheckOptions
    from cstore.check.removing import Removed, keep_aside, remove_damaged
    from cstore.check.report import Report

__all__ = [
    "KINDS",
    "CheckOptions",
    "Fact",
    "Finding",
    "HostReport",
    "Remedy",
    "Removed",
    "Report",
    "Severity",
    "Subject",
    "check_store",
    "examine_host",
    "keep_aside",
    "parse_duration",
    "place_of_memory",
    "remove_damaged",
]

_HOMES = {
    "KINDS": "findings",
    "CheckOptions": "options",
    "Fact": "host",
    "Finding": "findings",
    "HostReport": "host",
    "Remedy": "findings",
    "Removed": "removing",
    "Report": "report",
    "Severity": "findings",
    "Subject": "findings",
    "check_store": "checking",
    "examine_host": "host",
    "keep_aside": "removing",
    "parse_duration": "durations",
    "place_of_memory": "memory",
    "remove_damaged": "removing",
}


def __getattr__(name: str) -> object:
    """Import an exported name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.check' has no attribute {name!r}")
    return getattr(__import__(f"cstore.check.{_HOMES[name]}", fromlist=[name]), name)
