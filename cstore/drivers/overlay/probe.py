"""Find out what kernel and file system support for overlay; results are cached in the run root (drivers 7.3).

    RUN/overlay/<feature>-true, <feature>-false      test results, shared with the Go tools

Features that follow from documented rules are not tested: whether the kernel stores renamed directories or metadata
copies in attributes depends only on module parameters and mount options. Reading commands write nothing.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.archive.whiteout import WhiteoutForm
from cstore.contexts import suppress
from cstore.drivers.overlay.marks import by_program
from cstore.drivers.overlay.options import NAME
from cstore.fs import within
from cstore.fs.writable import nearest_directory
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
    """Return whether overlay lacks the privileges of the host's root (drivers 4.2)."""
    from cstore.kernel.namespaces import in_user_namespace

    return os.geteuid() != 0 or in_user_namespace() or not may_mount()


def may_mount() -> bool:
    """Return whether this process may mount in its own namespace."""
    from cstore.kernel.namespaces import CAP_SYS_ADMIN, has_capability

    return has_capability(CAP_SYS_ADMIN)


class Host:
    """The features of this host."""

    def __init__(self, place: DriverPlace, options: Options) -> None:
        self._home = place.home
        self._run_home = place.run_home
        self._configured = options.program
        self._words = tuple(options.mount_options)
        self._listed = ",".join(options.mount_options)
        self._checked = False

    # ── mount program ──

    @cached_property
    def program(self) -> str:
        """The mount program: the configured one, or the usual one if the kernel cannot mount; "" for the kernel."""
        if self._configured or (not by_program(self._home) and self.kernel_mounts()):
            return self._configured
        from cstore.drivers.overlay.way import usual_program

        return usual_program()

    @cached_property
    def rootless(self) -> bool:
        """Whether overlay stores its marks in attributes that need no privilege."""
        return is_rootless()

    @property
    def form(self) -> WhiteoutForm:
        """The form of whiteouts in new layers."""
        if self.program:
            return WhiteoutForm.FILES
        return WhiteoutForm.OVERLAY_USER if self.rootless else WhiteoutForm.OVERLAY

    # ── without writing ──

    def backing(self) -> str:
        """Return the name of the file system below the store, or below the nearest existing directory."""
        from cstore.kernel.statfs import filesystem_name

        path = nearest_directory(os.path.dirname(self._home))
        try:
            return filesystem_name(path)
        except OSError as error:
            raise errors.SystemFailure("examine", path, error) from error

    def kernel_mounts(self) -> bool:
        """Return whether the kernel should be able to mount layers here, without trying."""
        return self.backing() not in _NOT_BENEATH and (kernel_version() >= _FIRST_FOR_USERS or not is_rootless())

    def native_diff(self) -> bool:
        """Return whether a layer's own directory shows all its changes, because the kernel stores no redirects."""
        known = self._known(f"native-diff({self._listed})")
        if known is not None:
            return known
        if is_rootless():
            return "redirect_dir=on" not in self._words  # userxattr turns it off unless it is requested
        implied = self._switched("metacopy") and "redirect_dir=off" not in self._words
        return not (implied or self._switched("redirect_dir"))

    def metacopy(self) -> bool:
        """Return whether the kernel copies up only metadata if only metadata changes."""
        known = self._known(f"metacopy({self._listed})")
        return known if known is not None else self._switched("metacopy")

    def status(self) -> list[tuple[str, str]]:
        """Return the facts about overlay for `cstore status`. A mount program has its own features."""
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
        """Return whether mounts can be volatile, so that nothing must survive a crash (Linux 5.10)."""
        known = self._known("volatile")
        return known if known is not None else kernel_version() >= (5, 10)

    def shifting(self) -> bool:
        """Return whether lower directories can be shown with other owners. Tests it without writing."""
        from cstore.config.environment import read_environment

        if read_environment().mapped_mounts_off:
            return False
        known = self._known("idmapped-lower-dir")
        if known is not None:
            return known
        from cstore.drivers.overlay.idshift import can_shift

        return os.geteuid() == 0 and can_shift(self._home)

    def _known(self, feature: str) -> bool | None:
        """Return the result of a test since the last reboot; None if there was none."""
        for answer in ("true", "false"):
            if within.is_file(self._run_home, f"{feature.replace('/', '_')}-{answer}"):
                return answer == "true"
        return None

    def _switched(self, name: str) -> bool:
        """Return whether a feature is on by the last mount option for it, or else the kernel's default."""
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
        """Check that layers can probably be mounted for this process, without trying.

        Raises:
            DriverUnusable: the kernel would have to mount, and cannot; the message says why.
        """
        if self.program:
            return
        self._refuse_backing(self.backing())
        if self._known("overlay") is False:
            try:
                reason = within.read_small(self._run_home, "overlay-false").decode(errors="replace")
            except (OSError, errors.CstoreError):
                reason = ""
            raise _unusable(reason or "overlay failed an earlier test", _OTHERS)
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

    # ── before creation ──

    def check(self, staging: HomeStaging) -> None:
        """Check that layers can be created and mounted here; tested once per boot.

        Raises:
            DriverUnusable: they cannot; the message says why.
        """
        if self._checked or self.program:
            return
        self._checked = True
        if self._known("overlay"):
            return
        backing = self.backing()
        self._refuse_backing(backing)
        if os.geteuid() != 0:
            return  # testing needs a mount, which needs root or a user namespace
        with staging.reserve() as place:
            _try_out(place.path, backing)
        with suppress(OSError, errors.CstoreError):  # failing to keep the result only costs time
            os.makedirs(self._run_home, 0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.close(within.open_file(self._run_home, "overlay-true", flags, 0o644))


def _try_out(folder: str, backing: str) -> None:
    """Mount two directories over each other, remove a directory in the mount, and check that this works."""
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
            return  # an old kernel: the first real mount will show it
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
    """Return the first two numbers of the kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)
