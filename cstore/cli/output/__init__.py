"""Output of results: plain lines for pipes, JSON for programs, tables and trees for terminals.

Owns: every line on stdout, and the model (`views`) from which all three forms are built.
Must not know: the origin of a result, or its further use.
"""
