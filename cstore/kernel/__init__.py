"""The room of the kernel: calls that Python does not offer, each with its C meaning and an OSError when it fails.

Owns every use of ctypes, ioctl and raw lock calls. Knows no store, no layer and no policy: what to do about a failure
is decided one room up. Modules import ctypes only when a call needs it, because that alone costs milliseconds of
start-up.
"""
