"""Probes what the kernel and the file system support for overlay, and caches that in the run root (drivers 7.3).

    RUN/overlay/<feature>-true, <feature>-false      what one program found out, the Go tools read too

What follows from documented rules is not tried out: whether the kernel keeps renamed directories or split metadata in
attributes of its own depends on module parameters and mount options alone. Nothing is written by who only reads.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.archive.whiteout import WhiteoutForm
from cstore.contexts import suppress
from cstore.drivers.overlay.marks import by_program, leave_word
from cstore.drivers.overlay.options import NAME
from cstore.fs import within
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.drivers.overlay.options import Options
    from cstore.drivers.registry import DriverPlace
    from cstore.drivers.staging import HomeStaging

_PARAMETERS = "/sys/module/overlay/parameters"
_FIRST_FOR_USERS = (5, 11)  # the first that mounts overlay in a user namespace
_NOT_BENEATH = frozenset({"aufs", "overlayfs", "ecryptfs"})
"""File systems that cannot hold an upper directory."""
_OTHERS = "use another file system, mount_program = fuse-overlayfs, or the vfs driver"


def is_rootless() -> bool:
    """Whether overlay has to do without the privileges of the host's root (drivers 4.2)."""
    from cstore.kernel.namespaces import in_user_namespace

    return os.geteuid() != 0 or in_user_namespace() or not may_mount()


def may_mount() -> bool:
    """Whether this process may mount in its own namespace."""
    from cstore.kernel.namespaces import CAP_SYS_ADMIN, has_capability

    return has_capability(CAP_SYS_ADMIN)


class Cache:
    """The answers kept in the run root."""

    def __init__(self, run_home: str) -> None:
        self._folder = run_home

    def known(self, feature: str) -> bool | None:
        """Return the cached result for a feature; None if there is none."""
        for answer in (True, False):
            if within.is_file(self._folder, self._name(feature, answer)):
                return answer
        return None

    def reason(self, feature: str) -> str:
        """Why a feature was found missing."""
        try:
            return within.read_small(self._folder, self._name(feature, False)).decode(errors="replace")
        except (OSError, errors.CstoreError):
            return ""

    def keep(self, feature: str, answer: bool, reason: str = "") -> None:
        """Keep an answer until the next reboot. That it cannot be kept costs time only."""
        with suppress(OSError, errors.CstoreError):
            os.makedirs(self._folder, 0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            with open(within.open_file(self._folder, self._name(feature, answer), flags, 0o644), "wb") as file:
                file.write(reason.encode())

    @staticmethod
    def _name(feature: str, answer: bool) -> str:
        return f"{feature.replace('/', '_')}-{'true' if answer else 'false'}"


class Host:
    """The supported features."""

    def __init__(self, place: DriverPlace, options: Options) -> None:
        self._home = place.home
        self._cache = Cache(place.run_home)
        self._configured = options.program
        self._words = tuple(options.mount_options)
        self._listed = ",".join(options.mount_options)
        self._checked = False

    # ── who mounts ──

    @cached_property
    def program(self) -> str:
        """The mount program of this store, "" if the kernel mounts: the configured one, or where the kernel cannot."""
        if self._configured or (not by_program(self._home) and self.kernel_mounts()):
            return self._configured
        from cstore.drivers.overlay.way import usual_program

        return usual_program()

    @cached_property
    def rootless(self) -> bool:
        """Whether overlay keeps its marks in attributes that need no privilege."""
        return is_rootless()

    @property
    def form(self) -> WhiteoutForm:
        """How removals are written into a layer."""
        if self.program:
            return WhiteoutForm.FILES
        return WhiteoutForm.OVERLAY_USER if self.rootless else WhiteoutForm.OVERLAY

    def leave_word(self) -> None:
        """Tell the Go tools who writes the layers here."""
        leave_word(self._home, program=bool(self.program))

    # ── read only ──

    def backing(self) -> str:
        """The name of the file system below the store, or of the nearest directory that exists."""
        from cstore.kernel.statfs import filesystem_name

        path = os.path.dirname(self._home)
        while not os.path.exists(path):
            path = os.path.dirname(path)
        try:
            return filesystem_name(path)
        except OSError as error:
            raise errors.SystemFailure("examine", path, error) from error

    def kernel_mounts(self) -> bool:
        """Whether the kernel can be expected to mount layers here, without trying."""
        return self.backing() not in _NOT_BENEATH and (kernel_version() >= _FIRST_FOR_USERS or not is_rootless())

    def native_diff(self) -> bool:
        """Whether a layer's own directory shows all that it changes: no renamed directory is kept as a reference."""
        known = self._cache.known(f"native-diff({self._listed})")
        return known if known is not None else not self._redirects()

    def metacopy(self) -> bool:
        """Whether the kernel copies only metadata up when only metadata change."""
        known = self._cache.known(f"metacopy({self._listed})")
        return known if known is not None else self._switched("metacopy")

    def status(self) -> list[tuple[str, str]]:
        """The lines of `cstore status` for overlay. A mount program has its own features."""
        program = bool(self.program)
        facts = {
            "Supports d_type": True,
            "Native Overlay Diff": not program and self.native_diff(),
            "Using metacopy": not program and self.metacopy(),
            "Supports shifting": program or self.shifting(),
            "Supports volatile": program or self.volatile(),
        }
        answers = [(key, "true" if value else "false") for key, value in facts.items()]
        return [("Backing Filesystem", self.backing()), *answers]

    def volatile(self) -> bool:
        """Whether mounts can be told that nothing needs to survive a crash (Linux 5.10)."""
        known = self._cache.known("volatile")
        return known if known is not None else kernel_version() >= (5, 10)

    def shifting(self) -> bool:
        """Whether lower directories can be shown with other owners. Tried out without writing."""
        from cstore.config.environment import read_environment

        if read_environment().mapped_mounts_off:
            return False
        known = self._cache.known("idmapped-lower-dir")
        if known is not None:
            return known
        from cstore.drivers.overlay.idshift import can_shift

        return os.geteuid() == 0 and can_shift(self._home)

    def _redirects(self) -> bool:
        if is_rootless():
            return "redirect_dir=on" in self._words  # userxattr switches it off unless it is asked for
        implied = self._switched("metacopy") and "redirect_dir=off" not in self._words
        return implied or self._switched("redirect_dir")

    def _switched(self, name: str) -> bool:
        """Whether a feature is on: the last word of the mount options on it, else the kernel's own setting."""
        for word in reversed(self._words):
            if word.startswith(name + "="):
                return word == f"{name}=on"
        if name == "metacopy" and is_rootless():
            return False
        try:
            with open(os.path.join(_PARAMETERS, name), encoding="ascii") as file:
                return file.read(1) == "Y"
        except OSError:
            return False

    def require(self) -> None:
        """Make sure that layers can be expected to be mounted for this process, without trying.

        Raises:
            DriverUnusable: the kernel would have to, and cannot; says why.
        """
        if self.program:
            return
        self._refuse_backing(self.backing())
        if self._cache.known("overlay") is False:
            raise _unusable(self._cache.reason("overlay") or "overlay failed an earlier test", _OTHERS)
        if os.geteuid() == 0 and not may_mount():
            raise _unusable("this process may not mount anything: it has no CAP_SYS_ADMIN", _OTHERS)

    @staticmethod
    def _refuse_backing(backing: str) -> None:
        if backing in _NOT_BENEATH:
            raise errors.DriverUnusable(
                NAME,
                f"a store on {backing} cannot be mounted by the kernel",
                hint="put the graph root on another file system, or set mount_program to fuse-overlayfs",
                go_text=f"'overlay' is not supported over {backing}, a mount_program is required: "
                "backing file system is unsupported for this graph driver",
            )

    # ── before anything is made ──

    def check(self, staging: HomeStaging) -> None:
        """Make sure that layers can be made and mounted here; tried out once per boot.

        Raises:
            DriverUnusable: they cannot; says why.
        """
        if self._checked or self.program:
            return
        self._checked = True
        if self._cache.known("overlay"):
            return
        backing = self.backing()
        self._refuse_backing(backing)
        if os.geteuid() != 0:
            return  # only a mount would show, and that is for root or a user namespace
        with staging.reserve() as place:
            _try_out(place.path, backing)
        self._cache.keep("overlay", True)


def _try_out(folder: str, backing: str) -> None:
    """Mount two directories over each other, remove a file in the mount, and check that it is gone."""
    from cstore.drivers.overlay.mount import Stack, mount_nowhere
    from cstore.fs.tree import remove_tree
    from cstore.kernel.statfs import tells_types

    lower1, lower2, upper, work = (os.path.join(folder, name) for name in ("lower1", "lower2", "upper", "work"))
    try:
        for path in (lower1, os.path.join(lower2, "subdir", "inner"), upper, work):
            os.makedirs(path)
        if not tells_types(folder):
            raise _unusable(
                f"the file system of {folder} ({backing}) does not report the types of directory entries",
                "create it again with ftype=1 (xfs), or use another file system",
            )
        words = ("userxattr",) if is_rootless() else ()
        fd = mount_nowhere(Stack("(a test)", (lower1, lower2), upper, work, words))
        if fd is None:
            return  # an old kernel: the first real mount will tell
        try:
            remove_tree(f"/proc/self/fd/{fd}/subdir")
        finally:
            os.close(fd)
    except (errors.CstoreError, OSError) as error:
        if isinstance(error, errors.DriverUnusable):
            raise
        reason = error.message if isinstance(error, errors.CstoreError) else os.strerror(error.errno or 0)
        raise _unusable(
            f"overlay does not work over {backing} here: {reason}",
            _OTHERS,
        ) from None


def _unusable(reason: str, hint: str) -> errors.DriverUnusable:
    return errors.DriverUnusable(NAME, reason, hint=hint, go_text=f"kernel does not support overlay fs: {reason}")


def kernel_version() -> tuple[int, int]:
    """The first two numbers of the kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)
