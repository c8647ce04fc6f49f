"""The commands, one family a file: each parses, opens the store with its intent, makes one call, and shows the result.

Owns: options, arguments and their meaning; which parts of a result go where.
Must not know: how records, trees or archives are kept.
"""
