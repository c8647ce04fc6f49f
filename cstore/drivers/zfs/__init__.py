"""The zfs driver: every layer is a dataset, a child begins as a clone of a snapshot of its parent.

Owns: the names and properties of its datasets, and where they are mounted.
Must not know: records, other drivers.

It speaks to ZFS through zfs(8), zpool(8) and mount(8) only. ZFS is no part of the kernels that cstore is developed and
tested on, so this driver has never met a real pool: its tests run it against a program that does with directories what
zfs(8) does with datasets. What the commands mean is taken from their manuals.
"""
