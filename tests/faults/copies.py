"""A directory that is restored to its original state many times, by copying only what has changed."""

from __future__ import annotations

import os
import shutil
import subprocess


class Copy:
    """A copy of an original that never changes. A file is unchanged if it has the recorded inode and time."""

    def __init__(self, original: str, path: str) -> None:
        self.original, self.path = original, path
        self._given: dict[str, tuple[int, int]] = {}

    def restore(self) -> None:
        """Make the copy equal to the original in every name, byte, owner, mode, attribute and modification time."""
        if self._given:
            changed, folders = self._remove_changed("")
            if changed:
                words = ["cp", "-a", "--parents", *changed, self.path]
                subprocess.run(words, cwd=self.original, check=True)
            for folder in folders:
                self._make_alike(folder)
        else:
            changed = folders = [""]
            shutil.rmtree(self.path, ignore_errors=True)
            subprocess.run(["cp", "-a", self.original, self.path], check=True)
        for name in changed:
            self._learn(name)
        self._given.update((folder, self._key(folder)) for folder in folders)

    def forget(self) -> None:
        """Forget everything, because another directory has taken the copy's place."""
        self._given.clear()

    def _key(self, name: str) -> tuple[int, int]:
        status = os.lstat(os.path.join(self.path, name))
        return status.st_ino, status.st_ctime_ns

    def _learn(self, name: str) -> None:
        self._given[name] = self._key(name)
        path = os.path.join(self.path, name)
        if os.path.isdir(path) and not os.path.islink(path):
            for inside in os.listdir(path):
                self._learn(os.path.join(name, inside))

    def _remove_changed(self, folder: str) -> tuple[list[str], list[str]]:
        """Remove what differs below a directory; return paths to copy, and directories whose metadata to restore."""
        path = os.path.join(self.path, folder)
        original = os.scandir(os.path.join(self.original, folder))
        wanted = {entry.name: entry.is_dir(follow_symlinks=False) for entry in original}
        here = {entry.name: entry for entry in os.scandir(path)}
        for name in here.keys() - wanted.keys():
            _remove(here[name])
        changed, folders = [], []
        for name, is_folder in wanted.items():
            inside = os.path.join(folder, name)
            if name not in here:
                changed.append(inside)
            elif is_folder and here[name].is_dir(follow_symlinks=False):
                more = self._remove_changed(inside)
                changed += more[0]
                folders += more[1]
            elif is_folder or self._given[inside] != self._key(inside):
                _remove(here[name])
                changed.append(inside)
        if self._given[folder] != self._key(folder) or changed:
            folders.append(folder)
        return changed, folders

    def _make_alike(self, folder: str) -> None:
        """Restore the owner, mode, attributes and times of a directory."""
        source, path = os.path.join(self.original, folder), os.path.join(self.path, folder)
        status = os.lstat(source)
        os.chown(path, status.st_uid, status.st_gid)
        for name in set(os.listxattr(path)).difference(os.listxattr(source)):
            os.removexattr(path, name)
        shutil.copystat(source, path)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)
