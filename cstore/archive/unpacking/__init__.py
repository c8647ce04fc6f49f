"""Fill a tree from an archive: one process reads and parses the stream, a confined one creates the files.

This package owns both processes and their communication: the ring of shared memory, the orders, the answers. The second
process can access only the tree: it has no other descriptors, changes its root to the tree if it may, and opens every
path name by name. `cstore.archive.apply` connects the two sides.

    reading side     intake → (tar reader) → dispatch → worker            amend: the tar-split, at the end
    orders           the messages between them
    filling side     filler → entries, removal → clearing, paths, displaced, seen, times
    lower layers     lowers: lookup of files, and copying them up

It must not know what a layer is, or where trees and tar-splits are stored.
"""
