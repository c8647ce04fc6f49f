"""Room 4a, the record files: what the store knows about its layers, images and containers, and their data items.

Bytes in, typed records out, and back again without changing any other byte. A file that cannot be trusted is refused
and never overwritten. Nothing here takes a lock, mounts, or knows what a driver keeps: callers hold the locks and write
the tokens. (store-format 2 to 7)
"""
