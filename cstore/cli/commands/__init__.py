"""The commands, one group per module: each opens the store with its intent, makes one call, and shows the result.

Owns: options, arguments and their meaning; the output stream of each part of a result.
Must not know: the storage of records, trees or archives.
"""
