"""The command that checks the store for damage."""

from __future__ import annotations

import sys

from cstore.cli.command import command, json_option, switch, text, texts
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError, InvalidDuration, NoStore, NotChecked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.check import CheckOptions, Removed, Report

FORMATS = ("text", "json")


@command(
    "check",
    example="cstore check\ncstore check --quick --json | jq -r '.Findings[].sentence'\n"
    "cstore check --image alpine\ncstore check --max-duration 10m",
)
@switch("-q", "--quick", help="Read and hash all layers, but do not compare directories file by file.")
@switch("-r", "--repair", help="Move damaged images and layers into quarantine. To heal them, use cstore repair.")
@switch("-f", "--force", help="Move damaged containers into quarantine too; implies --repair.")
@text("-m", "--max", metavar="DURATION", help="Report layers unused for longer than this (default: 24h).")
@texts("--layer", metavar="LAYER", help="Check this layer only; may be repeated.")
@texts("--image", metavar="IMAGE", help="Check this image and its layers only; may be repeated.")
@text(
    "--max-duration", metavar="DURATION", help="Stop reading contents after this time; the next check continues there."
)
@switch("--require-store", help="Exit with status 3 if there is no store.")
@text("--format", metavar="FORMAT", help="text: alike findings grouped, as on a terminal; or json.", choices=FORMATS)
@json_option
def check(session: Session, /, **wanted: Any) -> None:
    """Check the store for damage.

    Checks records, data items, the storage driver's files, and every file of every layer against the archive it came
    from. Writes nothing. In a busy store, confirms each finding under the store's locks before reporting it.

    Each finding has a severity: data, records, export, leftover or cosmetic; cstore-check(1) says what each means. A
    terminal, and --format text, show alike findings together. In a pipe, standard output has the lines of
    containers-storage, without cosmetic findings, and standard error a summary and the next command.

    --repair moves damaged images and the layers that only they use into quarantine, then damaged layers, then layers
    that nothing uses. It keeps what sound items need, and removes nothing while a record file is damaged. `cstore
    repair --undo` brings everything back. To heal instead, use `cstore repair`.

    Exit status: 0: no finding above cosmetic. 1: findings, or with --repair remaining findings. 2: usage error. 3: the
    store could not be checked.
    """
    from cstore.cli.output import findings

    session.json = session.json or wanted["format"] == "json"
    grouped = wanted["format"] == "text" or session.styled
    options, report = _checked(session, wanted)
    removed: Removed | None = None
    if wanted["repair"] or wanted["force"]:
        from cstore.check import remove_damaged

        removed = remove_damaged(session.open(Intent.CONTENT).context, report, containers=bool(wanted["force"]))
    session.show(
        View(
            lambda: findings.document(report, removed),
            lambda: findings.text(report) if grouped else findings.plain(report),
            lambda: findings.styled(report),
        )
    )
    if removed is None:
        _conclude(session, report, summed_up=grouped)
    else:
        _tell_removed(session, report, removed, options)


def _checked(session: Session, wanted: dict[str, Any]) -> tuple[CheckOptions, Report]:
    """Open and check the store; return the options and the report.

    Raises:
        InvalidDuration: a limit is not valid.
        NotChecked: any other error.
    """
    from cstore.check import CheckOptions, check_store, parse_duration, place_of_memory
    from cstore.cli.output.progress import progress_bar
    from cstore.config import read_environment

    age, limit = str(wanted["max"]), str(wanted["max_duration"])
    options = CheckOptions(quick=bool(wanted["quick"]), layers=wanted["layer"], images=wanted["image"])
    if age:
        options = options.with_(max_age=parse_duration(age))
    if limit:
        seconds = parse_duration(limit)
        if seconds < 0:
            raise InvalidDuration(limit, "it is negative")
        options = options.with_(max_duration=seconds)
    try:
        store = session.open(Intent.CONTENT)
        if wanted["require_store"] and not store.is_made:
            raise NoStore(store.config.graph_root)
        if options.max_duration is not None:
            memory = place_of_memory(read_environment(), store.config.graph_root, store.driver_name)
            options = options.with_(memory=memory)
        most = sum(max(layer.diff_size, 0) for layer in store.layers.list()) if sys.stderr.isatty() else 0
        with progress_bar("checking", most) as advance:
            if advance is not None:
                options = options.with_(progress=lambda done, _: advance(done))
            return options, check_store(store.context, options)
    except NotChecked:
        raise
    except CstoreError as error:
        raise NotChecked(error) from error


def _conclude(session: Session, report: Report, *, summed_up: bool) -> None:
    """Print warnings and the summary to standard error, and set `failed` if there are findings."""
    from cstore.cli.output.findings import counts, next_command, severities
    from cstore.cli.output.streams import say

    if report.unexamined:
        session.warn(
            [f"the time limit left no time for {len(report.unexamined)} layers; the next check begins with them"]
        )
    session.warn(report.notes)
    if not report.clean:
        session.failed = True
        if not session.json and not summed_up:
            say(counts(report))
            then = next_command(report)
            say(f"cstore: {severities(report)}{f'; next: {then}' if then else ''}")


def _tell_removed(session: Session, report: Report, removed: Removed, options: CheckOptions) -> None:
    """Print failed deletions and the summary; set `failed` if a deletion failed or the store still has damage."""
    from cstore.cli.output.findings import counts
    from cstore.cli.output.streams import say

    for kind, identifier, error in removed.failed:
        session.report(error, f"deleting {kind} {identifier}")
    if _left(session, report, removed, options):
        session.failed = True
    if session.failed and not session.json:
        say(counts(report))
    if removed.case and not session.json:
        session.warn([f"removed items are in quarantine; to undo: cstore repair --undo {removed.case}"])


def _left(session: Session, report: Report, removed: Removed, options: CheckOptions) -> bool:
    """Return whether the store still has damage or has new damage; warn about new damage.

    The check does not read the contents of layers again, because the deletions did not change the remaining layers.
    """
    from cstore.check import CheckOptions, check_store

    if removed.failed or not removed.done:
        return bool(removed.failed) or not report.clean
    known = {(one.kind, one.subject) for one in report.findings}
    again = CheckOptions(max_age=options.max_age, max_duration=0.0)
    store = session.open(Intent.CONTENT)
    now = check_store(store.context, again).serious
    new = [one for one in now if (one.kind, one.subject) not in known and not (options.layers or options.images)]
    session.warn(f"only now: {one.sentence}" for one in new)
    if new or any((one.kind, one.subject) in known for one in now):
        return True
    gone = set(removed.done)
    finders = {"layer": store.layers.find, "image": store.images.find, "container": store.containers.find}
    for subject in (one.subject for one in report.serious if (one.subject.kind, one.subject.id) not in gone):
        find = finders.get(subject.kind)  # it may have been deleted along with another item
        if find is None or find(subject.id) is not None or subject.id in store.layers.trees():
            return True
    return False
