"""Programs in the user namespace in which an ordinary user's store is at home."""

from __future__ import annotations

from cstore.cli.command import command, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.cli.session import Session


@command("unshare", example="cstore unshare id\ncstore unshare sh -c 'ls \"$(cstore mount base)\"'")
@words("command", "COMMAND", required=False)
def unshare(session: Session, command: tuple[str, ...]) -> None:
    """Run a program in a user namespace of one's own.

    You are root inside, and have the users and groups that /etc/subuid and /etc/subgid set aside for you. What is
    mounted inside is seen there only, and is unmounted when the last program inside ends. Without COMMAND, your shell
    is run. The exit status is that of COMMAND: 127 if there is no such program, 126 if it cannot be run.
    """
    from cstore.store import rootless

    session.warn(rootless.shortcomings())
    rootless.run(command)
