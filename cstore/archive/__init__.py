"""Layer archives: unpack tar streams into trees and rebuild them byte for byte.

This package owns the tar format, compression, tar-split, whiteouts, and the comparison of two trees. Archives are
untrusted: unpacking one never reads, creates or changes anything outside its tree.

It must not know about stores, records, drivers or locks: it takes descriptors and directories, and returns facts.
"""
