"""Safe file operations: publishing, locking, staging, walking, copying and removing, confined to the given paths.

Owns operations on any directory. Must not know what a layer or record is, nor the paths of a store: paths are
arguments, and failures are errors of `cstore.errors` that name the path.
"""
