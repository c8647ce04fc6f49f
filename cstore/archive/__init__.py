"""Layer archives: tar streams into trees and back, byte for byte.

Owns the tar format, compression, tar-split, whiteouts, and the comparison of two trees. What comes in is untrusted:
whatever an archive says, nothing outside the tree it is unpacked into is read, made or changed.

Must not know what a store, a record, a driver or a lock is: it is given descriptors and directories, gives back facts.
"""
