"""The parts of an image, as text and arithmetic: configs, histories, names, platforms, and IDs.

Owns: the formulas of Docker and of containers/image, the image JSON as typed objects, the grammar of names, the words
for platforms, and the manifest of an image that came without one. Must not know: files, stores, archives, locks.
"""
