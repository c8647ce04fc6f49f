"""Filling a tree from an archive: one process reads and takes the stream apart, a confined one creates the files.

Owns both processes and what passes between them: the ring of shared memory, the orders, the answers. The second process
sees nothing but the tree: no descriptor of others, no other directory where it may shut itself in, and in any case no
path that it has not walked itself. `cstore.archive.apply` puts the two sides together.

    reading side     intake → (tar reader) → dispatch → worker            amend: the tar-split, at the end
    orders           what passes between them
    filling side     filler → entries, removal → clearing, paths, displaced, seen, times
    lower layers     lowers: what is there, and copying files up from there

Must not know what a layer is, or where trees and tar-splits belong.
"""
