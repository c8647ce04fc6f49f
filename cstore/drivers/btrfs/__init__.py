"""The btrfs driver: every layer is a subvolume, a child begins as a snapshot of its parent.

Owns: the layout of its home, subvolumes, their quotas.
Must not know: records, other drivers.
"""
