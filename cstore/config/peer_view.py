"""A configuration as the Go tools print it (config spec, 9)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.config.options import StoreConfig


def peer_view(config: StoreConfig) -> dict[str, object]:
    """The object that `config` prints as one JSON line, its keys in order; empty ones are left out, but for two."""
    always = {"RootlessStoragePath", "PullOptions"}
    pull_options = config.pull_options
    view: dict[str, object] = {
        "runroot": config.run_root,
        "root": config.graph_root,
        "imagestore": config.image_store,
        "RootlessStoragePath": config.rootless_storage_path,
        "driver": config.driver,
        "driver-priority": list(config.driver_priority),
        "driver-options": list(config.driver_options),
        "root_auto_ns_user": config.root_auto_userns_user,
        "auto_userns_min_size": config.auto_userns_min_size,
        "auto_userns_max_size": config.auto_userns_max_size,
        "PullOptions": None if pull_options is None else dict(sorted(pull_options.items())),
        "disable-volatile": config.disable_volatile,
        "transient_store": config.transient_store,
    }
    return {key: value for key, value in view.items() if value or key in always}
