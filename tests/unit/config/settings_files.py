"""Configuration files, users and places for the tests of this room."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cstore.config.rootless import Identity, Places
from cstore.config.sources import load_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cstore.config.options import Overrides, StoreConfig

ROOT = Identity(uid=0, gid=0, seen_uid=0, rootless=False, per_user=False)
USER_ID = 12345
USER = Identity(uid=USER_ID, gid=USER_ID, seen_uid=os.getuid(), rootless=True, per_user=True)


@dataclass(frozen=True)
class Machine:
    """A machine in a directory: system files, a user's home and a runtime directory, all of them missing at first."""

    root: Path

    @property
    def places(self) -> Places:
        """Where this machine keeps its files."""
        return Places(
            administrator_file=str(self.root / "etc/storage.conf"),
            distribution_file=str(self.root / "share/storage.conf"),
            runtime_parent=str(self.root / "run/user"),
            temporary_dir=str(self.root / "tmp"),
        )

    def write(self, name: str, text: str) -> str:
        """Write a file below the machine and return its path."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def system(self, **environ: str) -> dict[str, str]:
        """The environment of root here, with more variables."""
        return {"HOME": str(self.root / "root"), **environ}

    def user(self, **environ: str) -> dict[str, str]:
        """The environment of a logged-in user here, with more variables."""
        runtime = self.root / "runtime"
        runtime.mkdir(exist_ok=True)
        return {"HOME": str(self.root / "home"), "XDG_RUNTIME_DIR": str(runtime), "USER": "u", **environ}

    def load(
        self,
        environ: Mapping[str, str] | None = None,
        identity: Identity = ROOT,
        *,
        strict: bool = False,
        overrides: Overrides | None = None,
    ) -> StoreConfig:
        """Load the configuration that is in force here."""
        return load_config(
            overrides,
            environ=self.system() if environ is None else environ,
            identity=identity,
            places=self.places,
            strict=strict,
        )
