"""The tar format: 512-byte headers, their extensions, and the stream they make.

Owns every dialect there is to read (V7, ustar, PAX, GNU, STAR; three kinds of sparse file) and the one that is written.
Knows nothing of trees, compression or tar-split; no byte of an archive is lost on the way through.
"""
