"""The C library by way of ctypes, loaded at first use; failures become OSError."""

from __future__ import annotations

import os
from functools import cache
from typing import Any


@cache
def _library() -> Any:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Call the C function `name` and return its result.

    Integers that may not fit a C int must come wrapped in their ctypes type.

    Raises:
        OSError: the function returned -1; ENOSYS if this C library has no such function.
    """
    import ctypes
    import errno

    try:
        function = getattr(_library(), name)
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name) from None
    result = int(function(*arguments))
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def system_call(number: int, *arguments: Any) -> int:
    """Make a system call that the C library has no function for. Integers are passed as C longs.

    Raises:
        OSError: the kernel refused, or does not know the call (ENOSYS).
    """
    import ctypes

    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return call("syscall", ctypes.c_long(number), *wide)
