"""What an image is made of, as text and arithmetic: configs, histories, and the IDs that are computed from digests.

Owns: the formulas of Docker and of containers/image, the image JSON as typed objects, and the manifest of an image that
came without one. Must not know: files, stores, archives, locks.
"""
