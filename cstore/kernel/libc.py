"""The C library by way of ctypes, loaded at first use; failures become OSError."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_loaded: list[Any] = []
"""The library, once it is."""


def _library() -> Any:
    if not _loaded:
        import ctypes

        _loaded.append(ctypes.CDLL(None, use_errno=True))
    return _loaded[0]


def load() -> None:
    """Load the library now: for who will call it where nothing can be loaded, in a forked worker or another root."""
    _library()


def call(name: str, *arguments: Any) -> int:
    """Call the C function `name` and return its result.

    Integers that may not fit a C int must come wrapped in their ctypes type.

    Raises:
        OSError: the function returned -1; ENOSYS if this C library has no such function.
    """
    import errno

    try:
        function = getattr(_library(), name)
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name) from None
    return _checked(int(function(*arguments)))


def system_call(number: int, *types: Any) -> Callable[..., int]:
    """Return a function that makes a system call which the C library has no function for.

    Args:
        number: of the call.
        types: the ctypes types of its arguments; integers must be c_long or as wide.

    Returns:
        The function. It raises OSError: the kernel refused, or does not know the call (ENOSYS).
    """
    import ctypes

    function = _library()["syscall"]  # indexing gives a new object, whose types are ours to set
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, *types)

    def make(*arguments: Any) -> int:
        result: int = function(number, *arguments)
        return _checked(result) if result == -1 else result

    return make


def _checked(result: int) -> int:
    if result == -1:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
