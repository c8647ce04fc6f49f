"""`python -m tests.faults`: all faults of all commands with both drivers, or a seeded sample; prints the failures.

`python -m tests.faults kills` kills the commands at random moments instead, `python -m tests.faults full` runs them on
full disks, `python -m tests.faults syncs` leaves out syncs, `python -m tests.faults dead` makes the disk fail.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time

from tests.disk import fresh_disk
from tests.faults import dead, full, kills, syncs
from tests.faults.commands import ALL
from tests.faults.lab import Laboratory


def main() -> int:
    """Run the requested trials. Returns 1 if anything was wrong."""
    if sys.argv[1:2] == ["kills"]:
        return kills.main(sys.argv[2:])
    if sys.argv[1:2] == ["full"]:
        return full.main(sys.argv[2:])
    if sys.argv[1:2] == ["syncs"]:
        return syncs.main(sys.argv[2:])
    if sys.argv[1:2] == ["dead"]:
        return dead.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=0, help="how many faults of each command (0: all)")
    parser.add_argument("--driver", action="append", choices=["overlay", "vfs"])
    parser.add_argument("--call", action="append", help="only faults of this system call")
    parser.add_argument("commands", nargs="*", default=[])
    given = parser.parse_args()
    if not given.driver:  # each on its own disk and core: together they take no longer than one
        words = [sys.executable, "-m", "tests.faults", *sys.argv[1:]]
        return max(each.wait() for each in [subprocess.Popen([*words, "--driver", one]) for one in ("overlay", "vfs")])
    tried = bad = 0
    began = time.monotonic()
    choice = random.Random(given.seed)
    for driver in given.driver:
        with fresh_disk() as disk:
            os.mkdir(work := os.path.join(disk, driver))
            lab = Laboratory(work, driver)
            for command in given.commands or ALL:
                cases = [case for case in lab.cases(command) if not given.call or case.call in given.call]
                chosen = choice.sample(cases, min(given.sample, len(cases))) if given.sample else cases
                for case in chosen:
                    wrong = lab.trial(case)
                    tried += 1
                    bad += bool(wrong)
                    for line in wrong:
                        print(f"{case}: {line}", flush=True)
                took = f"{time.monotonic() - began:.0f} s, {lab.known} known, {lab.missed} missed so far"
                print(f"{driver} {command}: {len(chosen)} of {len(cases)} faults ({took})", file=sys.stderr, flush=True)
    summary = f"{', '.join(given.driver)}: {tried} faults, {bad} with something wrong"
    print(f"{summary}, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
