"""The command that checks the host for container storage."""

from __future__ import annotations

from cstore.cli.command import command, json_option, text
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError, NotChecked

FORMATS = ("text", "json", "prometheus")


@command("doctor", example="cstore doctor\ncstore doctor --json\ncstore doctor --format prometheus")
@text("--format", metavar="FORMAT", help="text (the default), json, or prometheus for node_exporter.", choices=FORMATS)
@json_option
def doctor(session: Session, format: str) -> None:  # noqa: A002  - the option's name
    """Check whether this host is sound for container storage.

    Looks at the kernel, the storage driver, the file system and its free space, user namespaces and subordinate IDs,
    SELinux, the configuration, the store's locks and mounts, the clock, and the versions of other tools. Each line is a
    problem, a warning or ok, with what to do about it. Nothing is written, mounted or locked. To check the store's
    contents, use `cstore check`.

    Exit status: 0: no problem (there may be warnings). 1: at least one problem. 2: usage error. 3: the store could not
    be opened.
    """
    from cstore.check import examine_host
    from cstore.cli.output import host

    try:
        store = session.open(Intent.RECORDS)
        report = examine_host(store.context)
    except CstoreError as error:
        raise NotChecked(error) from error
    session.json = session.json or format == "json"
    session.show(
        View(
            lambda: host.document(report),
            lambda: host.metrics(report) if format == "prometheus" else host.plain(report),
            None if format else lambda: host.styled(report),
        )
    )
    session.failed = session.failed or bool(report.problems)
