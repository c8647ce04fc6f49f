"""Short names: the images that `debian` can mean, according to aliases and search registries."""

from __future__ import annotations

from cstore.arguments import checked
from cstore.errors import ConfigError, InvalidName
from cstore.oci.names import LOCAL, parse_name
from cstore.registry.errors import ShortNameAmbiguous
from cstore.registry.registries_conf import merge_aliases, read_toml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.oci.names import ImageName
    from cstore.registry.settings import Settings


@checked
def is_short(text: str) -> bool:
    """Return whether a name has no registry."""
    first, slash, _ = text.partition("@")[0].partition("/")
    return not slash or not (first == LOCAL or "." in first or ":" in first or first.lower() != first)


@checked
def resolve(
    text: str, settings: Settings, choose: Callable[[Sequence[ImageName]], ImageName] | None = None
) -> list[ImageName]:
    """List the images that a name may mean, in the order in which to try them.

    A full name means one image. A short name is looked up among the aliases; if it is not one, every search registry
    may have it.

    Args:
        text: the name, as typed.
        settings: the configuration with aliases and registries.
        choose: lets the user choose at a terminal, if the configuration wants that; None if there is no user.

    Raises:
        InvalidName: it is not a name.
        ShortNameAmbiguous: there is no search registry; or there are several that must not be tried in turn, and no
            user.
        ConfigError: an alias is not a valid name.
    """
    if not is_short(text):
        return [parse_name(text)]
    parse_name(text)
    named, at, digest = text.partition("@")
    short, colon, tag = named.partition(":")
    rest = f"{colon}{tag}{at}{digest}"
    config = settings.registries
    # Aliases that tools have recorded win.
    recorded = read_toml(settings.alias_file) if settings.alias_file else None
    aliases = merge_aliases(config.aliases, (recorded or {}).get("aliases", {}), settings.alias_file)
    if alias := aliases.get(short):
        try:
            return [parse_name(alias + rest)]
        except InvalidName as error:
            raise ConfigError(
                "aliases", f"{short!r} stands for {alias!r}, which is not a valid name: {error.reason}"
            ) from None
    candidates = [parse_name(f"{registry}/{short}{rest}") for registry in config.search]
    if not candidates:
        reason = "no alias matches, and registries.conf lists no unqualified-search-registries"
        raise ShortNameAmbiguous(text, (), reason)
    if len(candidates) == 1 or config.mode == "disabled":
        return candidates
    if choose is not None:
        return [choose(candidates)]
    if config.mode == "enforcing":
        where = ", ".join(config.search)
        raise ShortNameAmbiguous(
            text, map(str, candidates), f"it could be in any of {where}, and there is no terminal to ask on"
        )
    return candidates
