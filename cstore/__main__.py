"""The entry point of `python -m cstore` and of the installed `cstore` command."""

from __future__ import annotations

from cstore.cli import main

if __name__ == "__main__":
    main()
