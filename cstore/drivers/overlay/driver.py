"""The overlay driver.

    HOME/                        0700
    ├── l/<26 characters>              short links to the diffs, see lower.py
    ├── <layer>/                 0700
    │   ├── diff/                      the layer's changes, with the kernel's own marks for removed names
    │   ├── link, lower                its short link, and those of its ancestors
    │   ├── work/, merged/       0700  the kernel's scratch directory, and the mount point of the layer
    │   └── empty/               0700  the lower directory of a base layer, because overlay needs one
    ├── .has-mount-program             whether a mount program wrote the layers, in its own form
    └── staging/                       partial pulls of other tools; for cstore's staging, see drivers/staging.py

A layer is created completely beside the home and gets its ID by one rename. Its short link follows; the next process
that misses the link recreates it. (drivers 7, store-format 11.2)
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.contexts import contextmanager, suppress
from cstore.drivers.overlay.lower import Homes, Place
from cstore.drivers.overlay.marks import form_not_read, leave_word, marks_of, mask_of, refuse_not_read
from cstore.drivers.overlay.options import NAME, read_options
from cstore.fs import within
from cstore.ids import check_part
from cstore.layout import is_blob
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.changes import Change
    from cstore.archive.streams import Sink
    from cstore.drivers.contract import Driver, MountOptions, Removal, StagedTree, TreeOptions
    from cstore.drivers.overlay.diff import OwnChanges
    from cstore.drivers.overlay.mounting import Mounter
    from cstore.drivers.overlay.probe import Host
    from cstore.drivers.registry import DriverPlace
    from cstore.drivers.staging import HomeStaging
    from cstore.fs.staging import StagingDirectory
    from cstore.idmap import IDMap


class OverlayDriver:
    """The driver that stores layers as directories of changes."""

    name = NAME
    mounts_beside = False

    def __init__(self, place: DriverPlace) -> None:
        self._place = place
        self._options = read_options(place.options)
        self._homes = Homes(place.home, place.image_home, self._options.stores)
        self._sync = place.sync

    @cached_property
    def _host(self) -> Host:
        from cstore.drivers.overlay.probe import Host

        return Host(self._place, self._options)

    @cached_property
    def _mounter(self) -> Mounter:
        from cstore.drivers.overlay.mounting import Mounter

        return Mounter(self._place, self._options, self._homes, self._host)

    def _staging(self, home: str) -> HomeStaging:
        from cstore.drivers.staging import HomeStaging

        return HomeStaging(home, pulls="staging")

    # ── lookup ──

    def require(self) -> None:
        """See `Driver.require`."""
        self._host.require()

    def layers(self) -> list[str]:
        """See `Driver.layers`."""
        return self._homes.layers()

    def exists(self, layer: str) -> bool:
        """See `Driver.exists`."""
        return self._homes.look_up(layer) is not None

    def path_of(self, layer: str) -> str:
        """See `Driver.path_of`."""
        found = self._homes.look_up(layer)
        if found is not None and found.home in self._homes.writable:
            return found.path
        return os.path.join(self._homes.own, layer)

    # ── creation ──

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """See `Driver.stage`."""
        from cstore.drivers.overlay.lower import mend_links
        from cstore.drivers.overlay.making import check_mask, contents_lost, make_layer, refuse_quotas

        refuse_quotas([*self._options.quotas, *options.storage_options])
        below = None if parent is None else self._homes.find(parent)
        if below is not None:
            refuse_not_read(below)
            if not below.link:
                mend_links(self._homes, below)
            if not below.has_contents:
                raise contents_lost(below)
            self._homes.ancestors(below)  # raises if layers above this one could not be mounted
        home = self._homes.writable[-1] if options.read_only else self._homes.own
        mask = self._options.force_mask
        if mask >= 0:
            check_mask(options, self._host.program)
        with self._reserved(home) as staging:
            staged = make_layer(staging, below, options.id_map, self._host.form, mask)
            if options.far:
                from cstore.drivers.overlay.far import link_to_far

                link_to_far(staged.tree, options.far, options.id_map)
            elif below is not None and options.parent_map != options.id_map:
                self._rewrite(staged, below, options)
                staged = staged.with_(copied=True)
            return self._with_lowers(staged)

    @contextmanager
    def _reserved(self, home: str) -> Iterator[StagingDirectory]:
        """Yield a staging directory, which is removed on failure."""
        root = self._staging(home)
        self._host.check(root)
        leave_word(self._place.home, program=bool(self._host.program))
        staging = root.reserve()
        try:
            yield staging
        except BaseException:
            staging.remove()
            raise

    def _rewrite(self, staged: StagedTree, below: Place, options: TreeOptions) -> None:
        from cstore.drivers.overlay.owners import rewrite_owners

        old, new = options.parent_map, options.id_map
        lowers = [*self._mounter.directories_of(below), *self._mounter.lowers_of(below)]
        mount_options = self._mounter.kernel_options(below)
        rewrite_owners(
            staged, lowers, mount_options, lambda uid, gid: new.to_host(*old.to_container(uid, gid)), new.to_host(0, 0)
        )

    def stage_again(self, layer: str, parent: str | None) -> StagedTree:
        """See `Driver.stage_again`."""
        from cstore.drivers.overlay.making import copy_layer

        del parent  # the layer's own directory names it
        source = self._writable(layer)
        refuse_not_read(source)
        form, mask = marks_of(source).form(self._host.form), mask_of(source.diff)
        with self._reserved(source.home) as staging:
            return self._with_lowers(copy_layer(staging, source, form, mask))

    def _with_lowers(self, staged: StagedTree) -> StagedTree:
        """Return a staged tree with its lower directories, as far as they can be read."""
        made = os.path.dirname(staged.tree)
        place = Place(os.path.dirname(made), os.path.basename(made))
        lowers, unseen = place.rotated(), ""
        for name in place.lower_names():
            found = self._homes.behind(name) or self._homes.search(name)
            form = form_not_read(found) if found is not None else ""
            if found is None or form:
                unseen = f"layer {found.layer}, which is {form}" if found is not None else "a layer that is missing"
                break
            lowers += [found.tree, *found.rotated()]
        return staged.with_(lowers=tuple(lowers), unseen=unseen)

    def adopt(self, staged: StagedTree, layer: str, parent: str | None) -> None:
        """See `Driver.adopt`."""
        from cstore.drivers.overlay.lower import RESERVED, make_link
        from cstore.drivers.overlay.making import sync_home, sync_layer
        from cstore.fs.rename import rename_within

        del parent
        if check_part(layer) in RESERVED:
            raise errors.DriverError(NAME, f"the ID {layer!r} is reserved: the driver uses this name itself")
        made = os.path.dirname(staged.tree)
        target = Place(next(home for home in self._homes.writable if self._staging(home).made(staged.staging)), layer)
        below = Place(os.path.dirname(made), os.path.basename(made)).lower_names()[:1]
        if below and self._homes.behind(below[0]) is None and self._homes.search(below[0]) is None:
            # From now on, the caller's lock prevents the removal of the parent.
            raise errors.DriverError(
                NAME, f"the parent of layer {layer} was removed meanwhile", hint="try again with another parent"
            )
        leftover = self.remove(layer)
        try:
            if self._sync:
                sync_layer(made)
            rename_within(os.path.dirname(target.home), made, target.path)
            make_link(target, target.link)
            if self._sync:
                sync_home(target.home)
        except OSError as error:
            raise errors.SystemFailure("create the layer directory", target.path, error) from error
        finally:
            leftover.finish()

    def replace(self, staged: StagedTree, layer: str, *, in_use: bool = False) -> Removal:
        """See `Driver.replace`."""
        from cstore.drivers.contract import StagedRemoval
        from cstore.drivers.overlay.making import sync_home
        from cstore.fs.rename import exchange_within

        place = self._writable(layer)
        if in_use and self._mounter.is_mounted(place.merged):
            from cstore.drivers.overlay.in_place import change_in_place

            change_in_place(place.diff, staged.tree, sync=self._sync)
            return StagedRemoval(staged.staging)
        self._mounter.refuse_mounted(place)
        made = os.path.dirname(staged.tree)
        try:
            exchange_within(os.path.dirname(place.home), made, place.path)
            if self._sync:
                sync_home(place.home)
        except OSError as error:
            raise errors.SystemFailure("replace the layer directory", place.path, error) from error
        return StagedRemoval(staged.staging)

    def remove(self, layer: str) -> Removal:
        """See `Driver.remove`."""
        from cstore.drivers.contract import NoRemoval, StagedRemoval

        place = self._homes.look_up(layer)
        if place is None or place.home not in self._homes.writable:
            return NoRemoval()
        self._mounter.unmount(place)
        link = place.link
        staging = self._staging(place.home).put_aside(place.path)
        # Remove the link last: after a failure above, everything is in place, and a dangling link does no harm.
        with suppress(OSError, errors.CstoreError), within.parent_of(place.home, f"l/{link}") as (folder, name):
            if link and os.readlink(name, dir_fd=folder) == f"../{layer}/diff":
                os.unlink(name, dir_fd=folder)
        return NoRemoval() if staging is None else StagedRemoval(staging)

    def _writable(self, layer: str) -> Place:
        place = self._homes.find(layer)
        if place.home not in self._homes.writable:
            raise errors.DriverError(
                NAME, f"layer {layer} is in the additional store {place.home}, which is read-only", hint="copy it first"
            )
        if place.is_additional:
            raise errors.DriverError(NAME, f"layer {layer} is in {place.far}, which is read-only", hint="make a child")
        return place

    def stale(self) -> list[str]:
        """See `Driver.stale`."""
        found = [path for home in self._homes.writable for path in self._staging(home).stale()]
        return [*found, *self._mounter.aside.stale()]

    def sweep(self) -> list[str]:
        """See `Driver.sweep`. The short link of a removed layer is removed, too."""
        from cstore.drivers.overlay.leftovers import drop_links_of_staged

        for home in self._homes.writable:
            drop_links_of_staged(home, self._staging(home).stale())
        swept = [path for home in self._homes.writable for path in self._staging(home).sweep()]
        return [*swept, *self._mounter.aside.sweep().removed]

    def debris(self) -> list[str]:
        """See `Driver.debris`."""
        from cstore.drivers.overlay.leftovers import unfinished_things

        return unfinished_things(self._homes.writable)

    # ── use ──

    def mount(self, layer: str, options: MountOptions) -> str:
        """See `Driver.mount`."""
        place = self._homes.find(layer)
        if not place.foreign:
            self._host.check(self._staging(place.home))
        return self._mounter.mount(place, options)

    def can_shift(self, id_map: IDMap) -> bool:
        """See `Driver.can_shift`."""
        return not id_map or self._mounter.can_shift(id_map)

    def unmount(self, layer: str) -> None:
        """See `Driver.unmount`."""
        place = self._homes.look_up(layer)
        if place is not None:
            self._mounter.unmount(place)

    def is_mounted(self, layer: str, path: str) -> bool:
        """See `Driver.is_mounted`."""
        try:
            place = self._homes.look_up(layer)
        except errors.UnsafeID:
            return False
        return place is not None and self._mounter.is_at(place, path) and self._mounter.is_mounted(path)

    def content_roots(self, layer: str) -> Sequence[str]:
        """See `Driver.content_roots`."""
        place = self._homes.find(layer)
        refuse_not_read(place)
        ancestors = [each for each in self._homes.known_ancestors(place) if not form_not_read(each)]
        return [path for each in (place, *ancestors) for path in (each.tree, *each.rotated())]

    @contextmanager
    def tree_of(self, layer: str) -> Iterator[str]:
        """See `Driver.tree_of`."""
        with self._mounter.mounted_nowhere(self._homes.find(layer)) as path:
            yield path

    def _native(self, layer: str, base: str | None) -> OwnChanges | None:
        """Return the layer's changes against `base` from its own directory; None if that lacks some of them."""
        from cstore.drivers.overlay.diff import own_changes

        place = self._homes.find(layer)
        ancestors = self._homes.ancestors(place)
        for each in (place, *ancestors):
            refuse_not_read(each)
        return own_changes(place, ancestors, self._host.form) if self._homes.is_parent(place, base) else None

    def changes(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> list[Change]:
        """See `Driver.changes`; changes against the parent are in directory order and need no mount."""
        native = self._native(layer, base)
        if native is None:
            from cstore.drivers.tree_diff import tree_changes

            return tree_changes(self, layer, base, layer_map, base_map)
        return native.list()

    def write_diff(
        self, layer: str, base: str | None, sink: Sink, layer_map: IDMap, base_map: IDMap, gone_at: float | None = None
    ) -> None:
        """See `Driver.write_diff`."""
        native = self._native(layer, base)
        if native is None or is_blob(native.diff):
            from cstore.drivers.tree_diff import write_tree_diff

            write_tree_diff(self, layer, base, sink, layer_map, base_map, gone_at)
            return
        native.write(sink, layer_map, gone_at=gone_at)

    def diff_size(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> int:
        """See `Driver.diff_size`; against the parent, the size of the layer's own directory."""
        place = self._homes.find(layer)
        refuse_not_read(place)
        if self._homes.is_parent(place, base):
            from cstore.fs.tree import usage

            return usage(place.tree if place.is_additional else place.diff).bytes
        from cstore.drivers.tree_diff import tree_diff_size

        return tree_diff_size(self, layer, base, layer_map, base_map)

    def far_side(self, digest: str, reference: str) -> str:
        """See `Driver.far_side`."""
        from cstore.drivers.overlay.far import find_far

        return find_far(self._options.layer_stores, digest, reference)

    def far_blob(self, layer: str) -> str:
        """See `Driver.far_blob`."""
        place = self._homes.find(layer)
        if not place.is_additional:
            return ""
        refuse_not_read(place)
        return os.path.join(place.far, "blob")

    def status(self) -> list[tuple[str, str]]:
        """See `Driver.status`."""
        return self._host.status()

    def shutdown(self) -> None:
        """See `Driver.shutdown`."""
        from cstore.drivers.binding import release_home

        release_home(self._place.home)


if TYPE_CHECKING:
    _: type[Driver] = OverlayDriver
