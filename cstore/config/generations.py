"""A configuration as the Go tools print it: the newest (1.63) and those up to 1.60."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.config.options import StoreConfig

FORMATS = ("1.63", "1.60")


def go_view(config: StoreConfig, generation: str = FORMATS[0]) -> dict[str, object]:
    """Return the object that `config` prints as one JSON line, with ordered keys; empty ones are mostly left out.

    Up to 1.60, `RootlessStoragePath` is always present, and the driver options are those of the chosen driver alone.
    """
    pull_options = config.pull_options
    older = generation == FORMATS[1]
    view: dict[str, object] = {
        "runroot": config.run_root,
        "root": config.graph_root,
        "imagestore": config.image_store,
        "RootlessStoragePath": config.rootless_storage_path,
        "driver": config.driver,
        "driver-priority": list(config.driver_priority),
        "driver-options": _older_options(config) if older else list(config.driver_options),
        "root_auto_ns_user": config.root_auto_userns_user,
        "auto_userns_min_size": config.auto_userns_min_size,
        "auto_userns_max_size": config.auto_userns_max_size,
        "PullOptions": None if pull_options is None else dict(sorted(pull_options.items())),
        "disable-volatile": config.disable_volatile,
        "transient_store": config.transient_store,
    }
    always = {"PullOptions", "RootlessStoragePath"} if older else {"PullOptions"}
    if not older:
        del view["RootlessStoragePath"]
    return {key: value for key, value in view.items() if value or key in always}


def _older_options(config: StoreConfig) -> list[str]:
    from cstore.config.driver_options import older_options
    from cstore.config.keys import DRIVER

    choice = config.choice
    if choice.replacement is not None:
        return list(config.driver_options)
    spelled = [part.string(DRIVER) for part in (choice.settings, *choice.given) if DRIVER in part.values]
    return [*older_options(choice.settings, config.driver, (spelled or [""])[-1]), *choice.added]
