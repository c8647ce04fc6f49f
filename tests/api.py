"""Generates docs/api.md from the signatures and docstrings of the public API: `python -m tests.api`.

A test generates it again and compares, so the page cannot become outdated.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from contextlib import suppress
from enum import Enum
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cstore import errors
from cstore.cli.root import entries, find
from cstore.errors import CstoreError, contents, items, requests

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "api.md")
DOORS = (
    "cstore", "cstore.store", "cstore.transfer", "cstore.check", "cstore.check.repair", "cstore.contents",
    "cstore.insight", "cstore.report", "cstore.docker", "cstore.config",
)  # fmt: skip
"""The modules that programs import, most important first."""

OWN_USE = {("NewLayer", "far")}
"""(class, field) of requests that only the library itself fills in."""

_WORDS = {
    "Any", "Callable", "False", "ForwardRef", "Iterable", "Iterator", "Mapping", "None", "Self", "Sequence", "True",
    *(name for module in (errors, contents, items, requests) for name in vars(module) if name[0].isupper()),
}  # fmt: skip
"""Names that may occur in annotations, in addition to what a module exports."""

INTERFACE = """
GraphRoot, RunRoot, GraphOptions, PullOptions, TransientStore | Store.config | config
GraphDriverName, GraphDriver | Store.driver_name | status
UIDMap, GIDMap | Store.id_map | config
Status | Store.status | status
Version | Store.version | version
CreateLayer | Layers.create | create-layer
PutLayer | Layers.put | import-layer
CreateImage | Images.create | create-image
CreateContainer | Containers.create | create-container
Metadata | Store.metadata | metadata
SetMetadata | Store.set_metadata | set-metadata
Exists, Lookup | Store.find | exists
Delete | Store.delete | delete
DeleteLayer | Layers.delete | delete-layer
DeleteImage | Images.delete | delete-image
DeleteContainer | Containers.delete | delete-container
Wipe | Store.wipe | wipe
GarbageCollect | Store.gc | gc
Mount | Store.mount | mount
MountImage | Images.mount | mount
Unmount | Store.unmount | unmount
UnmountImage | Images.unmount | unmount
Mounted | Store.mount_count | mounted
Changes | Layers.changes | changes
Diff | Layers.diff | diff
DiffSize | Layers.diff_size | diffsize
ApplyDiff | Layers.apply_diff | applydiff
ApplyDiffWithDiffer, PrepareStagedLayer | Layers.stage | -
ApplyStagedLayer | Layers.apply_staged | applydiff-using-staging-dir
CleanupStagedLayer | Layers.clean_staged | -
DifferTarget | Layers.directories | inspect
LayersByCompressedDigest, LayersByUncompressedDigest | Layers.by_digest | layers
LookupAdditionalLayer | Layers.from_additional_store | -
Layers | Layers.list | layers
Layer | Layers.get | layer
LayerSize | Layers.get | layer
LayerParentOwners | Layers.parent_owners | layer-parent-owners
ListLayerBigData | Layers.data_names | list-layer-data
LayerBigData | Layers.open_data | get-layer-data
SetLayerBigData | Layers.set_data | set-layer-data
Images | Images.list | images
Image | Images.get | image
ImageSize | Images.size | image
ImagesByTopLayer | Images.by_top_layer | -
ImagesByDigest | Images.by_digest | images-by-digest
ImageDirectory | Images.directory | get-image-dir
ImageRunDirectory | Images.run_directory | get-image-run-dir
ListImageBigData | Images.data_names | list-image-data
ImageBigData | Images.get_data | get-image-data
ImageBigDataSize | Images.data_size | get-image-data-size
ImageBigDataDigest | Images.data_digest | get-image-data-digest
SetImageBigData | Images.set_data | set-image-data
Containers | Containers.list | containers
Container | Containers.get | container
ContainerByLayer | Containers.by_layer | -
ContainerSize | Containers.size | container
ContainerDirectory | Containers.directory | get-container-dir
ContainerRunDirectory | Containers.run_directory | get-container-run-dir
SetContainerDirectoryFile, SetContainerRunDirectoryFile | Containers.write_file | -
FromContainerDirectory, FromContainerRunDirectory | Containers.read_file | -
ContainerParentOwners | Containers.parent_owners | container-parent-owners
ListContainerBigData | Containers.data_names | list-container-data
ContainerBigData | Containers.get_data | get-container-data
ContainerBigDataSize | Containers.data_size | get-container-data-size
ContainerBigDataDigest | Containers.data_digest | get-container-data-digest
SetContainerBigData | Containers.set_data | set-container-data
Names | Store.names | get-names
SetNames | Store.set_names | set-names
AddNames | Store.add_names | add-names
RemoveNames | Store.remove_names | remove-names
GetDigestLock | Store.digest_lock | -
Shutdown, Free | Store.shutdown | shutdown
Check | Store.check | check
Repair | Store.repair | repair
Dedup | Store.dedup | dedup
SetFlag, ClearFlag | Store.set_flag, Store.clear_flag | -
"""
"""Functions of the Go library's `Store`, their counterparts here, and the command, or -."""

HEAD = """# The library

Generated by `python -m tests.api` from signatures and docstrings; change those instead of this page.

This page is the stable public API. Everything is imported at its first use, so `import cstore` costs nothing. All
errors are subclasses of `cstore.CstoreError`; each docstring names them. Sizes are in bytes; times are strings in RFC
3339, unless a name ends with `_at`; identifiers are 64 hex digits or chosen by the caller.
"""


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    told: set[int] = set()
    for door in DOORS:
        module = import_module(door)
        parts.append(f"## {door}\n\n{_text(module)}")
        for name in sorted(module.__all__, key=str.lower):
            thing = getattr(module, name)
            if name.startswith("__") or isinstance(thing, ModuleType):
                continue
            if id(thing) in told:
                parts.append(f"### {door}.{name}\n\nAs above.")
                continue
            told.add(id(thing))
            parts.extend(_described(f"{door}.{name}", thing))
    parts.append("## Errors\n\n" + "\n".join(_errors(CstoreError, 0)))
    parts.append(
        "## Equivalents of the Go library\n\n| containers/storage | cstore | command |\n|---|---|---|\n"
        + "\n".join(f"| {_code(go)} | {_code(python)} | {_code(shell)} |" for go, python, shell in interface())
    )
    parts.append(
        "## Commands\n\nThese modules declare the commands. The library function that does most of a command's work "
        "can be found by its name.\n\n| command | declared in |\n|---|---|\n" + "\n".join(_commands())
    )
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def interface() -> Iterator[tuple[str, str, str]]:
    """Yield the rows of `INTERFACE`."""
    for line in INTERFACE.strip().splitlines():
        go, python, shell = (part.strip() for part in line.split("|"))
        yield go, python, shell


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", ")) if names != "-" else ""


def _described(path: str, thing: Any) -> Iterator[str]:
    if inspect.isclass(thing):
        if issubclass(thing, Enum):
            members = ", ".join(f"`{member.name}`" for member in thing)
            yield f"### {path}\n\n{_text(thing)}\n\nMembers: {members}."
            return
        yield f"### {path}{_signature(thing)}\n\n{_text(thing)}"
        for name, member in sorted(inspect.getmembers(thing)):
            if name.startswith("_") or not _is_own(member, thing, name):
                continue
            if isinstance(member, property):
                yield f"#### {path}.{name}\n\n{_text(member)}"
            else:
                yield f"#### {path}.{name}{_signature(member)}\n\n{_text(member)}"
    elif callable(thing):
        yield f"### {path}{_signature(thing)}\n\n{_text(thing)}"
    else:
        yield f"### {path}\n\n`{type(thing).__name__}`"


def _is_own(member: Any, thing: type, name: str) -> bool:
    """Return whether a member is a documented method or property of a class of cstore."""
    if not (inspect.isfunction(member) or inspect.ismethod(member) or isinstance(member, property)):
        return False
    owner = next((each for each in thing.__mro__ if name in vars(each)), object)
    return owner.__module__.startswith("cstore") and owner.__name__ not in {"Value", "CstoreError"}


@cache
def _offered() -> frozenset[str]:
    """Return the names that programs can import."""
    return frozenset(_WORDS).union(*(import_module(door).__all__ for door in DOORS))


def _is_internal(kind: type, parameter: inspect.Parameter) -> bool:
    """Return whether a parameter of a class is internal: its type is not exported."""
    words = re.findall(r"\b_?[A-Z]\w*", _typed(parameter.annotation))
    return (kind.__name__, parameter.name) in OWN_USE or any(word not in _offered() for word in words)


def internal_parameters(kind: type) -> list[str]:
    """Return the parameters of a class that the page does not show."""
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return []
    return [each.name for each in parameters if _is_internal(kind, each)]


def _signature(thing: Any) -> str:
    """Return the signature as a code block. Classes that only the library instantiates have none."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return ""
    hidden = internal_parameters(thing) if inspect.isclass(thing) else []
    if any(signature.parameters[name].default is inspect.Parameter.empty for name in hidden):
        return ""
    parts, starred = [], False
    for each in signature.parameters.values():
        if each.name in {"self", "cls", *hidden}:
            continue
        if each.kind is each.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred |= each.kind in {each.KEYWORD_ONLY, each.VAR_POSITIONAL}
        mark = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        told = "" if each.annotation is each.empty else f": {_typed(each.annotation)}"
        default = "" if each.default is each.empty else f" = {_shown(each.default)}"
        parts.append(f"{mark}{each.name}{told}{default}")
    gives = signature.return_annotation
    arrow = "" if gives is signature.empty or inspect.isclass(thing) else f" -> {_typed(gives)}"
    text = f"({', '.join(parts)}){arrow}"
    if len(text) > 90:
        text = "(\n    " + ",\n    ".join(parts) + f",\n){arrow}"
    return f"\n\n```python\n{thing.__name__}{text}\n```"


def _typed(annotation: Any) -> str:
    annotation = getattr(annotation, "__forward_arg__", annotation)
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return "Store" if text == "Store | Context" else text


def _shown(default: Any) -> str:
    text = repr(default)
    return "…" if " object at 0x" in text or text.startswith("<") else text


def _text(thing: Any) -> str:
    """Return a docstring as Markdown. One that refers to another function is followed by the docstring of that one."""
    text = inspect.getdoc(thing) or ""
    named = re.fullmatch(r"(?s)(.*?)[;:] see `(\w+)\.(\w+)`\.?(?:\n\nRaises [\w,\s]+\.)?", text)
    if named is not None:
        behind = _document(named[2], named[3])
        if behind:
            text = f"{named[1]}.\n\n{behind.partition(chr(10))[2].strip(chr(10))}".rstrip("\n")
    return re.sub(r"^(Args|Raises|Returns|Attributes|Yields|Gives):$", r"*\1*:\n", text, flags=re.MULTILINE)


def _document(module: str, name: str) -> str:
    """Return the docstring of the function in the store that a method refers to, "" if there is none."""
    with suppress(ImportError, AttributeError):
        return inspect.getdoc(getattr(import_module(f"cstore.store.{module}"), name)) or ""
    return ""


def errors_told(document: str) -> set[str]:
    """Return the errors that a docstring names: in a section, or in a sentence that begins with `Raises`."""
    section = re.search(r"^Raises:\n((?:    .*\n?|\n)+)", document, re.MULTILINE)
    heads = re.findall(r"^    ([A-Z][\w, ]*?):", section[1], re.MULTILINE) if section else []
    sentence = re.search(r"^Raises ([\w,\s]+)\.", document, re.MULTILINE)
    words = ",".join(heads) + ("," + sentence[1] if sentence else "")
    return {word for word in re.split(r"[,\s]+", words) if re.fullmatch(r"[A-Z]\w+", word)}


def errors_behind(document: str) -> set[str]:
    """Return the errors of the function that a docstring refers to."""
    seen = re.search(r"see `(\w+)\.(\w+)`", document)
    return errors_told(_document(seen[1], seen[2])) if seen else set()


def _errors(kind: type[CstoreError], depth: int) -> Iterator[str]:
    first = (inspect.getdoc(kind) or "").split("\n\n")[0].replace("\n", " ")
    yield f"{'  ' * depth}- `{kind.__name__}`: {first}"
    for child in sorted(kind.__subclasses__(), key=lambda each: each.__name__):
        if child.__module__.startswith("cstore.errors"):
            yield from _errors(child, depth + 1)


def _commands() -> Iterator[str]:
    for entry in entries():
        command = find(entry.name)
        if command is not None:
            yield f"| `{entry.name}` | `{command.function.__module__}` |"


if __name__ == "__main__":
    with open(sys.argv[1] if len(sys.argv) > 1 else PAGE, "w", encoding="utf-8") as file:
        file.write(page())
