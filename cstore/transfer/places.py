"""Where images come from and go to, as skopeo spells it: a transport, a colon, and what that transport makes of it."""

from __future__ import annotations

import os

from cstore.arguments import checked
from cstore.errors import UsageMistake
from cstore.values import Value

STORE, REGISTRY, OCI, OCI_ARCHIVE = "containers-storage", "docker", "oci", "oci-archive"
DOCKER_ARCHIVE, DIRECTORY, DOCKER_ROOT = "docker-archive", "dir", "docker-root"
TRANSPORTS = (STORE, REGISTRY, OCI, OCI_ARCHIVE, DOCKER_ARCHIVE, DIRECTORY, DOCKER_ROOT)
_SPELLINGS = (
    "containers-storage:[DRIVER@GRAPH+RUN]NAME, docker://NAME, oci:PATH[:REF], oci-archive:PATH[:REF], "
    "docker-archive:PATH[:NAME], dir:PATH, docker-root:PATH[:NAME], or NAME for an image of the store"
)
_ELSEWHERE = {
    "docker-daemon": "docker-root:/var/lib/docker:NAME reads its data without it; docker save NAME | cstore load works",
    "sif": "cstore does not read Singularity images",
    "tarball": "cstore import makes an image of a root file system's archive",
    "ostree": "cstore does not read OSTree repositories",
}


class Place(Value):
    """One place.

    Attributes:
        transport: one of `TRANSPORTS`.
        path: of an archive or directory; "" for the others.
        reference: the image there: a name, an ID after `@`, or what an archive calls it; "" if it was not said.
        driver: of another store than the configured one, "" if it was not said; so for the next three.
        graph_root: where that store is.
        run_root: where it keeps what a reboot may take.
        options: of its driver.
        bare: it was written without a transport.
    """

    transport: str
    path: str = ""
    reference: str = ""
    driver: str = ""
    graph_root: str = ""
    run_root: str = ""
    options: tuple[str, ...] = ()
    bare: bool = False

    def __str__(self) -> str:
        """The place as it is typed."""
        if self.transport == REGISTRY:
            return f"docker://{self.reference}"
        if self.transport == STORE:
            driver = f"{self.driver}@" if self.driver else ""
            run = f"+{self.run_root}" if self.run_root else ""
            roots = f"[{driver}{self.graph_root}{run}]" if self.graph_root else ""
            return f"{STORE}:{roots}{self.reference}"
        return ":".join(filter(None, (self.transport, self.path, self.reference)))


@checked
def parse_place(text: str) -> Place:
    """Read a place.

    Raises:
        UsageMistake: it is not a valid place, or its transport is unknown.
    """
    transport, colon, rest = text.partition(":")
    if not text:
        raise UsageMistake("an image is missing", hint=f"write {_SPELLINGS}")
    if colon and transport in _ELSEWHERE:
        raise UsageMistake(f"cstore has no transport {transport!r}", hint=_ELSEWHERE[transport])
    if not colon or transport not in TRANSPORTS or (transport == REGISTRY and not rest.startswith("//")):
        if "://" in text:
            raise UsageMistake(f"{text!r} is not a place for images", hint=f"write {_SPELLINGS}")
        return Place(STORE, reference=text, bare=True)
    if transport == REGISTRY:
        if not rest[2:]:
            raise UsageMistake(f"{text!r} names no image", hint="write docker://HOST/NAME:TAG")
        return Place(REGISTRY, reference=rest[2:])
    if transport == STORE:
        return _of_store(text, rest)
    if transport == DIRECTORY:
        path, reference = rest, ""
    else:
        path, _, reference = rest.partition(":")
    if not path:
        raise UsageMistake(f"{text!r} names no path", hint=f"write {_SPELLINGS}")
    return Place(transport, os.path.abspath(path), reference)


def _of_store(text: str, rest: str) -> Place:
    """Read what follows `containers-storage:`."""
    if not rest.startswith("["):
        return Place(STORE, reference=rest)
    said, bracket, reference = rest[1:].partition("]")
    if not bracket:
        raise UsageMistake(f"{text!r} has no closing bracket", hint="write containers-storage:[DRIVER@GRAPH+RUN]NAME")
    roots, _, options = said.partition(":")
    driver, at, roots = roots.rpartition("@")
    graph, _, run = roots.partition("+")
    if (at and not driver) or not graph.startswith("/") or (run and not run.startswith("/")):
        raise UsageMistake(
            f"{said!r} is not a store: its roots must be absolute paths",
            hint="write containers-storage:[DRIVER@GRAPH+RUN]NAME",
        )
    return Place(STORE, "", reference, driver, graph, run, tuple(filter(None, options.split(","))))
