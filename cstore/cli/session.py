"""The session, the first argument of every command function: its settings, the store, and the output of results."""

from __future__ import annotations

import sys

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from cstore import CstoreError, Layer, Store, StoreConfig
    from cstore.config import Overrides
    from cstore.store import PreparedLayer


class Intent:
    """The kind of access that a command needs when it opens the store."""

    RECORDS = "read records"
    CONTENT = "read the trees of layers"
    WRITE = "change the store"


class View(Value):
    """A result in its three forms; only the requested one is generated.

    Attributes:
        document: returns the JSON document; a possibly very long one is `structured.Streamed`.
        lines: returns the plain lines.
        table: prints the result for a terminal; None to print the plain lines there, too.
        foot: returns the lines after the plain lines or the table.
        beside: prints to standard error the facts that the table has and the plain lines lack.
        paths: whether the lines contain paths, which may include control characters.
        null: whether each line ends with a NUL byte, for other programs; there is then no foot.
    """

    document: Callable[[], object]
    lines: Callable[[], Iterable[str]]
    table: Callable[[], None] | None = None
    foot: Callable[[], Iterable[str]] | None = None
    beside: Callable[[], None] | None = None
    paths: bool = False
    null: bool = False


class Session:
    """One run of one command.

    Attributes:
        settings: the given global options, and whether the output is JSON.
        json: whether results are printed as JSON.
        failed: whether an error occurred that did not stop the command.
        later: accepts a layer to be made durable together with others, and the function that then shows it; None to
            make layers durable at once.
        outer: the session of the batch that runs the command, if any; its commands share its configuration and store.
    """

    def __init__(self, settings: Mapping[str, Any] = {}, outer: Session | None = None) -> None:
        self.settings: Mapping[str, Any] = settings if outer is None else {**outer.settings, **settings}
        self.json = bool(self.settings.get("json"))
        self.failed = False
        self.outer = outer
        self.later: Callable[[PreparedLayer, Callable[[Layer], None]], None] | None = None
        self._config: StoreConfig | None = None
        self._store: Store | None = None
        self._at_home = False
        self._damage: set[str] = set()

    @property
    def debug(self) -> bool:
        """Whether --debug requests tracebacks and debugging lines."""
        return bool(self.settings.get("debug"))

    @property
    def overrides(self) -> Overrides:
        """The configuration settings from the command line."""
        from cstore.config import Overrides

        given = self.settings
        return Overrides(
            graph_root=given.get("graph", ""),
            run_root=given.get("run", ""),
            image_store=given.get("image_store", ""),
            driver=given.get("storage_driver", ""),
            driver_options=given.get("storage_opt", ()),
            transient_store=given.get("transient_store"),
            sync=None if given.get("no_sync") is None else not given["no_sync"],
            lock_timeout=given.get("lock_timeout"),
            config_file=given.get("config", ""),
        )

    @property
    def raw(self) -> bool:
        """Whether output to a terminal is the same as to a pipe."""
        return bool(self.settings.get("raw"))

    @property
    def config(self) -> StoreConfig:
        """The configuration, with the overrides of the command line. Its warnings are printed once, when it is loaded.

        Raises:
            ConfigError: a file, variable or option is not valid.
        """
        if self.outer is not None:
            return self.outer.config
        if self._config is None:
            from cstore.config import load_config

            self._config = load_config(self.overrides)
            self.warn(self._config.warnings)
        return self._config

    def open(self, intent: str) -> Store:
        """Return the store, opened with the access in `intent`.

        Raises:
            CstoreError: the store cannot be opened.
        """
        if self.outer is not None:
            self._store = self.outer.open(intent)
            return self._store
        if intent != Intent.RECORDS and not self._at_home:
            self._at_home = True
            if self._enter_namespace():
                self._store = None  # opened outside the namespace, for reading
        if self._store is None:
            from cstore.library import open_trusting

            if self.debug:
                _log_to_stderr()
            self._store = open_trusting(self.config, degraded=True)
            self.warn(self._store.config.warnings[len(self.config.warnings) :])  # warnings found by the driver
            if intent == Intent.WRITE:
                self.warn(self._store.config.write_warnings)
            if self.debug:
                _log_store(self.config, self._store.driver_name)
        if sys.stderr.isatty():
            from cstore import LockPolicy

            self._store.context.lock_policy = LockPolicy(timeout=self.config.lock_timeout, notice=_say_waiting)
        return self._store

    def _enter_namespace(self) -> bool:
        """Enter a user namespace if an ordinary user's store needs it; return whether the process entered one."""
        from cstore.config import rootless_identity

        identity, wanted = rootless_identity(), self.settings.get("unshare")
        if identity.inside or wanted is False or not (wanted or identity.per_user):
            return False
        from cstore.config import ignores_owners
        from cstore.errors import SystemFailure
        from cstore.store import rootless

        config = self.config  # load it first: it depends on the user, and inside the namespace every user is root
        try:
            rootless.enter()
        except SystemFailure as error:
            # A store that ignores file owners needs no ID map, so it works without a namespace where none is available.
            if error.action != "enter" or not ignores_owners(config.driver_options, config.driver):
                raise
            return False
        return True

    # ── results ──

    @property
    def styled(self) -> bool:
        """Whether results are tables with color: on a terminal or if color is forced, without --json and --raw."""
        from cstore.cli.output.streams import for_people

        return not self.json and not self.raw and for_people()

    def show(self, view: View, *, into: list[object] | None = None) -> None:
        """Print a result as JSON, table or plain lines. With `into`, append the JSON document to it, for `whole`."""
        if self.json:
            self.document(view.document()) if into is None else into.append(view.document())
            return
        if view.table is not None and not view.null and self.styled:
            view.table()
        else:
            if view.paths:
                from cstore.cli.output.streams import write_paths

                write_paths(view.lines(), end=b"\0" if view.null else b"\n")
            else:
                self.lines(view.lines())
            if view.beside is not None:
                view.beside()
        if view.foot is not None and not view.null:
            self.lines(view.foot())

    def whole(self, document: object) -> None:
        """Print the complete JSON document of a result whose parts were collected by `show`."""
        if self.json:
            self.document(document)

    def lines(self, lines: Iterable[str]) -> None:
        """Print plain lines."""
        from cstore.cli.output.streams import write_lines

        write_lines(lines)

    def document(self, value: object) -> None:
        """Print one JSON document."""
        from cstore.cli.output.structured import write_document

        write_document(value)

    # ── failures ──

    def warn(self, sentences: Iterable[str]) -> None:
        """Print warnings."""
        for sentence in sentences:
            from cstore.cli.output.complaints import warn

            warn(sentence)

    def warn_of_damage(self, problems: Iterable[str]) -> None:
        """Print a warning for each new problem and set `failed`, because damage may make the result incomplete."""
        told = [problem for problem in dict.fromkeys(problems) if problem not in self._damage]
        self.failed = self.failed or bool(told)
        self.warn(told)
        first, self._damage = not self._damage, {*self._damage, *told}
        if told and first:
            check = self.command("cstore check")
            self.warn([f"the store is damaged, so this may be incomplete; {check} tells more"])

    def command(self, command: str) -> str:
        """Return a command line for the open store: `command`, with the options that select the store."""
        from cstore.store import command_of

        return command if self._store is None else command_of(self._store, command)

    def report(self, error: CstoreError, word: str) -> None:
        """Print an error, unless the output is JSON: the JSON result then contains it. Set `failed`."""
        if self.json:
            self.failed = True
        else:
            self.complain(error, word)

    def complain(self, error: CstoreError, word: str = "") -> None:
        """Print an error and set `failed`. `word` is the argument that caused the error."""
        from cstore.cli.output.complaints import complain

        self.failed = True
        complain(error, word=word, hint=self._guess(error), as_json=self.json)

    def _guess(self, error: CstoreError) -> str:
        """Return a suggestion or "". Search for similar names only if standard error is a terminal."""
        from cstore.errors import AmbiguousItem, CstoreError, DataItemUnknown, UnknownItem

        if self._store is None or not isinstance(error, UnknownItem):
            return ""
        if isinstance(error, DataItemUnknown | AmbiguousItem) or error.hint != f"see {error.listing}":
            return ""  # the error has a better hint already
        from cstore.cli.guess import guess, meant

        try:
            return meant(self._store, error) or (guess(self._store, error) if sys.stderr.isatty() else "")
        except CstoreError:
            return ""  # errors while guessing are reported separately

    def close(self) -> None:
        """End the session: print an error for each damaged record file, needed or not; warn if --graph has no store."""
        if self._store is not None:
            for flaw in self._store.flaws:
                self.complain(flaw)
            told = self.json and self.failed  # a JSON reader of standard error expects one document
            if self.settings.get("graph") and not told and not self._store.is_made:  # a typo looks like an empty store
                self.warn([f"there is no store at {self.config.graph_root}"])


def _say_waiting(path: str, holder: str) -> None:
    from cstore.cli.output.streams import say

    say(f"cstore: waiting for {holder or 'another process'} (lock {path})")


def _log_to_stderr() -> None:
    """Print all debugging lines to standard error. Other programs that use the library configure logging themselves."""
    import logging

    from cstore.cli.output.streams import say

    class ToStandardError(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(self.format(record))

    line = "time=%(asctime)s level=%(levelname)s msg=%(message)s"
    handler = ToStandardError()
    handler.setFormatter(logging.Formatter(line, datefmt="%Y-%m-%dT%H:%M:%S"))
    log = logging.getLogger("cstore")
    log.handlers = [handler]  # exactly one handler, even if this process runs several commands
    log.setLevel(logging.DEBUG)


def _log_store(config: StoreConfig, driver: str) -> None:
    from logging import getLogger

    log = getLogger(__name__)
    for note in config.notes:
        log.debug("%s", note)
    log.debug("Root: %s", config.graph_root)
    log.debug("Run Root: %s", config.run_root)
    log.debug("Driver Name: %s", driver)
    log.debug("Driver Options: [%s]", " ".join(config.driver_options))
