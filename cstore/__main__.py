"""`python -m cstore`, and what the installed `cstore` command calls."""

from __future__ import annotations

from cstore.cli import main

if __name__ == "__main__":
    main()
