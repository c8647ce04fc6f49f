"""The overlay driver: a layer is the directory of what it changes, and a mount puts such directories over each other.

Owns: the layout of the overlay home, short links and chains, the mounts, the native comparison of a layer with its
parent. Must not know: records, locks of records, how an archive is read.
"""
