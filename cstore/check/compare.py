"""Compare a layer's directory with its archive: report every difference and every file that should not be there.

Each directory is walked once, through descriptors, and no link is followed. Times are compared in whole seconds,
because some file systems store no fractions.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from cstore import presence
from cstore.archive.composefs import BlobTree, open_tree
from cstore.archive.names import join_name, show_name, split_name
from cstore.archive.override import override_of
from cstore.archive.whiteout import OPAQUE_NAME, OPAQUE_VALUE, is_whiteout_device, is_whiteout_name, victim_of
from cstore.archive.xattrs import CAPABILITY, capability_inside
from cstore.check.expected import device_number
from cstore.errors import InvalidIDMap, SystemFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.composefs import Tree
    from cstore.check.expected import ExpectedTree, Looks, Node, Tolerance
    from cstore.check.view import Shown
    from cstore.idmap import IDMap

Problem = tuple[str, str, str, dict[str, object], str]
"""Kind, part, sentence, evidence, and the Go tool's lines without their prefix. All types must be marshalable."""

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque", "user.fuseoverlayfs.opaque")
_FUSE_OPAQUE = b".wh..opq"
_NO_CONTENT = (b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.")
_CAPABILITY = f"xattr {CAPABILITY.decode()}"
_ACL = b"system.posix_acl_access"
_ACLS = b"system.posix_acl_"
_ACL_VERSION = b"\2\0\0\0"
_TYPES = {
    stat.S_IFREG: "0", stat.S_IFLNK: "2", stat.S_IFCHR: "3", stat.S_IFBLK: "4", stat.S_IFDIR: "5", stat.S_IFIFO: "6",
}  # fmt: skip
"""The type flags of tar archives; the Go tool prints the flag's character code."""
_CONTENT_MODIFIED = ", layer content modified"
_BLOCK = 1 << 20


class Comparison:
    """A comparison of one layer's directories with the expected tree.

    `shown` is the view of the lower layers; None if the layer's directory also holds their files.
    """

    def __init__(self, tree: ExpectedTree, id_map: IDMap, tolerance: Tolerance, shown: Shown | None) -> None:
        self._tree, self._id_map, self._tolerance, self._shown = tree, id_map, tolerance, shown
        self._seen: set[bytes] = set()
        self._changed: set[bytes] = set()
        self._owners: dict[tuple[int, int], tuple[int, int]] = {}
        self._opaque_files: set[bytes] = set()
        self._named: dict[int, tuple[bytes, os.stat_result]] = {}
        # Owner problems count only if the files have different owners, and capability problems only if some file has
        # its capability: otherwise the user who wrote the layer may have lacked the right to set them.
        self._unowned, self._incapable = list[Problem](), list[Problem]()
        self._one_owner = self._no_capability = tolerance.users

    def run(self, roots: Sequence[str], inherited: frozenset[bytes] = frozenset()) -> Iterator[Problem]:
        """Walk `roots`, nearest first, then report missing files. The contents of `inherited` paths are compared, too.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        for root in roots:
            with open_tree(root) as place:
                root_status = place.root_status()
                owner = root_status.st_uid, root_status.st_gid
                yield from self._walk(place, owner, inherited)
        yield from () if self._one_owner else self._unowned
        yield from () if self._no_capability else self._incapable
        if self._tree.vague:
            return
        unmakeable = self._tolerance.unmakeable(self._tree.nodes, self._seen, self._changed)
        for path, node in self._tree.nodes.items():
            if path not in self._seen and node.format not in unmakeable:
                go_text = f"-{_slashed(path, directory=node.format == stat.S_IFDIR)}{_CONTENT_MODIFIED}"
                evidence: dict[str, object] = {"type": _TYPES.get(node.format, "?"), "size": node.size}
                yield _problem("file-missing", path, f"{_shown(path)} is missing", evidence, go_text)
        for path in () if self._shown is None else self._shown.lacking(self._seen):
            sentence = f"the whiteout of {_shown(path)} is missing"
            yield _problem("file-missing", path, sentence, {"type": "whiteout"}, "")

    def _walk(self, place: Tree, owner: tuple[int, int], inherited: frozenset[bytes]) -> Iterator[Problem]:
        pending = [b""]
        while pending:
            folder = pending.pop()
            try:
                found = place.statuses(folder)
            except OSError as error:
                raise SystemFailure("read", place.shown(folder), error) from None
            for base, status in found:
                path = join_name(folder, base)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(path)
                if path not in self._seen:
                    self._seen.add(path)
                    self._one_owner &= (status.st_uid, status.st_gid) == owner
                    yield from self._judge(place, path, status)
                    if path in inherited:
                        yield from self._contents(place, path, status)

    def _judge(self, place: Tree, path: bytes, status: os.stat_result) -> Iterator[Problem]:
        tree = self._tree
        node = tree.nodes.get(path)
        if node is not None:
            yield from self._attributes(place, path, node, status)
            if node.shared:  # its names must be one file, or have equal contents: only one of them was read
                first, known = self._named.setdefault(id(node), (path, status))
                if known.st_ino != status.st_ino:
                    yield from self._contents(place, path, status)
                    yield from self._contents(place, first, known)
            return
        directory = stat.S_ISDIR(status.st_mode)
        if path in tree.allowed or path in tree.devices or (path in tree.implied and directory):
            return
        if self._shown is not None and self._is_removal(path, status):
            return
        if tree.outside and self._is_seen(path):
            return  # copying up a hard link's target from another layer may also bring its other names
        if not tree.vague:
            what = "a directory" if directory else "a whiteout" if is_whiteout_device(status) else "a file"
            yield _problem(
                "file-unexpected", path, f"holds {what} that was not imported with the layer: {_shown(path)}",
                {"type": _TYPES.get(stat.S_IFMT(status.st_mode), "?"), "size": status.st_size},
                f"+{_slashed(path, directory=directory)}{_CONTENT_MODIFIED}",
            )  # fmt: skip

    def _is_removal(self, path: bytes, status: os.stat_result) -> bool:
        """Return whether a file is a whiteout that the archive calls for, in any of its forms."""
        folder, base = split_name(path)
        if is_whiteout_device(status):
            # The root of a layer cannot be opaque, so each of its names has a whiteout.
            return path in self._tree.removed or (not folder and folder in self._tree.opaque)
        if not is_whiteout_name(base):
            return False
        if base in {OPAQUE_NAME, _FUSE_OPAQUE}:
            self._opaque_files.add(folder)
            return folder in self._tree.opaque
        victim = victim_of(base)
        marks = victim is not None and join_name(folder, victim) in self._tree.removed
        if marks and victim is not None:
            self._seen.add(join_name(folder, victim))
        return marks

    # ── existing files ──

    def _attributes(self, place: Tree, path: bytes, node: Node, status: os.stat_result) -> Iterator[Problem]:
        differs: dict[str, list[object]] = {}
        go_text: list[str] = []
        exempt = False
        if self._tolerance.masked and not isinstance(place, BlobTree):
            folder, base = split_name(path)
            status, exempt = _meant(b"/proc/self/fd/%d/%b" % (place.descriptor(folder), base), status)
        format_ = stat.S_IFMT(status.st_mode)
        if node.format and format_ != node.format:
            wanted, found = _TYPES.get(node.format, "?"), _TYPES.get(format_, "?")
            differs["type"] = [wanted, found]
            go_text.append(f"filetype:{ord(wanted)}￫{ord(found)}")
        else:
            self._compare_looks(path, node, status, differs, go_text, exempt=exempt)
            self._compare_rest(place, path, node, status, differs)
        if not differs:
            return
        kind = "file-time" if set(differs) == {"time"} else "file-attributes"
        if "size" in differs:
            kind = "file-changed"
        text = f"{_slashed(path, directory=node.format == stat.S_IFDIR)}({','.join(go_text)}){_CONTENT_MODIFIED}"
        lines = "" if not go_text else text if format_ == stat.S_IFDIR else f"+{text}\n{text}"
        words = ", ".join(f"{name} {_word(now)} instead of {_word(was)}" for name, (was, now) in differs.items())
        problem = _problem(kind, path, f"{_shown(path)} has {words}", {"differs": differs}, lines)
        if self._one_owner and differs.keys() <= {"uid", "gid"}:
            self._unowned.append(problem)
        elif self._no_capability and differs.keys() == {_CAPABILITY} and not differs[_CAPABILITY][1]:
            self._incapable.append(problem)
        else:
            yield problem

    def _compare_looks(
        self,
        path: bytes,
        node: Node,
        status: os.stat_result,
        differs: dict[str, list[object]],
        go_text: list[str],
        *,
        exempt: bool,
    ) -> None:
        tolerance = self._tolerance
        mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns // 1_000_000_000
        looks = node.looks[-1]
        same = looks == (mode, status.st_uid, status.st_gid, mtime)
        if same and not self._id_map and (node.size < 0 or node.size == status.st_size):
            return  # the usual case: nothing else to compare
        if not tolerance.owners and not exempt:
            owners = [self._owner(each) for each in node.looks]
            for place, (name, now) in enumerate((("uid", status.st_uid), ("gid", status.st_gid))):
                ungivable = tolerance.users and owners[-1][place] < 0  # by the user who wrote the layer
                if not ungivable and all(owner[place] != now for owner in owners):
                    differs[name] = [owners[-1][place], now]
                    go_text.append(f"{name}:{owners[-1][place]}￫{now}")
        if node.size >= 0 and status.st_size != node.size:
            differs["size"] = [node.size, status.st_size]
            go_text.append(f"size:{node.size}￫{status.st_size}")
        if not exempt and not stat.S_ISLNK(status.st_mode):
            kept = ~0o070 if any(name == _ACL for name, _ in node.xattrs) else ~0  # the group's bits are the ACL's mask
            if all(each[0] & kept != mode & kept for each in node.looks):
                differs["mode"] = [f"{looks[0]:04o}", f"{mode:04o}"]
                go_text.append(f"mode:{looks[0]:04o}￫{mode:04o}")
        unknown = path in self._tree.touched or (self._tree.vague and stat.S_ISDIR(status.st_mode))
        unknown |= tolerance.partial and not stat.S_ISREG(status.st_mode)
        unknown |= not node.format and stat.S_ISLNK(status.st_mode)  # a hard link to a symbolic link of another layer
        if not tolerance.times and not unknown and all(each[3] != mtime for each in node.looks):
            self._changed.add(path)
            differs["time"] = [looks[3], mtime]
            go_text.append(f"mtime:0x{looks[3]:x}￫0x{mtime:x}")

    def _owner(self, looks: Looks) -> tuple[int, int]:
        """Map an owner in the archive to the host; -1 if the ID map lacks it."""
        owner = looks[1], looks[2]
        if not (self._id_map or self._tolerance.reach):
            return owner
        known = self._owners.get(owner)
        if known is None:
            try:
                known = self._id_map.to_host(*owner)
                self._tolerance.reach.to_host(*known)
            except InvalidIDMap:
                known = (-1, -1)
            self._owners[owner] = known
        return known

    def _compare_rest(
        self, place: Tree, path: bytes, node: Node, status: os.stat_result, differs: dict[str, list[object]]
    ) -> None:
        folder, base = split_name(path)
        if node.format == stat.S_IFLNK:
            text = place.link(folder, base)
            if text != node.link:
                differs["link"] = [_text(node.link), _text(text)]
        if node.format in {stat.S_IFCHR, stat.S_IFBLK} and status.st_rdev != node.device:
            differs["device"] = [node.device, status.st_rdev]
        if isinstance(place, BlobTree):
            self._compare_image(place, path, node, differs)
            return
        target = b"/proc/self/fd/%d/%b" % (place.descriptor(folder), base)
        try:
            names = [os.fsencode(name) for name in os.listxattr(target, follow_symlinks=False)]
        except OSError:
            names = []
        wanted = dict(node.xattrs) if node.xattrs else {}
        for name, value in wanted.items():
            found = _value(target, name)
            if found and name == CAPABILITY:
                self._no_capability = False
                with suppress(InvalidIDMap):
                    found = capability_inside(found, self._id_map)
            if not found and name.startswith(_ACLS) and not value.startswith(_ACL_VERSION):
                continue  # no kernel accepts such an ACL
            if found is not None and found != value:
                differs[f"xattr {_text(name)}"] = [value.hex(), found.hex()]
        for name in names:
            if name not in wanted and is_content(name):
                differs[f"xattr {_text(name)}"] = ["", (_value(target, name) or b"").hex()]
        if path in self._tree.opaque and path not in self._opaque_files:
            marked = any((_value(target, os.fsencode(name)) or b"") == OPAQUE_VALUE for name in _OPAQUE)
            marked = marked or any(presence.is_there(target + b"/" + name) for name in (OPAQUE_NAME, _FUSE_OPAQUE))
            if not marked and self._is_seen(path):
                differs["opaque"] = ["y", ""]

    def _compare_image(self, place: BlobTree, path: bytes, node: Node, differs: dict[str, list[object]]) -> None:
        """Compare extended attributes in a composefs layer's image, whose owners are those of the archive."""
        found, wanted = place.attributes(path), dict(node.xattrs) if node.xattrs else {}
        for name in sorted({*found, *wanted}):
            was, now = wanted.get(name, b""), found.get(name, b"")
            if was != now and (name in wanted or is_content(name)):
                differs[f"xattr {_text(name)}"] = [was.hex(), now.hex()]
        if path in self._tree.opaque and found.get(_OPAQUE[0].encode()) != OPAQUE_VALUE:
            differs["opaque"] = ["y", ""]

    def _is_seen(self, path: bytes) -> bool:
        return self._shown is not None and self._shown.is_seen(path)

    def _contents(self, place: Tree, path: bytes, status: os.stat_result) -> Iterator[Problem]:
        """Compare the contents of a file that was not read to rebuild the archive."""
        node = self._tree.nodes[path]
        if not stat.S_ISREG(status.st_mode) or node.checksum is None or status.st_size != node.size:
            return
        from fastcrc import crc64

        checksum: int | None = None
        try:
            descriptor = place.open_file(*split_name(path))
            try:
                while block := os.read(descriptor, _BLOCK):
                    checksum = crc64.go_iso(block) if checksum is None else crc64.go_iso(block, checksum)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SystemFailure("read", place.shown(path), error) from None
        found = checksum or 0
        if found != node.checksum:
            evidence: dict[str, object] = {"found": f"{found:016x}", "recorded": f"{node.checksum:016x}"}
            yield _problem("file-changed", path, f"{_shown(path)} has other contents", evidence, "")


def _meant(target: bytes, status: os.stat_result) -> tuple[os.stat_result, bool]:
    """Return the effective status of a masked layer's file, and whether to ignore its owner and mode, as of a link."""
    meant = override_of(target)
    if meant is None:
        return status, True
    mode = (meant.kind or stat.S_IFMT(status.st_mode)) | meant.mode
    fields = [mode, *status[1:4], meant.uid, meant.gid, *status[6:10]]
    device = device_number(meant.device)
    return os.stat_result(fields, {"st_rdev": device, "st_mtime_ns": status.st_mtime_ns}), False


def _value(target: bytes, name: bytes) -> bytes | None:
    """Read an extended attribute; b"" if it does not exist, None if it cannot be read."""
    try:
        return os.getxattr(target, name, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENODATA:
            return None
        return b"" if not name.startswith(b"trusted.") or os.geteuid() == 0 else None


def is_content(name: bytes) -> bool:
    """Return whether an extended attribute that the archive lacks is a change of the layer."""
    if name == CAPABILITY:
        return True
    return name.startswith(b"user.") and not name.startswith(_NO_CONTENT)


def _problem(kind: str, path: bytes, sentence: str, evidence: dict[str, object], go_text: str) -> Problem:
    return kind, _text(path), sentence, {"path": _text(path), **evidence}, go_text


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")


def _shown(path: bytes) -> str:
    return repr("/" + show_name(path))


def _slashed(path: bytes, *, directory: bool) -> str:
    return f"/{_text(path)}{'/' if directory else ''}"


def _word(value: object) -> str:
    return repr(value) if value == "" else str(value)
