"""The commands `status` and `version`, which print facts about the store and about cstore itself."""

from __future__ import annotations

from cstore.cli.command import command, json_option
from cstore.cli.session import Intent, Session, View


@command("status", example="cstore status --json")
@json_option
def status(session: Session) -> None:
    """Show the store's location and driver.

    The lines go to standard error, as those of containers-storage do; JSON goes to standard output.
    """
    _facts(session, session.open(Intent.RECORDS).status())


@command("version", example="cstore version")
@json_option
def version(session: Session) -> None:
    """Print the version.

    The line goes to standard error, as that of containers-storage does; JSON goes to standard output.
    """
    from cstore import __version__

    _facts(session, [("Version", __version__)])


def _facts(session: Session, facts: list[tuple[str, str]]) -> None:
    from cstore.cli.output.streams import say

    def aloud() -> None:
        for label, value in facts:
            say(f"{label}: {value}")

    session.show(View(lambda: [list(fact) for fact in facts], lambda: (), beside=aloud))
