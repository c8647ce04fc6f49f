"""Context managers: as much of `contextlib` as the commands of every day need.

`contextlib` imports `functools`, `collections` and more, which together takes as long as a small command itself does.
For type checkers these are the real ones, and they behave alike, except that a generator's function cannot be used as
a decorator. Imports nothing.
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
        """A context that is entered where a generator yields, and left where it goes on."""

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
                # What the generator let pass comes out as it is; Python turns a StopIteration into a RuntimeError.
                turned = isinstance(error, StopIteration) and isinstance(raised, RuntimeError)
                error.__traceback__ = trace
                if raised is error or (turned and raised.__cause__ is error):
                    return False
                raise
            raise RuntimeError("the generator of a context yielded again after an error")

    def contextmanager(function: Callable[..., Iterator[Any]]) -> Callable[..., _Generated]:
        """Let a generator function make contexts: up to its `yield` to enter them, from there on to leave them."""

        def make(*values: Any, **named: Any) -> _Generated:
            return _Generated(function(*values, **named))

        for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
            setattr(make, name, getattr(function, name))
        make.__wrapped__ = function
        return make

    class suppress:  # noqa: N801  - called like the one it stands for
        """A context that errors of these classes end, and nothing else does."""

        def __init__(self, *kinds: type[BaseException]) -> None:
            self._kinds = kinds

        def __enter__(self) -> None:
            return

        def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
            return kind is not None and issubclass(kind, self._kinds)

    class nullcontext:  # noqa: N801  - likewise
        """A context that does nothing."""

        def __init__(self, result: object = None) -> None:
            self._result = result

        def __enter__(self) -> object:
            return self._result

        def __exit__(self, *_: object) -> None:
            return

    class ExitStack:
        """A context of others, exited in reverse order even if one raises."""

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
            """Call a function at the end."""

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
                except BaseException as raised:  # noqa: BLE001  - it is raised when all are left
                    now = raised
            if now is not None and now is not error:
                raise now
            return error is not None and now is None


__all__ = ["ExitStack", "contextmanager", "nullcontext", "suppress"]
