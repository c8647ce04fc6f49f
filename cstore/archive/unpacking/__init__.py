"""Filling a tree from an archive: one process reads and takes the stream apart, a confined second one creates the files.

Owns both processes and what passes between them: the ring of shared memory, the orders, the answers. The second process
sees nothing but the tree: no other descriptor, where it may no other directory, and no path that it has not walked itself.
Must not know tar headers (the orders say what to do) or compression; `cstore.archive.apply` puts the two sides together.
"""
