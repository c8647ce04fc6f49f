"""The C library through ctypes, loaded at first use; failures raise OSError."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_loaded: list[Any] = []
"""The library, once loaded."""


def load() -> Any:
    """Return the library. Call it before running where nothing can be loaded: in a forked worker or a chroot."""
    if not _loaded:
        import ctypes

        _loaded.append(ctypes.CDLL(None, use_errno=True))
    return _loaded[0]


def call(name: str, *arguments: Any) -> int:
    """Call the C function `name` and return its result.

    Integers that may not fit into a C int must be wrapped in their ctypes type.

    Raises:
        OSError: the function returned -1; ENOSYS if this C library has no such function.
    """
    import errno

    try:
        function = getattr(load(), name)
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name) from None
    return _checked(int(function(*arguments)))


def system_call(number: int, *types: Any) -> Callable[..., int]:
    """Return a function that makes a system call for which the C library has no wrapper.

    Args:
        number: the system call number.
        types: the ctypes types of its arguments; integers must be c_long or as wide.

    Returns:
        The function. It raises OSError if the kernel refuses the call or does not know it (ENOSYS).
    """
    import ctypes

    function = load()["syscall"]  # indexing returns a new object, so its types can be set
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
