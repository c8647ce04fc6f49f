"""Context managers: the part of `contextlib` that common commands need.

`contextlib` imports `functools`, `collections` and more, which takes as long as a small command itself. For type
checkers these are the originals. They behave alike, except that the contexts cannot be used as decorators. This module
imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack, contextmanager, nullcontext, suppress
    from types import TracebackType
    from typing import Any, Self
else:

    class _Generated:
        """A context manager that runs a generator to its `yield` on entry, and to its end on exit."""

        def __init__(self, generator: Iterator[Any]) -> None:
            self._generator = generator

        def __enter__(self) -> Any:
            try:
                return next(self._generator)
            except StopIteration:
                raise RuntimeError("the generator of a context did not yield") from None

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> bool:
            if error is None:
                if next(self._generator, self) is not self:
                    raise RuntimeError("the generator of a context yielded twice")
                return False
            try:
                self._generator.throw(error)
            except StopIteration as stop:
                return stop is not error
            except BaseException as raised:
                # An exception that the generator lets pass is unchanged; a StopIteration becomes a RuntimeError.
                turned = isinstance(error, StopIteration) and isinstance(raised, RuntimeError)
                error.__traceback__ = trace
                if raised is error or (turned and raised.__cause__ is error):
                    return False
                raise
            raise RuntimeError("the generator of a context yielded again after an error")

    def contextmanager(function: Callable[..., Iterator[Any]]) -> Callable[..., _Generated]:
        """Make a generator function return context managers, which run it to its `yield`, and later to its end."""

        def make(*values: Any, **named: Any) -> _Generated:
            return _Generated(function(*values, **named))

        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
            setattr(make, name, getattr(function, name))
        make.__wrapped__ = function
        return make

    class suppress:  # noqa: N801  - named like the original
        """A context manager that suppresses exceptions of these classes."""

        def __init__(self, *kinds: type[BaseException]) -> None:
            self._kinds = kinds

        def __enter__(self) -> None:
            return

        def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
            return kind is not None and issubclass(kind, self._kinds)

    class nullcontext:  # noqa: N801  - named like the original
        """A context manager that does nothing."""

        def __init__(self, result: object = None) -> None:
            self._result = result

        def __enter__(self) -> object:
            return self._result

        def __exit__(self, *_: object) -> None:
            return

    class ExitStack:
        """A context manager for others that are entered in it; it exits all in reverse order, even if one raises."""

        def __init__(self) -> None:
            self._exits: list[Callable[..., Any]] = []

        def __enter__(self) -> Self:
            return self

        def enter_context(self, context: Any) -> Any:
            """Enter a context; return its value."""
            result = context.__enter__()
            self._exits.append(context.__exit__)
            return result

        def callback(self, function: Callable[..., object], /, *values: Any, **named: Any) -> None:
            """Register a function to be called at the end."""

            def leave(*_: object) -> None:
                function(*values, **named)

            self._exits.append(leave)

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> bool:
            now = error
            while self._exits:
                try:
                    if self._exits.pop()(None if now is None else type(now), now, now and now.__traceback__):
                        now = None
                except BaseException as raised:  # noqa: BLE001  - it is raised after all exits
                    now = raised
            if now is not None and now is not error:
                raise now
            return error is not None and now is None


__all__ = ["ExitStack", "contextmanager", "nullcontext", "suppress"]
