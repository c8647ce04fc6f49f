"""The record files: the records of layers, images and containers, and their data items (store-format 2 to 7).

This package decodes files to typed records, and encodes them again without changing a byte of unchanged records. A file
that cannot be trusted is refused and never overwritten. Nothing here takes a lock, mounts, or knows about drivers:
callers hold the locks and write the tokens.
"""
