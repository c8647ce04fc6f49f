"""Find modules faster than Python does: cstore's own in known places, others where Python looks.

For each module, Python's own finder lists a directory, tries five suffixes and builds several paths. For a small file
that takes longer than running it, and a command imports fifty modules. Here, a module of cstore is `NAME.py` or
`NAME/__init__.py` in its package's directory; its `.pyc` is used if it has the source's time and size, the same check
that Python makes. All other cases are left to Python. Only the launcher uses this; programs that import cstore import
it like any other package.
"""

from __future__ import annotations

import _frozen_importlib
import posix
import sys
from _frozen_importlib import ModuleSpec  # importlib.machinery has the same classes, but imports six modules
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from _imp import _fix_co_filename  # type: ignore[attr-defined]  # typeshed leaves it out
from _thread import _count as number_of_threads
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType, ModuleType

_Module = type(sys)  # what `types` calls ModuleType
_COMPILED = f".{sys.implementation.cache_tag}.pyc"
_BY_TIME = MAGIC_NUMBER + bytes(4)
"""The head of a compiled file that is valid if its source has the time and size that follow, four bytes each."""


def find_quickly(packages: str) -> None:
    """Install the finders. Other packages are in the directory `packages`, or where Python usually looks."""
    if packages not in sys.path:
        sys.path.append(packages)
    if sys.pycache_prefix is None and not sys.flags.optimize:
        here = Here()
        sys.meta_path.insert(0, here)
        _load_quickly(here)
    if sys.flags.no_site:
        sys.meta_path.append(Elsewhere())


def _load_quickly(here: Here) -> None:
    """Load modules of cstore without the locks and searches of `importlib`, which take as long as running a small file.

    The `import` statement calls a function of `importlib` for a module that is not loaded; others may call it for one
    that is. This replaces it for modules of cstore that `sys.modules` does not name, while one thread is running.
    """
    usual = getattr(_frozen_importlib, "_find_and_load", None)
    if usual is None:
        return

    def find_and_load(name: str, import_: Callable[[str], ModuleType]) -> ModuleType:
        parent, _, last = name.rpartition(".")
        package = sys.modules.get(parent)
        spec = None
        if name not in sys.modules and not number_of_threads():
            spec = here.find_spec(name, getattr(package, "__path__", None))
        if spec is None or not isinstance(spec.loader, Loader) or (code := spec.loader.get_code(name)) is None:
            loaded: ModuleType = usual(name, import_)
            return loaded
        module = sys.modules[name] = spec.loader.create_module(spec)
        try:
            exec(code, module.__dict__)  # noqa: S102  - as Python's own loader does
        except BaseException:
            del sys.modules[name]
            raise
        setattr(package, last, module)
        return module

    _frozen_importlib._find_and_load = find_and_load  # type: ignore[attr-defined]  # noqa: SLF001


class Here:
    """Finds modules of cstore in the directories of their packages."""

    def find_spec(self, name: str, path: Sequence[str] | None, _: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module; None if it is not a module of cstore, or is not in the expected place."""
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
    """Loads a module from its compiled file, if that matches the source."""

    def __init__(self, name: str, source: str, compiled: str, stamp: bytes) -> None:
        super().__init__(name, source)
        self._compiled = compiled
        self._head = _BY_TIME + stamp

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Create a module with its origin set: looking up missing attributes takes as long as running it."""
        module = _Module(spec.name)
        within = spec.submodule_search_locations
        about: dict[str, object] = {} if within is None else {"__path__": within}
        about |= {"__loader__": self, "__package__": spec.parent, "__file__": spec.origin, "__cached__": spec.cached}
        about["__spec__"] = spec
        module.__dict__.update(about)
        return module

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code."""
        code = self._compiled_code()
        return super().get_code(fullname) if code is None else code

    def _compiled_code(self) -> CodeType | None:
        """Return the code in the compiled file; None if the file is missing, outdated or incomplete."""
        try:
            content = _content(self._compiled)
            if not content.startswith(self._head):
                return None
            code: CodeType = loads(memoryview(content)[len(self._head) :])  # noqa: S302  - Python would run it, too
        except (OSError, EOFError, ValueError, TypeError):
            return None
        _fix_co_filename(code, self.path)  # for tracebacks, if it was compiled in another directory
        return code


def _content(path: str) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)  # a third of the system calls of a file object
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


class Elsewhere:
    """Finds packages that are not beside cstore where Python looks, on first use."""

    def find_spec(self, name: str, path: Sequence[str] | None, _: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a module that no other finder has found."""
        if path is not None or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        import site
        from importlib.util import find_spec

        site.main()
        return find_spec(name)
