"""The command `unshare`, which runs a program in the user namespace of an ordinary user's store."""

from __future__ import annotations

from cstore.cli.command import command, program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.cli.session import Session


@command("unshare", example="cstore unshare id\ncstore unshare sh -c 'ls \"$(cstore mount base)\"'")
@program("command", "COMMAND")
def unshare(session: Session, command: tuple[str, ...]) -> None:
    """Run a program in your user namespace.

    Inside, you are root and have the users and groups that /etc/subuid and /etc/subgid assign to you. Mounts made
    inside are visible only there, and end with the last program inside. Without COMMAND, runs your shell. The exit
    status is that of COMMAND: 127 if it does not exist, 126 if it cannot be run.
    """
    from cstore.store import rootless

    session.warn(rootless.shortcomings())
    rootless.run(command)
