"""An image from anywhere to anywhere: `copy` for places that are spelled, or for sources and sinks of a program."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, contextmanager

from cstore.archive.streams import FileReader
from cstore.arguments import checked
from cstore.errors import ImageArchiveError, SystemFailure, UsageMistake
from cstore.oci.names import DOCKER, LOCAL
from cstore.transfer import places
from cstore.transfer.contract import CopyRequest
from cstore.transfer.places import Place, parse_place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.store import Store
    from cstore.transfer.contract import CopiedImage, ImageSink, ImageSource, Tell
    from cstore.transfer.members import Members
    from cstore.transfer.plan import ImagePlan
    from cstore.transfer.registry_ends import RegistryAccess


@checked
def copy(
    source: str | Place | ImageSource,
    destination: str | Place | ImageSink,
    request: CopyRequest | None = None,
    tell: Tell | None = None,
    *,
    store: Store | None = None,
    access: RegistryAccess | None = None,
) -> CopiedImage:
    """Copy an image, and verify every byte against its digest. Does not read what the destination has already.

    Args:
        source: a place as skopeo spells it (see `places.parse_place`), or a program's own source.
        destination: a place, or a program's own sink.
        request: how; by default the image for this machine, its layers as they are.
        tell: called with events (`contract.Event`) as they happen, possibly from another thread.
        store: the store that a name without a transport is in; by default the configured one.
        access: how registries are spoken to; by default as the machine's configuration says.

    Raises:
        RegistryError: a registry does not deliver or accept it.
        UsageMistake, InvalidName: a place makes no sense.
        ArchiveError: the image fails verification; the destination is as it was.
        ImageUnknown: there is no such image.
        SystemFailure: something cannot be read or written, or cannot fit.
    """
    request, tell = request or CopyRequest(), tell or (lambda _: None)
    with ExitStack() as stack:
        if isinstance(destination, str | Place):
            destination = sink_of(destination, store=store, access=access)
        if isinstance(source, str | Place):
            source = stack.enter_context(opened_source(source, store=store, platform=request.platform, access=access))
        return destination.take(source, request, tell)


# ── sources ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
@checked
def opened_source(
    text: str | Place, *, store: Store | None = None, platform: str = "", access: RegistryAccess | None = None
) -> Iterator[ImageSource]:
    """Open the image at a place.

    Args:
        text: the place.
        store: the store that a name without a transport is in; by default the configured one.
        platform: which image to take of a docker-archive that has several of one name.
        access: how registries are spoken to.

    Raises:
        UsageMistake, ArchiveError, ImageUnknown, SystemFailure: it cannot be had.
    """
    from cstore.transfer.archive_images import ArchiveSource
    from cstore.transfer.sources import DirectorySource, LayoutSource, StoreSource

    place = parse_place(text) if isinstance(text, str) else text
    if place.transport == places.STORE:
        if not place.reference:
            raise UsageMistake(f"{place} names no image", hint="see cstore images")
        yield StoreSource(store_at(place, store), place.reference.removeprefix("@"))
    elif place.transport == places.REGISTRY:
        from cstore.transfer.registry_ends import RegistrySource

        with RegistrySource(place.reference, access) as found:
            yield found
    elif place.transport == places.DOCKER_ROOT:
        from cstore.transfer.docker_root import find_docker_image

        yield find_docker_image(place.path, place.reference)
    else:
        with members_at(place.path, layout=place.transport in {places.OCI, places.DIRECTORY}) as members:
            if place.transport == places.DIRECTORY:
                yield DirectorySource(members)
            elif place.transport == places.DOCKER_ARCHIVE:
                yield ArchiveSource(members, _plan_of(members, place.reference, platform))
            else:
                yield LayoutSource(members, place.reference)


def _plan_of(members: Members, reference: str, platform: str) -> ImagePlan:
    """Find an image in a docker-archive: by name, by position (`@1`), or the only one.

    Raises:
        ImageArchiveError: there is no such image, or there are several and no name was given.
    """
    from cstore.transfer.formats import LoadRequest, read_plans

    number = reference[1:] if reference.startswith("@") else ""
    names = (reference,) if reference and not number else ()
    plans = read_plans(members, LoadRequest(names=names, platform=platform), [])
    if number.isdigit() and int(number) < len(plans):
        return plans[int(number)]
    if number or len(plans) != 1:
        called = ", ".join(name for plan in plans for name in plan.names) or "none has a name"
        reason = f"it has no image {reference!r}" if number else f"it has {len(plans)} images"
        raise ImageArchiveError(members.shown, reason, hint=f"name one of them, or say @0 for the first: {called}")
    return plans[0]


@contextmanager
def members_at(path: str, *, layout: bool = False) -> Iterator[Members]:
    """Open an archive or a directory for reading anywhere in it: what is compressed, or a pipe, is unpacked first.

    Args:
        path: the archive or directory.
        layout: it shall be a directory, so nobody waits for a pipe.

    Raises:
        ArchiveError: it is not an archive.
        SystemFailure: it cannot be read.
    """
    from cstore.transfer.formats import settled
    from cstore.transfer.members import DirectoryMembers
    from cstore.transfer.opening import is_plain, naming, scan_tar

    with ExitStack() as stack:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NONBLOCK if layout else 0))
        except OSError as error:
            raise SystemFailure("open", path, error) from error
        stack.callback(os.close, fd)
        mode = os.fstat(fd).st_mode
        if layout and not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise SystemFailure("open", path, NotADirectoryError(errno.ENOTDIR, ""))
        if stat.S_ISDIR(mode):
            yield DirectoryMembers(fd, path)
            return
        with naming(path):
            if not is_plain(fd, path):
                from cstore.transfer.scratch import ScratchSink, scratch_file
                from cstore.transfer.verifying import pour, uncompressed

                unpacked = stack.enter_context(scratch_file()).fileno()
                pour(uncompressed(FileReader(fd, path)), ScratchSink(unpacked))
                os.lseek(unpacked, 0, os.SEEK_SET)
                fd = unpacked
            found = scan_tar(fd, path)
        yield settled(found, stack)


# ── sinks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@checked
def sink_of(
    text: str | Place, *, store: Store | None = None, sync: bool | None = None, access: RegistryAccess | None = None
) -> ImageSink:
    """Return the sink for a place. Creates nothing there before it stores an image.

    Args:
        text: the place.
        store: the store that a name without a transport is in; by default the configured one.
        sync: whether to sync files to disk; by default as in the store's configuration.
        access: how registries are spoken to.

    Raises:
        UsageMistake, InvalidName, InvalidOption: nothing can go there.
    """
    place = parse_place(text) if isinstance(text, str) else text
    if place.transport == places.STORE:
        if place.reference.startswith("@"):
            raise UsageMistake("an image's ID is computed and cannot be chosen", hint="name the image")
        from cstore.transfer.store_sink import StoreSink

        return StoreSink(store_at(place, store), place.reference, home=LOCAL if place.bare else DOCKER)
    if place.transport == places.REGISTRY:
        from cstore.transfer.registry_ends import RegistrySink

        return RegistrySink(place.reference, access)
    if place.transport == places.DOCKER_ROOT:
        raise UsageMistake("cstore only reads Docker's data", hint="docker load takes an archive: docker-archive:PATH")
    from cstore.transfer import sinks

    sync = sync if sync is not None else store is None or store.config.sync
    if place.transport == places.DIRECTORY:
        return sinks.DirectorySink(place.path, sync=sync)
    made: dict[str, Callable[..., ImageSink]] = {
        places.OCI: sinks.LayoutSink,
        places.OCI_ARCHIVE: sinks.LayoutArchiveSink,
        places.DOCKER_ARCHIVE: sinks.DockerArchiveSink,
    }
    return made[place.transport](place.path, place.reference, sync=sync)


@checked
def store_at(place: Place, store: Store | None = None) -> Store:
    """Open the store of a place: the one that it spells, else the given one, else the configured one.

    Raises:
        ConfigError, DriverError: it cannot be opened.
    """
    from cstore.config import Overrides, load_config
    from cstore.store.store import open_store

    if store is not None and not place.graph_root:
        return store
    said = Overrides(
        graph_root=place.graph_root,
        run_root=place.run_root,
        driver=place.driver,
        driver_options=place.options,
        sync=None if store is None else store.config.sync,
    )
    return open_store(load_config(said), lock_policy=None if store is None else store.context.lock_policy)
