"""The tar format: 512-byte headers, their extensions, and the stream of entries.

This package owns every dialect that cstore reads (V7, ustar, PAX, GNU, STAR; three kinds of sparse file) and the one
that it writes. It knows nothing about trees, compression or tar-split. A reader passes on every byte of an archive.
"""
