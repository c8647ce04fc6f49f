"""Runs every check with every driver and prints the rows: `python -m tests.conformance [DRIVER...]`."""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.conformance.lab import DRIVERS, Check, Lab
from tests.conformance.table import CHECKS
from tests.loops import loop_disk
from tests.mounts import detach_all


def _result(check: Check, driver: str, top: str) -> str:
    """What came of a check with a driver: `works`, `-` if it is not about that driver, or what went wrong."""
    if driver not in check.drivers:
        return "-"
    try:
        check.run(Lab(driver, tempfile.mkdtemp(dir=top)))
    except Exception as error:  # noqa: BLE001  - whatever it is, it is the result
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})".replace("\n", " ")
    return "works"


def main(drivers: list[str]) -> int:
    """Print the table; 1 if a row does not work."""
    counts: dict[str, Counter[bool]] = {driver: Counter() for driver in drivers}
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="cstore-conformance-"))
        stack.callback(detach_all, scratch)
        tops = dict.fromkeys(drivers, scratch)
        if "btrfs" in drivers:
            tops["btrfs"] = stack.enter_context(loop_disk(Path(scratch), "btrfs"))
        for check in CHECKS:
            results = {driver: _result(check, driver, tops[driver]) for driver in drivers}
            for row in check.rows:
                print(f"{check.interface}\t{row}\t{check.promise}\t", "\t".join(results.values()), sep="")
                for driver, result in results.items():
                    counts[driver][result == "works"] += result != "-"
    for driver, count in counts.items():
        print(f"{driver}: {count[True]} of {count.total()} rows work")
    return int(any(count[False] for count in counts.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(DRIVERS)))
