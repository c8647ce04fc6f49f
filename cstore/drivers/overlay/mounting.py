"""Mount layers: choose lower directories, mount point, options and mount program (drivers 7.2, 7.7, 7.8)."""

from __future__ import annotations

import errno
import os

from cstore import errors, presence
from cstore.archive.override import is_masked
from cstore.contexts import contextmanager
from cstore.drivers.overlay.lower import Homes, Place, mend_links
from cstore.drivers.overlay.marks import marks_beneath, refuse_not_read, word_left
from cstore.drivers.overlay.mount import Stack, mount_nowhere, mount_stack
from cstore.drivers.overlay.options import NAME, Options, flat_options
from cstore.drivers.overlay.probe import kernel_version
from cstore.drivers.overlay.way import Way, choose_program, kernel_options_for
from cstore.fs import within
from cstore.idmap import IDENTITY, is_contiguous
from cstore.kernel import mount, mountinfo
from cstore.layout import is_blob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.drivers.contract import MountOptions
    from cstore.drivers.overlay.probe import Host
    from cstore.drivers.registry import DriverPlace
    from cstore.fs.staging import StagingRoot
    from cstore.idmap import IDMap

_NOT_MOUNTED = frozenset({errno.EINVAL, errno.ENOENT})


class Mounter:
    """The mounter of one store's layers."""

    def __init__(self, place: DriverPlace, options: Options, homes: Homes, host: Host) -> None:
        self._home, self._run_home = place.home, place.run_home
        self._options = options
        self._homes = homes
        self._host = host

    # ── lower directories and options ──

    @staticmethod
    def directories_of(place: Place, *, short: bool = True) -> list[str]:
        """Return the directories of one layer, nearest first, by its short link if it has one."""
        ordinary = not (place.is_composefs or place.is_additional)
        own = ((short and place.short) or place.diff) if ordinary else place.tree
        return [own, *place.rotated()]

    def lowers_of(self, place: Place, *, short: bool = True) -> list[str]:
        """Return the directories below a layer's own, nearest first.

        Raises:
            DriverError: an ancestor is missing, or cstore cannot mount it.
        """
        return [path for each in self._homes.ancestors(place) for path in self.directories_of(each, short=short)]

    def way(self, place: Place, asked: tuple[str, ...] = (), *, volatile: bool = False) -> Way:
        """Return how to mount a layer with its ancestors: mount program and options.

        Raises:
            DriverError: no available mount would show the layer as it was written.
        """
        marks = marks_beneath(place, self._homes.ancestors(place))
        program = choose_program(place.layer, marks, self._host.program, self._host.kernel_mounts)
        mount_options = self._mount_options(program, asked, volatile=volatile)
        if not program:
            mount_options = kernel_options_for(place.layer, marks, mount_options, kernel_version())
        return Way(program, mount_options)

    def kernel_options(self, place: Place) -> tuple[str, ...]:
        """Return the options with which the kernel mounts a layer.

        Raises:
            DriverError: only a mount program shows the layer as it was written.
        """
        way = self.way(place)
        if way.program and not self._host.program:
            from cstore.drivers.overlay.making import program_only

            raise program_only(place, way.program)
        return self._mount_options("", (), volatile=False) if way.program else way.options

    def _mount_options(self, program: str, asked: tuple[str, ...], *, volatile: bool) -> tuple[str, ...]:
        """Return the options of a mount: the requested or the configured ones, with those that this host needs."""
        configured = self._options.mount_options
        mount_options = list(flat_options(asked) or configured)
        metacopy = not program and self._host.metacopy()
        if asked and metacopy and "metacopy=on" in configured and "metacopy=on" not in mount_options:
            mount_options.append("metacopy=on")
        if not metacopy:
            mount_options = [word for word in mount_options if word != "metacopy=on"]
        if self._host.rootless and not program and "userxattr" not in mount_options:
            mount_options.append("userxattr")
        if volatile and "volatile" not in mount_options and (program or self._host.volatile()):
            mount_options.append("volatile")
        return tuple(mount_options)

    def _stack(self, place: Place, options: MountOptions | None) -> Stack:
        """Return the directories and options for a mount of a layer; without `options`, for a read-only one."""
        asked = () if options is None else options.options
        way = self.way(place, asked, volatile=bool(options and options.volatile))
        program, mount_options = way.program, way.options
        masked = is_masked(place.diff)
        read_only = options is None or options.read_only or place.foreign or place.is_composefs or "ro" in mount_options
        if masked and not read_only:
            from cstore.drivers.overlay.program import cannot_be_upper

            read_only = cannot_be_upper(place.diff)
        read_only = read_only or place.is_additional
        below = [*place.rotated(), *self.lowers_of(place)]
        label = "" if options is None else options.label
        if read_only:
            mount_options = tuple(word for word in mount_options if word != "volatile")
            lowers = [*self.directories_of(place)[:1], *below]
            lowers = lowers if len(lowers) > 1 else [*lowers, self._empty(place)]
            return Stack(place.layer, lowers, options=mount_options, label=label, program=program)
        if masked:
            mount_options = (*mount_options, "xattr_permissions=2")  # the real modes are in an attribute
        below, work = below or [self._empty(place)], os.path.join(place.path, "work")
        return Stack(place.layer, below, place.diff, work, mount_options, label, program)

    @staticmethod
    def _empty(place: Place) -> str:
        """Return an empty lower directory for a base layer."""
        path = os.path.join(place.path, "empty")
        return path if within.is_directory(place.home, f"{place.layer}/empty") else os.path.join(place.path, "work")

    # ── mounting ──

    def mount(self, place: Place, options: MountOptions) -> str:
        """Mount a layer and return the path. Under the lock.

        Raises:
            DriverError: it cannot be mounted; the message says why.
        """
        target = self._target(place)
        if self.is_mounted(target):
            return target
        refuse_not_read(place)
        for part in ("work", "merged", "empty"):
            within.require_directory(place.home, f"{place.layer}/{part}", missing=True)
        if not place.foreign:
            self._bind_home()
        mend_links(self._homes, place)
        stack = self._stack(place, options)
        try:
            home = self._run_home if place.foreign else place.home
            os.makedirs(home, 0o700, exist_ok=True)
            within.make_directories(home, f"{place.layer}/merged")
            if stack.upper:
                _clear_the_way(place)
        except OSError as error:
            raise errors.SystemFailure("prepare the mount of", place.path, error) from error
        if place.foreign:
            self._mount(place, stack, target, options)
        else:
            with word_left(self._home, program=bool(stack.program)):
                self._mount(place, stack, target, options)
        return target

    def _mount(self, place: Place, stack: Stack, target: str, options: MountOptions) -> None:
        """Mount with the mount program, with ID-mapped lower directories, or directly."""
        if stack.program:
            from cstore.drivers.overlay.program import mount_by_program

            mount_by_program(stack.program, stack, target, place.home, options.id_map)
            return
        if not options.id_map:
            mount_stack(stack, target)
            return
        from cstore.drivers.overlay.idshift import give_root, shifted_lowers

        folder = os.path.dirname(target) if place.foreign else place.path
        if stack.upper:
            give_root(stack.upper, options.id_map)  # the upper directory has its owners on disk
        directories = [lower for lower in stack.lowers if not is_blob(lower)]
        with shifted_lowers(directories, folder, options.id_map) as shifted:
            rest = iter(shifted)
            lowers = [lower if is_blob(lower) else next(rest) for lower in stack.lowers]
            mount_stack(stack.with_(lowers=lowers, image_map=options.id_map), target)

    def can_shift(self, id_map: IDMap) -> bool:
        """Return whether a layer can be mounted with other owners than on disk."""
        if self._host.program:
            return is_contiguous(id_map.uids) and is_contiguous(id_map.gids)
        return not self._host.rootless and self._host.shifting()

    @property
    def aside(self) -> StagingRoot:
        """The staging root for temporary mounts with which a process reads layers."""
        from cstore.drivers.staging import OWN
        from cstore.fs.staging import StagingRoot

        return StagingRoot(os.path.join(self._run_home, OWN), keep=False)

    def _target(self, place: Place) -> str:
        return os.path.join(self._run_home, place.layer, "merged") if place.foreign else place.merged

    @contextmanager
    def mounted_nowhere(self, place: Place) -> Iterator[str]:
        """Yield the whole tree of a layer for reading, in a mount that only this process sees, if possible."""
        stack = self._stack(place, None)
        fd = None if stack.program else mount_nowhere(stack)
        if fd is not None:
            try:
                yield f"/proc/self/fd/{fd}"
            finally:
                os.close(fd)
            return
        # A temporary mount point in the run root instead; the next sweep removes that of a killed process.
        with self.aside.reserve() as staging:
            target = staging.next_name("read")
            try:
                within.mkdir(target)
            except OSError as error:
                raise errors.SystemFailure("create a mount point in", self._run_home, error) from error
            try:
                if stack.program:
                    from cstore.drivers.overlay.program import mount_by_program

                    mount_by_program(stack.program, stack, target, self._home, IDENTITY)
                else:
                    mount_stack(stack, target)
                yield target
            finally:
                self._take_away(target)

    # ── unmounting ──

    def unmount(self, place: Place) -> None:
        """Unmount a layer, even while it is in use, and leave an empty mount point. Under the lock.

        Raises:
            SystemFailure: the kernel refuses.
        """
        target, home = self._target(place), self._run_home if place.foreign else place.home
        if not within.is_directory(home, f"{place.layer}/merged"):
            return
        from cstore.drivers.overlay.images import release_images
        from cstore.drivers.overlay.leftovers import put_strays_aside, renew

        if mounted := mountinfo.is_mountpoint(target):
            self._take_away(target)
        release_images(place.path)
        try:
            strays = put_strays_aside(target)
            if place.foreign:
                within.rmdir(target)
                if not strays:
                    within.rmdir(os.path.dirname(target))
            elif mounted and not strays:
                renew(target)
        except OSError as error:
            raise errors.SystemFailure("replace the mount point", target, error) from error

    def _take_away(self, target: str) -> None:
        served = bool(self._host.program)
        if not served:
            from cstore.kernel.statfs import is_fuse

            try:
                served = is_fuse(target)
            except OSError as error:
                served = error.errno == errno.ENOTCONN  # a mount program served it until it died
        if served:
            from cstore.drivers.overlay.program import unmount_program

            unmount_program(target)
        from cstore.drivers.binding import detach

        try:
            detach(target)
        except OSError as error:
            if error.errno not in _NOT_MOUNTED:
                raise errors.SystemFailure("unmount", target, error) from error

    def is_at(self, place: Place, path: str) -> bool:
        """Return whether `path`, an untrusted path from a record, is the layer's mount point."""
        target = self._target(place)
        try:
            return path == target or os.path.samefile(path, target)
        except (OSError, ValueError):
            return False

    @staticmethod
    def is_mounted(path: str) -> bool:
        """Return whether a file system is mounted on `path`."""
        try:
            if os.lstat(path).st_dev == os.lstat(os.path.dirname(path)).st_dev:
                return False  # every overlay mount has its own device number
        except OSError as error:
            if not presence.mode_despite(error, path):
                return False  # else the mount program died, but its mount is still there
        return mountinfo.is_mountpoint(path)

    def refuse_mounted(self, place: Place) -> None:
        """Refuse a mounted layer, whose directory is about to be exchanged.

        Raises:
            DriverError: it is mounted.
        """
        if self.is_mounted(place.merged):
            raise errors.DriverError(
                NAME,
                f"layer {place.layer} is mounted on {place.merged}, so its contents cannot be replaced",
                hint=f"cstore unmount {place.layer}",
            )

    # ── the home as a private mount ──

    def _bind_home(self) -> None:
        """Make the home a private mount: mounts in it then do not reach other namespaces and block no removal there."""
        if self._options.skip_mount_home:
            return
        try:
            if not mountinfo.is_mountpoint(self._home):
                mount.mount(self._home, self._home, flags=mount.MS_BIND)
            mount.mount("", self._home, flags=mount.MS_PRIVATE)
        except OSError as error:
            raise errors.SystemFailure(
                "create a private mount of", self._home, error, hint="or set skip_mount_home in storage.conf"
            ) from error


def _clear_the_way(place: Place) -> None:
    """Create what a writable mount needs, and remove what would prevent it."""
    from cstore.fs.tree import remove_tree

    stale = f"{place.layer}/work/work/incompat/volatile"
    if within.is_directory(place.home, stale):
        remove_tree(os.path.join(place.home, stale))
    within.make_directories(place.home, f"{place.layer}/work")
    if not place.has_contents:
        from cstore.drivers.overlay.making import contents_lost

        raise contents_lost(place)
