"""Choose the mount program and the options for a stack of layers, as the writers of the layers require.

If neither the kernel nor a mount program would show the layers correctly, refuse.
"""

from __future__ import annotations

from cstore import errors
from cstore.drivers.overlay.marks import ELSEWHERE, METACOPY, REDIRECT, WHITEOUT
from cstore.drivers.overlay.options import NAME
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.drivers.overlay.marks import Marks

_USUAL_PROGRAM = "fuse-overlayfs"
_WHITEOUT_FILES_FROM = (6, 7)
_FOLLOWING = ("redirect_dir=", "metacopy=")


class Way(Value):
    """How to mount: with `program` ("" for the kernel) and `options`."""

    program: str
    options: tuple[str, ...]


def usual_program() -> str:
    """Return the path of the usual mount program; "" if it is not installed."""
    import shutil

    return shutil.which(_USUAL_PROGRAM) or ""


def choose_program(layer: str, marks: Marks, program: str, kernel_mounts: Callable[[], bool]) -> str:
    """Return the program that mounts a layer with these marks; "" for the kernel. `program` is the store's own choice.

    Raises:
        DriverError: neither can mount the layer.
    """
    kernels = marks.all & {*ELSEWHERE, WHITEOUT}
    if marks.needs_program:
        if kernels:
            raise _refusal(
                layer,
                f"a mount program wrote one of its layers, and the kernel wrote another with {_listed(kernels)}; "
                "nothing can mount both",
                "export each layer with the program that wrote it, and import the archives",
            )
        found = program or usual_program()
        if not found:
            what = "modes and owners in attributes" if marks.masked else "a mount program's marks"
            raise _refusal(layer, f"it shows layers with {what}, which the kernel ignores", "install fuse-overlayfs")
        return found
    if not (program and kernels):
        return program
    if kernel_mounts():
        return ""
    what = "composefs layers" if marks.image else f"layers with {_listed(kernels)}"
    reason = f"it shows {what}, which the mount program {program} does not know"
    raise _refusal(layer, reason, "mount it with the kernel: as root, on a file system that supports overlay")


def kernel_options_for(layer: str, marks: Marks, options: Sequence[str], version: tuple[int, int]) -> tuple[str, ...]:
    """Return the options with which the kernel shows these marks correctly.

    Raises:
        DriverError: there are none.
    """
    if WHITEOUT in marks.all and version < _WHITEOUT_FILES_FROM:
        raise _refusal(layer, "it shows whiteouts in attributes, which this kernel does not know", "Linux 6.7 does")
    if marks.users and marks.trusted:
        raise _refusal(
            layer,
            "some of its layers were written by root, others in a user namespace, and no mount honors the marks of "
            "both (trusted.overlay.*, user.overlay.*)",
            "import the layers again, all as root or all in the user namespace",
        )
    elsewhere = marks.all & ELSEWHERE
    if marks.image and "userxattr" in options:
        raise _refusal(layer, "it is or has a composefs layer, which only root can mount", "run cstore as root")
    if elsewhere and (marks.users or "userxattr" in options):
        raise _refusal(
            layer,
            f"it shows layers with {_listed(elsewhere)}, which the kernel does not follow in a user namespace",
            "read it as the user who wrote it",
        )
    if marks.users:
        return ("userxattr", *(word for word in options if not word.startswith(("userxattr", *_FOLLOWING))))
    if elsewhere:
        options = [word for word in options if not word.startswith(_FOLLOWING)]
        return (*options, "redirect_dir=on", *(("metacopy=on",) if METACOPY in elsewhere else ()))
    return tuple(options)


def _listed(marks: frozenset[str]) -> str:
    words = {METACOPY: "files without their contents (metacopy)", REDIRECT: "renamed directories (redirect)"}
    return " and ".join(words.get(mark, "whiteouts in attributes") for mark in sorted(marks))


def _refusal(layer: str, reason: str, hint: str) -> errors.DriverError:
    return errors.DriverError(NAME, f"layer {layer} cannot be shown as it was written: {reason}", hint=hint)
