"""The command that prints completion scripts, so that they are available with every method of installation."""

from __future__ import annotations

import sys

from cstore.cli.command import command, word
from cstore.errors import UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.cli.session import Session


@command(
    "completion",
    example="cstore completion bash > cstore.bash\n"
    "cstore completion zsh > _cstore\n"
    "cstore completion fish > cstore.fish",
)
@word("shell", "bash|zsh|fish")
def completion(session: Session, shell: str) -> None:
    """Print the completion script for a shell.

    Completes commands, options, and the names and IDs of layers, images and containers. For the current bash, run
    `source <(cstore completion bash)`. To install, write the script to
    ~/.local/share/bash-completion/completions/cstore for bash, as _cstore to a directory in fpath for zsh, or to
    ~/.config/fish/completions/cstore.fish for fish.
    """
    del session
    from cstore.cli.completions import SCRIPTS
    from cstore.cli.reference import described

    if shell not in SCRIPTS:
        raise UsageMistake(f"there is no completion for {shell!r}", hint=f"choose one of: {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[shell](list(described())))
