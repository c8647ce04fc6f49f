"""Damage that only a store on btrfs can have."""

from __future__ import annotations

import os
import subprocess
import tempfile

from cstore.check.repair import RepairOptions, repair_store
from cstore.kernel.btrfs import is_subvolume
from tests.damage.specimen import BASE, look, make


def test_a_directory_in_the_place_of_a_subvolume(btrfs_disk: str) -> None:
    """A store that was copied has such: it is found, and made a subvolume with the same files."""
    specimen = make("btrfs", tempfile.mkdtemp(dir=btrfs_disk))
    tree = specimen.tree(BASE).replace("/dir/", "/subvolumes/")
    subprocess.run(["cp", "-a", "--reflink=auto", tree, f"{tree}.copy"], check=True)
    subprocess.run(["btrfs", "-q", "subvolume", "delete", tree], check=True)
    os.rename(f"{tree}.copy", tree)
    before = look(tree)
    found = specimen.check().findings

    assert [(finding.kind, finding.subject.id) for finding in found] == [("btrfs-subvolume", BASE)]
    repair_store(specimen.open().context, RepairOptions(dry_run=True))
    assert look(tree) == before
    repair_store(specimen.open().context, RepairOptions())
    assert is_subvolume(os.stat(tree))
    assert specimen.check().findings == ()
