"""How results look: plain lines for pipes, JSON for programs, tables and trees for people.

Owns: every line that reaches stdout, and the one model (`views`) that all three are made from.
Must not know: where a result came from, or what happens to it next.
"""
