"""Layer archives: unpack tar streams into trees and rebuild them byte for byte.

Owns: the tar format, compression, tar-split, whiteouts, and the comparison of two trees. Archives are untrusted:
unpacking one never reads, creates or changes anything outside its tree.

Must not know: stores, records, drivers and locks. It takes descriptors and directories and returns facts.
"""
