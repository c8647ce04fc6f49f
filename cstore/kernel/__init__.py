"""System calls that Python lacks, each with its C meaning; failures raise OSError.

Owns every use of ctypes, ioctl and raw lock calls. Knows no store, layer or policy: callers decide how to handle a
failure. Modules import ctypes only when a call needs it, because that import alone costs milliseconds of start-up.
"""
