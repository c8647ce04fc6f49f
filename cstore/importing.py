"""How the program finds modules: cstore's own where they are known to be, others where Python looks.

For each module Python's own finder lists a directory, tries five suffixes and puts several paths together: for a small
file that takes longer than to run it, and a command imports fifty. Here a module of cstore is `NAME.py` or
`NAME/__init__.py` in its package's directory, compiled if its `.pyc` carries the source's time and size, as Python
itself checks it. Whatever is otherwise is left to Python. Only the launcher uses this; a program that imports cstore
imports it as any other package.
"""

from __future__ import annotations

import posix
import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery has the same classes, and imports six modules
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from _imp import _fix_co_filename  # type: ignore[attr-defined]  # typeshed leaves it out
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

_COMPILED = f".{sys.implementation.cache_tag}.pyc"
_BY_TIME = MAGIC_NUMBER + bytes(4)
"""How a compiled file begins that is valid as long as its source has the time and size that follow, four bytes each."""


def find_quickly(packages: str) -> None:
    """Find modules as above. Other packages are in the directory `packages`, or wherever Python usually looks."""
    if packages not in sys.path:
        sys.path.append(packages)
    if sys.pycache_prefix is None and not sys.flags.optimize:
        sys.meta_path.insert(0, Here())
    if sys.flags.no_site:
        sys.meta_path.append(Elsewhere())


class Here:
    """Finds modules of cstore in the directories of their packages."""

    def find_spec(self, name: str, path: Sequence[str] | None, _: ModuleType | None = None) -> ModuleSpec | None:
        """Describe a module; None if it is not one of cstore's, or not in its place."""
        if not name.startswith("cstore.") or not path:
            return None
        directory, last = path[0], name[name.rindex(".") + 1 :]
        source, within = f"{directory}/{last}.py", None
        compiled = f"{directory}/__pycache__/{last}{_COMPILED}"
        try:
            state = posix.stat(source)
        except OSError:
            within = f"{directory}/{last}"
            source, compiled = f"{within}/__init__.py", f"{within}/__pycache__/__init__{_COMPILED}"
            try:
                state = posix.stat(source)
            except OSError:
                return None
        number = int(state.st_mtime) & 0xFFFF_FFFF | (state.st_size & 0xFFFF_FFFF) << 32
        spec = ModuleSpec(name, Loader(name, source, compiled, number.to_bytes(8, "little")), origin=source)
        spec.submodule_search_locations = None if within is None else [within]
        spec.has_location = True
        spec.cached = compiled
        return spec


class Loader(SourceFileLoader):
    """Loads a module from its compiled file, if that is what the source that is there was compiled to."""

    def __init__(self, name: str, source: str, compiled: str, stamp: bytes) -> None:
        super().__init__(name, source)
        self._compiled = compiled
        self._head = _BY_TIME + stamp

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code."""
        code = self._compiled_code()
        return super().get_code(fullname) if code is None else code

    def _compiled_code(self) -> CodeType | None:
        """Return the code in the compiled file; None if there is none, or it is incomplete."""
        try:
            content = _content(self._compiled)
            if not content.startswith(self._head):
                return None
            code: CodeType = loads(memoryview(content)[len(self._head) :])  # noqa: S302  - Python would run it likewise
        except (OSError, EOFError, ValueError, TypeError):
            return None
        _fix_co_filename(code, self.path)  # it may have been compiled elsewhere, and tracebacks tell the place
        return code


def _content(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)  # a third of the system calls that an object for it makes
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


class Elsewhere:
    """Looks for a package that is not beside cstore where Python itself looks, as soon as there is one."""

    def find_spec(self, name: str, path: Sequence[str] | None, _: ModuleType | None = None) -> ModuleSpec | None:
        """Describe a module that no other finder has found."""
        if path is not None or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        import site
        from importlib.util import find_spec

        site.main()
        return find_spec(name)
