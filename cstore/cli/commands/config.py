"""The command that prints, explains, checks and changes the configuration."""

from __future__ import annotations

import os

from cstore import presence
from cstore.cli.command import command, json_option, switch, text, words
from cstore.cli.output.structured import VERSION
from cstore.cli.session import Session, View
from cstore.errors import ConfigError, UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OWN_NAME = "50-cstore.conf"


@command(
    "config",
    example="cstore config\ncstore config --sources\ncstore config set driver overlay\n"
    "cstore config explain overlay.mountopt\ncstore config check /etc/containers/storage.conf",
)
@words("what", "FILE|set KEY VALUE|unset KEY|init|explain KEY|check FILE", required=False)
@switch("--sources", help="Show where each value comes from, and what was overridden or ignored.")
@text("--format", metavar="VERSION", help="Print what this Go library prints: 1.63 or 1.60.", choices=("1.63", "1.60"))
@switch("--system", help="Write for the whole system (the default for root).")
@switch("--user", help="Write for this user (the default for other users).")
@switch("--main", help="Write to the main file, which tools up to 1.60 read too.")
@json_option
def config(
    session: Session,
    what: tuple[str, ...],
    sources: bool,
    format: str,  # noqa: A002  - the option's name
    system: bool,
    user: bool,
    main: bool,
) -> None:
    """Print, explain, check or change the configuration.

    Without arguments, prints the configuration in effect as JSON: files, environment and options together. With FILE,
    prints what that file alone says. Opens no store.

    set and unset change one key in cstore's own drop-in, storage.conf.d/50-cstore.conf, which Podman 6 and newer tools
    read after the main file; older tools read only the main file (--main). init writes that drop-in with every key in a
    comment. If --config or CONTAINERS_STORAGE_CONF names a file, they change that file. cstore checks the result before
    writing it; other lines and other files stay as they are.
    """
    first, *rest = what or ("",)
    flags = {"--system": system, "--user": user, "--main": main, "--sources": sources, "--json": session.json}
    while rest and (given := next((one for one in flags if one in rest), "")):  # options end at the first word
        flags[given] = True
        rest.remove(given)
    session.json = flags["--json"]
    place = (flags["--system"], flags["--user"], flags["--main"])
    verbs: dict[str, tuple[int, Callable[[list[str]], None]]] = {
        "set": (2, lambda rest: _write(session, _target(session, *place), rest[0], rest[1])),
        "unset": (1, lambda rest: _write(session, _target(session, *place), rest[0], None)),
        "init": (0, lambda _: _init(session, _target(session, *place))),
        "explain": (1, lambda rest: _explain(session, rest[0])),
        "check": (1, lambda rest: _check(session, rest[0])),
    }
    if first in verbs:
        count, act = verbs[first]
        if len(rest) != count:
            raise UsageMistake(f"config {first} takes {count} words, not {len(rest)}", hint="see cstore config --help")
        act(rest)
    elif rest:
        raise UsageMistake(f"config has no command {first}", hint="see cstore config --help")
    elif flags["--sources"]:
        _sources(session)
    else:
        from cstore.config import FORMATS, go_view, load_file

        shown = load_file(first) if first else session.config
        session.warn(shown.warnings if first else ())
        session.document(go_view(shown, format or FORMATS[0]))


def _sources(session: Session) -> None:
    from cstore.config import origins_of

    found, skipped = origins_of(session.config), session.config.passed_over
    said = [*session.config.notes, *session.config.write_warnings]

    def lines() -> Iterator[str]:
        for one in found:
            yield f"{one.key} = {one.value}  ({one.place})"
            yield from (f"    overrides {value}  ({place})" for value, place in one.overridden)
        yield from (f"ignored: {path}: {reason}" for path, reason in skipped)
        yield from (f"note: {one}" for one in said)

    document = {
        "version": VERSION,
        "values": [one.document() for one in found],
        "passed_over": [{"path": path, "reason": reason} for path, reason in skipped],
        "notes": said,
    }
    session.show(View(lambda: document, lines))


def _explain(session: Session, written: str) -> None:
    from cstore.config import default_of, full_key, keys, kind_of, meaning_of, origins_of, since

    key = full_key(written)
    known = key if kind_of(key) else keys.PULL_OPTIONS
    here = next((one for one in origins_of(session.config) if one.key == known), None)
    facts = {
        "key": key,
        "meaning": meaning_of(known),
        "takes": kind_of(known),
        "default": default_of(known),
        "value": here.value if here else default_of(known),
        "source": here.place if here else "the default",
        "since": since(known),
    }
    session.show(
        View(lambda: {"version": VERSION, **facts}, lambda: [f"{label}: {fact}" for label, fact in facts.items()])
    )


def _check(session: Session, file: str) -> None:
    from cstore.config import Overrides, check_options, load_config

    loaded = load_config(Overrides(config_file=file))
    check_options(loaded.choice.settings)
    session.failed = bool(loaded.warnings)
    session.warn(loaded.warnings)


def _target(session: Session, system: bool, user: bool, main: bool) -> str:
    """Return the path of the file to write.

    Raises:
        UsageMistake: both --system and --user are given.
        ConfigError: the user has no home.
    """
    from cstore.config import DROP_INS, MAIN, Places, read_environment, rootless_identity, user_directory

    if system and user:
        raise UsageMistake("--system and --user exclude each other", hint="give only one of them")
    environment, identity = read_environment(), rootless_identity()
    named = session.settings.get("config") or environment.config_file
    if named and not (system or user):
        return str(named)
    above = os.path.dirname(Places().administrator_file)
    if user or (identity.per_user and not system):
        own = user_directory(environment, identity)
        if own is None:
            raise ConfigError("HOME", "is not set", hint="set it, or write for the system with --system")
        above = own
    return os.path.join(above, MAIN) if main else os.path.join(above, DROP_INS, _OWN_NAME)


def _write(session: Session, path: str, written: str, value: str | None) -> None:
    from cstore.config import full_key, value_of, with_value, without
    from cstore.store import read_settings_text

    key, before = full_key(written), read_settings_text(path)
    after = without(path, before, key) if value is None else with_value(path, before, key, value_of(key, value))
    _publish(session, path, after, "" if value is None else key)


def _init(session: Session, path: str) -> None:
    from cstore.config import starting_text

    if presence.is_there(path):
        raise ConfigError(path, "exists already", hint="change it with cstore config set KEY VALUE, or with an editor")
    _publish(session, path, starting_text(), "")


def _publish(session: Session, path: str, changed: str, key: str) -> None:
    """Check the configuration with the changed file, write the file, and report another file that overrides `key`."""
    from cstore.cli.output.streams import say
    from cstore.config import keys, load_config
    from cstore.store import write_settings_text

    config = load_config(session.overrides, planned=(path, changed))
    write_settings_text(path, changed)
    session.show(View(lambda: {"version": VERSION, "file": path}, lambda: [path]))
    settings = config.choice.settings
    inner = key if keys.kind_of(key) else keys.PULL_OPTIONS
    if path not in {part.source for part in settings.parts}:
        say(f"cstore: this run does not read {path}; cstore config --sources lists the files that it reads")
    elif key and (place := settings.place(inner)) and settings.file(inner) != path:
        say(f"cstore: {path} does not determine {key}, which comes from {place}")
    if os.path.basename(path) == _OWN_NAME:
        say("cstore: Podman up to 5 and Buildah up to 1 read no drop-ins; --main writes into storage.conf for them too")
