"""Rebuilding: the imported archive byte for byte, or an error before a wrong byte is complete."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from fastcrc.crc64 import go_iso

from cstore.archive.rebuild import rebuild
from cstore.errors import ContentDamaged, SystemFailure, TarSplitDamaged
from tests.builders import make_tree, typical_tar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

FILES = {"etc/hosts": b"127.0.0.1 localhost\n", "usr/bin/tool": b"\x7fELF" * 999, "etc/empty": b"", "z": b"last"}


def segment(payload: bytes) -> dict[str, object]:
    return {"type": 2, "payload": b64encode(payload).decode()}


def file(name: str | bytes, content: bytes) -> dict[str, object]:
    line: dict[str, object] = {"type": 1}
    if isinstance(name, bytes):
        line["name_raw"] = b64encode(name).decode()
    else:
        line["name"] = name
    if content:
        line["size"] = len(content)
    line["payload"] = b64encode(go_iso(content).to_bytes(8, "big")).decode() if content else None
    return line


class Split:
    """A tar-split file and the layer beside it."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "layer.tar-split.gz")
        self.tree = str(directory / "tree")
        os.makedirs(self.tree)

    def holds(self, *lines: dict[str, object] | bytes) -> Split:
        """Write these lines, numbered."""
        texts = []
        for number, line in enumerate(lines):
            texts.append(line if isinstance(line, bytes) else json.dumps({**line, "position": number}).encode())
        return self.contains(gzip.compress(b"".join(text + b"\n" for text in texts)))

    def contains(self, data: bytes) -> Split:
        """Write these bytes."""
        with open(self.path, "wb") as out:
            out.write(data)
        return self

    def typical(self) -> bytes:
        """Make a layer and its tar-split; return what has to come out."""
        make_tree(self.tree, FILES)
        lines, expected = [], b""
        for name, content in FILES.items():
            header = name.encode().ljust(512, b"\0")
            lines += [segment(header), file(name, content)]
            expected += header + content
        self.holds(*lines, segment(bytes(1024)), segment(b""))
        return expected + bytes(1024)

    def rebuilt(self, *roots: str) -> bytes:
        """What comes out, of these directories or of the tree."""
        out = io.BytesIO()
        rebuild(self.path, roots or [self.tree], out, "layer0")
        return out.getvalue()

    def fails(self, error: type[Exception], match: str | None = None) -> bytes:
        """Expect an error; return what came out before it."""
        out = io.BytesIO()
        with pytest.raises(error, match=match):
            rebuild(self.path, [self.tree], out, "layer0")
        return out.getvalue()


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path)


@pytest.fixture(autouse=True)
def _alarm() -> Iterator[None]:
    """Nothing here may wait for anybody."""
    signal.alarm(30)
    yield
    signal.alarm(0)


# ── what comes out ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_in_order(split: Split) -> None:
    """Segments as they are, contents from the layer, in the order of the lines."""
    assert split.typical() == split.rebuilt()


def test_nothing(split: Split) -> None:
    """An empty archive comes out empty."""
    assert split.holds().rebuilt() == b""


@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_sizes(split: Split, size: int) -> None:
    """Files and segments of any size, small ones beside large ones."""
    content = (b"0123456789" * (size // 10 + 1))[:size]
    make_tree(split.tree, {"a": content, "b": b"b", "c": content})
    raw = content[: 1 << 20]
    split.holds(segment(raw), file("a", content), segment(b"x"), file("b", b"b"), file("c", content), segment(raw))
    assert split.rebuilt() == raw + content + b"x" + b"b" + content + raw


@pytest.mark.parametrize(
    "line",
    [
        rb'{"type":1,"name":"a\u003cb\u0026\u2028","size":1,"payload":"QyAAAAAAAAA=","position":0}',
        '{"type":1,"name":"a<b&\u2028","size":1,"payload":"QyAAAAAAAAA=","position":0}'.encode(),
        b'{"type":1,"name_raw":"YTxiJuKAqA==","size":1,"payload":"QyAAAAAAAAA="}',
        b'{"position":0,"payload":"QyAAAAAAAAA=","size":1,"name":"./a<b&\\u2028","type":1, "more": [1]}',
    ],
    ids=["escaped", "plain", "raw", "other order"],
)
def test_spellings(split: Split, line: bytes) -> None:
    """A name may be escaped or plain; keys may be missing, unknown, or in another order."""
    make_tree(split.tree, {"a<b&\u2028": b"1"})
    assert split.holds(line).rebuilt() == b"1"


def test_any_name(split: Split) -> None:
    """A name that is no text is found by its bytes."""
    make_tree(split.tree, {"d/\udcff\udcfe": b"raw"})
    assert split.holds(file(b"d/\xff\xfe", b"raw")).rebuilt() == b"raw"


@pytest.mark.parametrize("name", ["./d/f", "d//f", "d/./f", "/d/f", "x/../d/f"])
def test_names_are_cleaned(split: Split, name: str) -> None:
    """A name as the archive had it is the file that the import made of it."""
    make_tree(split.tree, {"d/f": b"found"})
    assert split.holds(file(name, b"found")).rebuilt() == b"found"


def test_entries_without_contents(split: Split) -> None:
    """Directories, links and empty files need no look into the layer, whatever the line says of a checksum."""
    empty = b'{"type":1,"name":"e","payload":"AAAAAAAAAAA=","position":1}'
    assert split.holds(file("gone/", b""), empty, segment(b"end")).rebuilt() == b"end"


def test_nearest_root_first(split: Split, tmp_path: Path) -> None:
    """A file is taken from the first directory that has it."""
    near = make_tree(str(tmp_path / "near"), {"d/f": b"near", "only/near": b"1"})
    far = make_tree(str(tmp_path / "far"), {"d/f": b"far!", "d/g": b"g", "only": b"2"})
    split.holds(file("d/g", b"g"), file("only/near", b"1"), file("d/f", b"near"))
    assert split.rebuilt(near, far) == b"g1near"
    assert split.holds(file("d/f", b"far!")).rebuilt(far, near) == b"far!"


def test_many_directories(split: Split) -> None:
    """More directories than are kept open, visited again and again."""
    names = [f"d{number}/e{number % 7}/f" for number in range(300)]
    make_tree(split.tree, dict.fromkeys(names, b"x"))
    assert split.holds(*[file(name, b"x") for name in names + names[::-1]]).rebuilt() == b"x" * 600


# ── a changed layer ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_other_contents(split: Split) -> None:
    """A changed byte is found before the file is out."""
    split.typical()
    make_tree(split.tree, {"usr/bin/tool": b"\x7fELF" * 998 + b"VIRE"})
    out = split.fails(ContentDamaged, "usr/bin/tool")
    assert b"VIRE" not in out
    assert not out.endswith(b"last" + bytes(1024))


def test_other_contents_of_a_large_file(split: Split) -> None:
    """Of a file too large to wait for, the last part stays back."""
    content = bytes(5_000_000)
    split.holds(file("big", content))
    make_tree(split.tree, {"big": content[:-1] + b"\1"})
    assert len(split.fails(ContentDamaged, "other contents")) < len(content)


@pytest.mark.parametrize("content", [b"127.0.0.1 localhost", b"127.0.0.1 localhost\n\n", b""])
def test_other_size(split: Split, content: bytes) -> None:
    """A file of another size is refused before any of it goes out."""
    split.typical()
    make_tree(split.tree, {"etc/hosts": content})
    assert b"127" not in split.fails(ContentDamaged, "bytes instead of 20")


def test_error_names_layer_and_file(split: Split) -> None:
    """The error says which file of which layer."""
    split.typical()
    os.unlink(os.path.join(split.tree, "etc/hosts"))
    with pytest.raises(ContentDamaged) as caught:
        split.rebuilt()
    assert (caught.value.layer, caught.value.name) == ("layer0", "etc/hosts")
    assert caught.value.go_text == 'file integrity checksum failed for "etc/hosts"'


def replace_by(split: Split, name: str) -> str:
    path = os.path.join(split.tree, name)
    os.unlink(path)
    return path


@pytest.mark.parametrize("target", ["/etc/hostname", "../../secret", "tool2"])
def test_link_in_place_of_a_file(split: Split, target: str) -> None:
    """A link is not followed, neither out of the layer nor within it, even to the right contents."""
    split.typical()
    make_tree(split.tree, {"usr/bin/tool2": FILES["usr/bin/tool"]})
    os.symlink(target, replace_by(split, "usr/bin/tool"))
    split.fails(ContentDamaged, "usr/bin/tool.*link")


def test_link_in_place_of_a_directory(split: Split, tmp_path: Path) -> None:
    """A directory that became a link leads nowhere: a layer cannot be made to give away the host's files."""
    split.typical()
    outside = make_tree(str(tmp_path / "outside"), {"hosts": FILES["etc/hosts"]})
    os.rename(os.path.join(split.tree, "etc"), os.path.join(split.tree, "moved"))
    os.symlink(outside, os.path.join(split.tree, "etc"))
    split.fails(ContentDamaged, "etc/hosts.*link")


def test_fifo_in_place_of_a_file(split: Split) -> None:
    """A fifo that nobody writes to does not block the export."""
    split.typical()
    os.mkfifo(replace_by(split, "etc/hosts"))
    split.fails(ContentDamaged, "regular file")


def test_device_in_place_of_a_file(split: Split, needs_root: None) -> None:
    """A device is not read, and a whiteout of an overlay is not a file."""
    split.typical()
    for number in (os.makedev(1, 5), os.makedev(0, 0)):
        os.mknod(replace_by(split, "etc/hosts"), stat.S_IFCHR | 0o600, number)
        split.fails(ContentDamaged, "regular file")


def test_directory_in_place_of_a_file(split: Split) -> None:
    """A directory is not a file."""
    split.typical()
    os.mkdir(replace_by(split, "etc/hosts"))
    split.fails(ContentDamaged, "regular file")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("../outside", TarSplitDamaged),
        ("a/../../outside", TarSplitDamaged),
        ("\0", TarSplitDamaged),
        ("", ContentDamaged),
        (".", ContentDamaged),
    ],
)
def test_names_that_no_layer_holds(split: Split, name: str, error: type[Exception], tmp_path: Path) -> None:
    """A name that leads out, or is none, opens nothing."""
    make_tree(str(tmp_path), {"outside": b"host"})
    split.holds(file(name, b"host"))
    assert split.fails(error) == b""


def test_too_long_a_name(split: Split) -> None:
    """A name that the file system cannot have is missing."""
    split.holds(file("n" * 300, b"x"))
    split.fails(ContentDamaged, "missing")


# ── a damaged tar-split file ──────────────────────────────────────────────────────────────────────────────────────────

GOOD = json.dumps({**segment(b"x"), "position": 0}).encode() + b"\n"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no gzip at all", gzip.compress(GOOD)[:-3], gzip.compress(GOOD) + b"something else follows here",
        gzip.compress(GOOD + b"{"), gzip.compress(GOOD + b"nonsense\n"), gzip.compress(b"[]\n"),
        gzip.compress(b'{"type":3,"payload":null}\n'), gzip.compress(b'{"type":"2","payload":""}\n'),
        gzip.compress(b'{"type":2,"payload":"!!!!"}\n'), gzip.compress(b'{"type":1,"name":"f","size":1}\n'),
        gzip.compress(b'{"type":1,"name":"f","size":1,"payload":"AAAA"}\n'),
        gzip.compress(b'{"type":1,"name":"f","size":-1,"payload":"QyAAAAAAAAA="}\n'),
        gzip.compress(b'{"type":1,"name":"\\ud800","size":1,"payload":"QyAAAAAAAAA="}\n'),
    ],
    ids=lambda data: f"{len(data)} bytes",
)  # fmt: skip
def test_damaged_tar_split(split: Split, data: bytes) -> None:
    """Whatever is wrong with the file, the error names it."""
    make_tree(split.tree, {"f": b"1"})
    split.contains(data).fails(TarSplitDamaged, r"layer\.tar-split\.gz")


def test_no_tar_split(split: Split) -> None:
    """A file that is not there is named as well."""
    split.fails(SystemFailure, r"layer\.tar-split\.gz")


# ── the world ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_full_disk(split: Split) -> None:
    """An output that cannot take more stops the rebuild with the system's reason."""

    class Full(io.BytesIO):
        def write(self, _: object, /) -> int:
            raise OSError(28, "No space left on device")

    make_tree(split.tree, {"big": bytes(9_000_000)})
    split.holds(file("big", bytes(9_000_000)))
    with pytest.raises(SystemFailure, match="No space left"):
        rebuild(split.path, [split.tree], Full(), "layer0")


def test_reading_leaves_no_trace(split: Split, needs_root: None) -> None:
    """Access times in the layer stay as they were."""
    split.typical()
    paths = [os.path.join(split.tree, name) for name in ("etc/hosts", "etc", "usr/bin/tool")]
    for path in paths:
        os.utime(path, (1000, 2000))
    split.rebuilt()
    assert [os.stat(path).st_atime for path in paths] == [1000] * 3


def test_memory_is_bounded(split: Split) -> None:
    """A file of hundreds of megabytes does not take hundreds of megabytes, nor do segments of as many."""
    with open(os.path.join(split.tree, "huge"), "wb") as out:
        out.truncate(300 << 20)
    checksum = go_iso(bytes(1 << 20))
    for _ in range(299):
        checksum = go_iso(bytes(1 << 20), checksum)
    payload = b64encode(checksum.to_bytes(8, "big")).decode()
    huge: dict[str, object] = {"type": 1, "name": "huge", "size": 300 << 20, "payload": payload}
    split.holds(huge, *[segment(bytes(1 << 20))] * 80)
    code = (
        "import os, sys\n"
        "from cstore.archive.rebuild import rebuild\n"
        "from cstore.archive.streams import FileSink\n"
        "rebuild(sys.argv[1], [sys.argv[2]], FileSink(os.open('/dev/null', os.O_WRONLY)), 'layer0')\n"
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, split.path, split.tree], capture_output=True, check=True, text=True
    )
    assert int(done.stdout) < 60_000


@pytest.mark.peer
@pytest.mark.slow
def test_the_peers_tar_split(tmp_path: Path, peer: Runner, store_roots: StoreRoots) -> None:
    """A layer that the Go tool imported comes out as it went in."""
    tar = typical_tar() + b"and what follows the end" * 1000
    (tmp_path / "layer.tar").write_bytes(tar)
    layer = peer("import-layer", "-f", str(tmp_path / "layer.tar")).ok().lines[0]
    out = io.BytesIO()
    tar_split = os.path.join(store_roots.graph, "vfs-layers", f"{layer}.tar-split.gz")
    rebuild(tar_split, [store_roots.tree(layer)], out, layer)
    assert hashlib.sha256(out.getvalue()).digest() == hashlib.sha256(tar).digest()
