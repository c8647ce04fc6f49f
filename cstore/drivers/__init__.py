"""Storage drivers: each stores layers as directories.

Owns: the contract of a driver, the choice of one, and each driver in a module or package of its own.
Must not know: record files, locks of records, the command line.
"""
