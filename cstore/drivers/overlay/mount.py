"""One overlay mount: by descriptors where the kernel can, by one page of text where it cannot, or by a program.

    fsopen, lowerdir+ …, fsmount       Linux 6.5: each directory a parameter of its own, up to 500 of them
    mount(2), absolute paths           as long as they fit into a page
    mount(2), /proc/self/fd            every lower directory is a number there: 500 fit
    a mount program                    fuse-overlayfs and its kind; no limit

The first can also mount nowhere: such a mount is read through its descriptor, seen by nobody, and gone with it.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack

from cstore.drivers.overlay.mount_options import Words, sort_words
from cstore.drivers.overlay.options import NAME
from cstore.errors import DriverError
from cstore.fs import within
from cstore.idmap import IDENTITY, IDMap
from cstore.kernel import fsmount, mount
from cstore.layout import is_blob
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_SUCH_CALL = frozenset({errno.ENOSYS, errno.EPERM})
"""An old kernel, or a sandbox that does not let the call through. A real EPERM comes again from mount(2)."""
_LOWERS_ONE_BY_ONE = (6, 5)


class Stack(Value):
    """What is to be mounted over what.

    Attributes:
        layer: whose tree it is, for messages.
        lowers: directories that are only read, and images of composefs layers, nearest first.
        upper: the directory that takes what is written; "" for a mount that cannot be written to.
        work: the kernel's scratch directory beside `upper`.
        words: mount options.
        label: the security label that all files show, "" for their own.
        program: mounts it in place of the kernel; "" for the kernel.
        image_map: the owners that images among `lowers` are shown with; directories are shown with theirs already.
    """

    layer: str
    lowers: Sequence[str]
    upper: str = ""
    work: str = ""
    words: Sequence[str] = ()
    label: str = ""
    program: str = ""
    image_map: IDMap = IDENTITY

    @property
    def data(self) -> Sequence[str]:
        """Directories with nothing but the contents of files, which the images of composefs layers refer to."""
        if not any(map(is_blob, self.lowers)):
            return ()
        from cstore.drivers.overlay.images import data_of

        return data_of(self.lowers)

    def sorted_words(self) -> Words:
        """The options with everything that this stack adds."""
        words = sort_words(self.words)
        if self.label and not any(word.startswith("context=") for word in words.data):
            words.data.append(f'context="{self.label}"')
        if not self.upper:
            words.flags |= mount.MS_RDONLY
        return words


def mount_stack(stack: Stack, target: str) -> None:
    """Mount on `target`, for every process in this mount namespace and until somebody unmounts it.

    Raises:
        DriverError: the kernel refuses.
    """
    words = stack.sorted_words()
    try:
        fd = _make(stack, words)
    except OSError as error:
        raise refusal(stack, target, error) from None
    if fd is None:
        from cstore.drivers.overlay.classic import mount_classically

        mount_classically(stack, words, target)
        return
    try:
        with within.path_past_links(target) as way:
            fsmount.attach(fd, way)
            if words.propagation:
                mount.mount("", way, flags=words.propagation)
    except OSError as error:
        raise refusal(stack, target, error) from None
    finally:
        os.close(fd)


def mount_nowhere(stack: Stack) -> int | None:
    """Mount, and return a descriptor of the root instead of a place; None if this kernel cannot.

    Raises:
        DriverError: the kernel refuses.
    """
    try:
        return _make(stack, stack.sorted_words())
    except OSError as error:
        raise refusal(stack, "a descriptor", error) from None


def _make(stack: Stack, words: Words) -> int | None:
    """Make the mount by descriptors; None if this kernel has no such calls, or cannot take one lower at a time."""
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
            _configure(configuration, stack, words, opened)
            configuration.create()
        except OSError as error:
            raise OSError(error.errno, _with_complaint(error, configuration)) from None
        return configuration.mount(words.attributes)


def _configure(configuration: fsmount.Configuration, stack: Stack, words: Words, opened: ExitStack) -> None:
    configuration.set("source", NAME)
    for lower in stack.lowers:
        configuration.set("lowerdir+", _value(lower, opened, stack.image_map))
    for contents in stack.data:
        configuration.set("datadir+", _value(contents, opened))
    if stack.upper:
        configuration.set("upperdir", _value(stack.upper, opened))
        configuration.set("workdir", _value(stack.work, opened))
    for flag in words.whole:
        configuration.set_flag(flag)
    for key, value in words.parameters():
        if value is None:
            configuration.set_flag(key)
        else:
            configuration.set(key, value)


def _value(path: str, opened: ExitStack, id_map: IDMap = IDENTITY) -> str:
    """A path as the kernel takes it: a long one, or one with an escape in it, by way of a descriptor."""
    if is_blob(path):
        from cstore.drivers.overlay.images import image_directory

        return image_directory(path, kernel_version(), opened, id_map)
    if len(os.fsencode(path)) <= fsmount.LONGEST_VALUE and "\\" not in path:
        return path
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return f"/proc/self/fd/{fd}"


def _with_complaint(error: OSError, configuration: fsmount.Configuration) -> str:
    reason = os.strerror(error.errno or 0)
    said = configuration.complaint()
    return f"{reason} ({said})" if said else reason


def kernel_version() -> tuple[int, int]:
    """The first two numbers of the kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)


def refusal(stack: Stack, target: str, error: OSError) -> DriverError:
    """Say why a layer could not be mounted, with what usually helps."""
    reason = error.strerror or str(error)
    hint = ""
    if stack.label:
        hint = f"the mount label {stack.label!r} needs SELinux on this host; mount without it"
    elif error.errno in {errno.EPERM, errno.EACCES}:
        hint = "mounting needs root, or a user namespace with overlay support (Linux 5.11)"
    elif error.errno == errno.EBUSY:
        hint = "its directory is in use by another mount: findmnt -t overlay shows which"
    elif error.errno == errno.EINVAL and stack.words:
        hint = f"this kernel may not know one of the options {', '.join(stack.words)}"
    return DriverError(
        NAME,
        f"layer {stack.layer} cannot be mounted on {target}: {reason}",
        hint=hint,
        go_text=f"creating overlay mount to {target}: {reason.lower()}",
    )
