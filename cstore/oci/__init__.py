"""The metadata of images, without any I/O: configs, histories, names, platforms, and IDs.

This package owns the ID formulas of Docker and containers/image, the image JSON as typed objects, the grammar of names,
the names of platforms, and generated manifests. It must not know about files, stores, archives or locks.
"""
