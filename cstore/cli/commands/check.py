"""Looking for damage."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError, InvalidDuration, NoStore, NotChecked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore import Store
    from cstore.check import CheckOptions, Removed, Report, Subject


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
    options = _options(wanted)
    report = _checked(session, options, required=bool(wanted["require_store"]))
    removed = _removed(session, report, wanted)
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


def _options(wanted: dict[str, Any]) -> CheckOptions:
    from cstore.check import CheckOptions, parse_duration

    age, limit = str(wanted["max"]), str(wanted["max_duration"])
    options = CheckOptions(quick=bool(wanted["quick"]), layers=wanted["layer"], images=wanted["image"])
    if age:
        options = options.with_(max_age=parse_duration(age))
    if limit:
        seconds = parse_duration(limit)
        if seconds < 0:
            raise InvalidDuration(limit, "it is negative")
        options = options.with_(max_duration=seconds)
    return options


def _checked(session: Session, options: CheckOptions, *, required: bool) -> Report:
    """Open the store and check it. `required`: there has to be one.

    Raises:
        NotChecked: whatever went wrong with that.
    """
    from cstore.check import check_store, place_of_memory
    from cstore.cli.output.progress import progress_bar
    from cstore.config import read_environment

    try:
        store = session.open(Intent.CONTENT)
        if required and not store.is_made:
            raise NoStore(store.config.graph_root)
        if options.max_duration is not None:
            memory = place_of_memory(read_environment(), store.config.graph_root, store.driver_name)
            options = options.with_(memory=memory)
        with progress_bar("checking", _bytes_in(store)) as advance:
            if advance is not None:
                options = options.with_(progress=lambda done, _: advance(done))
            return check_store(store.context, options)
    except NotChecked:
        raise
    except CstoreError as error:
        raise NotChecked(error) from error


def _bytes_in(store: Store) -> int:
    """How much there is to read, at most."""
    import sys

    return sum(max(layer.diff_size, 0) for layer in store.layers.list()) if sys.stderr.isatty() else 0


def _conclude(session: Session, report: Report, *, summed_up: bool) -> None:
    """Say on standard error what the lines do not, and how it ended."""
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


def _removed(session: Session, report: Report, wanted: dict[str, Any]) -> Removed | None:
    """Take out what is damaged, if that is wanted."""
    if not (wanted["repair"] or wanted["force"]):
        return None
    from cstore.check import remove_damaged

    return remove_damaged(session.open(Intent.CONTENT).context, report, containers=bool(wanted["force"]))


def _tell_removed(session: Session, report: Report, removed: Removed, options: CheckOptions) -> None:
    """Say what stayed and why, and how it ended: well, if nothing is wrong in the store any more."""
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
    """Whether anything is wrong still, or only now. What comes to light only now is said.

    The contents of layers are not read again: nothing has changed those that stayed.
    """
    from cstore.check import CheckOptions, check_store

    if removed.failed or not removed.done:
        return bool(removed.failed) or not report.clean
    known = {(one.kind, one.subject) for one in report.findings}
    again = CheckOptions(max_age=options.max_age, max_duration=0.0)
    now = check_store(session.open(Intent.CONTENT).context, again).serious
    new = [one for one in now if (one.kind, one.subject) not in known and not (options.layers or options.images)]
    session.warn(f"only now: {one.sentence}" for one in new)
    gone = set(removed.done)
    stayed = [subject for one in report.serious if ((subject := one.subject).kind, subject.id) not in gone]
    still = any((one.kind, one.subject) in known for one in now)
    return bool(new) or still or any(not _went(session, subject) for subject in stayed)


def _went(session: Session, subject: Subject) -> bool:
    """Whether an item is not there any more, though it was not taken out for its own sake."""
    store = session.open(Intent.CONTENT)
    finders = {"layer": store.layers.find, "image": store.images.find, "container": store.containers.find}
    find = finders.get(subject.kind)
    return find is not None and find(subject.id) is None and subject.id not in store.layers.trees()
