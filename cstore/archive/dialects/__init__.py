"""How other programs write tars, and how a lost tar-split is found again by writing the archive as they would have.

`table` says who writes how, `encode` writes headers so, `scan` reads what an unpacked layer still tells, `layout` puts
both together to an archive, and `search` tries one after the other until the digest is the recorded one.
"""

from cstore.archive.dialects.search import Search, Wanted

__all__ = ["Search", "Wanted"]
