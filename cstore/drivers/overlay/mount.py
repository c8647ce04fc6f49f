"""Create one overlay mount: from descriptors, from one page of text on older kernels, or with a mount program.

    fsopen, lowerdir+ …, fsmount       Linux 6.5: one parameter per directory, up to 500
    mount(2), absolute paths           if they fit into a page
    mount(2), /proc/self/fd            each lower directory is a number there: 500 fit
    a mount program                    fuse-overlayfs and similar ones; no limit

The first form can also create a detached mount: only its descriptor leads to it, and closing that removes it.
"""

from __future__ import annotations

import errno
import os

from cstore import errors
from cstore.contexts import ExitStack
from cstore.drivers.overlay.options import NAME
from cstore.drivers.overlay.probe import kernel_version
from cstore.fs import within
from cstore.idmap import IDENTITY, IDMap
from cstore.kernel import fsmount, mount
from cstore.kernel import mount as mounts
from cstore.layout import is_blob
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NO_SUCH_CALL = frozenset({errno.ENOSYS, errno.EPERM})
"""An old kernel, or a sandbox that blocks the call. A real EPERM comes again from mount(2)."""
_LOWERS_ONE_BY_ONE = (6, 5)


class Stack(Value):
    """The directories and options of a mount.

    Attributes:
        layer: the layer that is mounted, for messages.
        lowers: read-only directories, and images of composefs layers, nearest first.
        upper: the directory that receives writes; "" for a read-only mount.
        work: the kernel's scratch directory beside `upper`.
        options: mount options.
        label: the security label that all files show; "" for their own.
        program: the mount program; "" for the kernel.
        image_map: the ID map for images among `lowers`; directories already show mapped owners.
    """

    layer: str
    lowers: Sequence[str]
    upper: str = ""
    work: str = ""
    options: Sequence[str] = ()
    label: str = ""
    program: str = ""
    image_map: IDMap = IDENTITY

    def sorted_options(self) -> SortedOptions:
        """Return the options with those that this stack adds."""
        options = sort_options(self.options)
        if self.label and not any(word.startswith("context=") for word in options.data):
            options.data.append(f'context="{self.label}"')
        if not self.upper:
            options.flags |= mount.MS_RDONLY
        return options


def mount_stack(stack: Stack, target: str) -> None:
    """Mount on `target`, for all processes in this mount namespace, until it is unmounted.

    Raises:
        DriverError: the kernel refuses.
    """
    options = stack.sorted_options()
    try:
        fd = _make(stack, options)
    except OSError as error:
        raise refusal(stack, target, error) from None
    if fd is None:
        from cstore.drivers.overlay.classic import mount_classically

        mount_classically(stack, options, target)
        return
    try:
        with within.path_past_links(target) as way:
            fsmount.attach(fd, way)
            if options.propagation:
                mount.mount("", way, flags=options.propagation)
    except OSError as error:
        raise refusal(stack, target, error) from None
    finally:
        os.close(fd)


def mount_nowhere(stack: Stack) -> int | None:
    """Create a detached mount and return a descriptor of its root; None if this kernel cannot.

    Raises:
        DriverError: the kernel refuses.
    """
    try:
        return _make(stack, stack.sorted_options())
    except OSError as error:
        raise refusal(stack, "a descriptor", error) from None


def _make(stack: Stack, options: SortedOptions) -> int | None:
    """Create the mount from descriptors; None if this kernel lacks these calls or the parameter `lowerdir+`."""
    if kernel_version() < _LOWERS_ONE_BY_ONE:
        return None
    try:
        configuration = fsmount.Configuration(NAME)
    except OSError as error:
        if error.errno in _NO_SUCH_CALL:
            return None
        raise
    with configuration, ExitStack() as opened:
        try:
            _configure(configuration, stack, options, opened)
            configuration.create()
        except OSError as error:
            reason, said = os.strerror(error.errno or 0), configuration.complaint()
            raise OSError(error.errno, f"{reason} ({said})" if said else reason) from None
        return configuration.mount(options.attributes)


def _configure(configuration: fsmount.Configuration, stack: Stack, options: SortedOptions, opened: ExitStack) -> None:
    configuration.set("source", NAME)
    for lower in stack.lowers:
        configuration.set("lowerdir+", _value(lower, opened, stack.image_map))
    images = [lower for lower in stack.lowers if is_blob(lower)]
    if images:  # they refer to the contents of files by name, in directories with nothing else
        from cstore.archive.composefs import contents_of

        for contents in dict.fromkeys(map(contents_of, images)):
            configuration.set("datadir+", _value(contents, opened))
    if stack.upper:
        configuration.set("upperdir", _value(stack.upper, opened))
        configuration.set("workdir", _value(stack.work, opened))
    for flag in options.whole:
        configuration.set_flag(flag)
    for key, value in options.parameters():
        if value is None:
            configuration.set_flag(key)
        else:
            configuration.set(key, value)


def _value(path: str, opened: ExitStack, id_map: IDMap = IDENTITY) -> str:
    """Return a path for the kernel. A long one, or one with a backslash, is replaced by that of a descriptor."""
    if is_blob(path):
        from cstore.drivers.overlay.images import image_directory

        return image_directory(path, kernel_version(), opened, id_map)
    if len(os.fsencode(path)) <= fsmount.LONGEST_VALUE and "\\" not in path:
        return path
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return f"/proc/self/fd/{fd}"


def refusal(stack: Stack, target: str, error: OSError) -> errors.DriverError:
    """Return the error for a layer that could not be mounted, with a hint."""
    reason = error.strerror or str(error)
    hint = ""
    if stack.label:
        hint = f"the mount label {stack.label!r} needs SELinux on this host; mount without it"
    elif error.errno in {errno.EPERM, errno.EACCES}:
        hint = "mounting needs root, or a user namespace with overlay support (Linux 5.11)"
    elif error.errno == errno.EBUSY:
        hint = "its directory is in use by another mount: findmnt -t overlay shows which"
    elif error.errno == errno.EINVAL and stack.options:
        hint = f"this kernel may not know one of the options {', '.join(stack.options)}"
    return errors.DriverError(
        NAME,
        f"layer {stack.layer} cannot be mounted on {target}: {reason}",
        hint=hint,
        go_text=f"creating overlay mount to {target}: {reason.lower()}",
    )


# ── mount options ──
#
# Mount options by name: flags of the mount, and options of the file system (drivers 7.7).

_FLAGS = {
    "ro": mounts.MS_RDONLY,
    "nosuid": mounts.MS_NOSUID,
    "nodev": mounts.MS_NODEV,
    "noexec": mounts.MS_NOEXEC,
    "sync": mounts.MS_SYNCHRONOUS,
    "dirsync": mounts.MS_DIRSYNC,
    "noatime": mounts.MS_NOATIME,
    "nodiratime": mounts.MS_NODIRATIME,
    "relatime": mounts.MS_RELATIME,
    "strictatime": mounts.MS_STRICTATIME,
}
_OPPOSITES = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync", "atime": "noatime",
    "diratime": "nodiratime", "norelatime": "relatime", "nostrictatime": "strictatime",
}  # fmt: skip
_PROPAGATION = {
    "private": mounts.MS_PRIVATE,
    "slave": mounts.MS_SLAVE,
    "shared": mounts.MS_SHARED,
    "unbindable": mounts.MS_UNBINDABLE,
}
_NOTHING = frozenset({"defaults", "mand", "nomand"})
"""Options without effect; the kernel no longer has mandatory locks."""
_SENSELESS = frozenset({"bind", "rbind", "remount"})

_ATTRIBUTES = {
    mounts.MS_RDONLY: fsmount.ATTR_RDONLY,
    mounts.MS_NOSUID: fsmount.ATTR_NOSUID,
    mounts.MS_NODEV: fsmount.ATTR_NODEV,
    mounts.MS_NOEXEC: fsmount.ATTR_NOEXEC,
    mounts.MS_NOATIME: fsmount.ATTR_NOATIME,
    mounts.MS_NODIRATIME: fsmount.ATTR_NODIRATIME,
    mounts.MS_STRICTATIME: fsmount.ATTR_STRICTATIME,
}
_WHOLE = {mounts.MS_RDONLY: "ro", mounts.MS_SYNCHRONOUS: "sync", mounts.MS_DIRSYNC: "dirsync"}


class SortedOptions:
    """Mount options by type.

    Attributes:
        flags: MS_* flags of the mount.
        propagation: MS_* flags of its propagation; 0 for none.
        data: options of the file system, unchanged.
    """

    def __init__(self) -> None:
        self.flags = 0
        self.propagation = 0
        self.data: list[str] = []

    @property
    def attributes(self) -> int:
        """The flags as ATTR_* values of a new mount."""
        return sum(attribute for flag, attribute in _ATTRIBUTES.items() if self.flags & flag)

    @property
    def whole(self) -> list[str]:
        """The flags that concern the file system rather than one of its mounts, as parameters."""
        return [name for flag, name in _WHOLE.items() if self.flags & flag]

    def parameters(self) -> list[tuple[str, str | None]]:
        """Return the options of the file system as keys and values, without quotes around values."""
        found: list[tuple[str, str | None]] = []
        for word in self.data:
            key, equals, value = word.partition("=")
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            found.append((key, value if equals else None))
        return found


def sort_options(options: Iterable[str]) -> SortedOptions:
    """Sort mount options by type; a later option overrides a contradicting earlier one.

    Raises:
        InvalidOption: an option would create another kind of mount.
    """
    result = SortedOptions()
    for word in options:
        if word in _SENSELESS:
            raise errors.InvalidOption(f"a layer cannot be mounted with the option {word!r}", hint="leave it out")
        if word in _FLAGS:
            result.flags |= _FLAGS[word]
        elif word in _OPPOSITES:
            result.flags &= ~_FLAGS[_OPPOSITES[word]]
        elif word.removeprefix("r") in _PROPAGATION:
            recursive = mounts.MS_REC if word not in _PROPAGATION else 0
            result.propagation = _PROPAGATION[word.removeprefix("r")] | recursive
        elif word not in _NOTHING:
            result.data.append(word)
    return result
