"""Recover a lost tar-split by rewriting the archive as other programs would have written it.

`table` lists the dialects of the programs, `encode` writes their headers, `scan` collects the facts from an unpacked
layer, `layout` combines both to an archive, and `search` tries the dialects until the digest matches the recorded one.
"""

from cstore.archive.dialects.search import Search, Wanted

__all__ = ["Search", "Wanted"]
