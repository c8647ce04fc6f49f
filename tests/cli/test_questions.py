"""The eighteen questions that an administrator asks at night: each is answered by one short command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cstore import open_store
from cstore.config import Overrides, load_config
from cstore.store import NewContainer, NewImage, NewLayer
from tests.builders import directory, make_tar, regular, whiteout
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("needs_root")

ORPHAN = "ab" * 32


class Host(NamedTuple):
    """A store with two images that share a layer, a container of one in which a process lives, and an orphan."""

    place: str
    graph: str
    base: str
    spare: str
    link: str
    pid: int

    def words(self, line: str) -> list[str]:
        """A command line, with what it names filled in."""
        return [word.format(**self._asdict()) for word in line.split()]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Made once: no question changes anything."""
    place = str(tmp_path_factory.mktemp("host"))
    graph, run = f"{place}/graph", f"{place}/run"
    store = open_store(load_config(Overrides(graph_root=graph, run_root=run, driver="overlay", sync=False)))
    old = make_tar(directory("etc"), regular("etc/app.conf", b"level=1\n"), regular("etc/old", b"x" * 5000))
    new = make_tar(directory("etc"), regular("etc/app.conf", b"level=2\n"), whiteout("etc/old"))
    base = store.layers.put(NewLayer(), old).id
    top = store.layers.put(NewLayer(parent=base), new).id
    store.images.create(NewImage(layer=base, names=("localhost/app:1",)))
    store.images.create(NewImage(layer=top, names=("localhost/app:2",)))
    unused = store.layers.put(NewLayer(), make_tar(regular("unused", b"x" * 9000))).id
    spare = store.images.create(NewImage(layer=unused)).id
    store.containers.create(NewContainer(image="localhost/app:2", names=("web",)))
    root = store.mount("web")
    os.makedirs(f"{graph}/overlay/{ORPHAN}/diff")
    with open(f"{graph}/overlay/{base}/link", encoding="utf-8") as file:
        link = file.read()
    living = subprocess.Popen(["sleep", "1000"], cwd=root)
    try:
        yield Host(place, graph, base, spare, link, living.pid)
    finally:
        living.send_signal(signal.SIGKILL)
        living.wait()
        detach_all(place)


QUESTIONS = (
    ("what fills the disk?", "df", r"^image\t3\t1\t\d+\t\d+$"),
    ("what is in overlay/ that nobody knows?", "df -v", rf"^orphan\t.*{{graph}}/overlay/{ORPHAN}"),
    ("whose is this directory?", "whois {graph}/overlay/{base}", r"^\timage: \w+ \(localhost/app:1\)$"),
    ("whose is this short link?", "whois l/{link}", r"^layer\t{base}\t"),
    ("whose root is it that this process lives in?", "whois {pid}", r"^\tcontainer: \w+ \(web\)$"),
    ("who uses this image?", "why app:2", r"^  container \w+ \(web\) was made from it, "),
    ("which images and containers hold this layer?", "why {base}", r"^ +container \w+ \(web\) was made from it, "),
    ("what would a deletion free?", "rm --dry-run app:1", r"^total\t-\t\d+\t$"),
    ("what would the deletion of all these free?", "df --freed-by app:1 {spare}", r"^[1-9]\d+$"),
    ("which file differs between two images?", "compare app:1 app:2", r"^C /etc/app.conf: content$"),
    ("since when is it so?", "blame app:2:/etc/app.conf", r"^C\t\w+\t20.*Z\tcontent\t$"),
    ("what does this image waste?", "blame --waste app:2", r"^5000\tdeleted\t{base}\t/etc/old$"),
    ("can I have the file as it was?", "cp app:1:/etc/app.conf {place}/restored", "^$"),
    ("what is in this image?", "ls app:2:/etc", r"^app\.conf$"),
    ("in which images is this file?", "find --all --name old", r"^localhost/app:1:/etc/old$"),
    ("what may go?", "prune --dry-run", r"^image\t{spare}\t"),
    ("is this host sound for containers?", "doctor", r"^ok\tdriver\tthe overlay driver works"),
    ("can I show it to my boss?", "report -o {place}/store.html", "^$"),
)


@pytest.mark.parametrize(("question", "line", "answer"), QUESTIONS, ids=[question for question, _, _ in QUESTIONS])
def test_one_line_answers_it(question: str, line: str, answer: str, host: Host, bare_cli: CommandLine) -> None:
    """What is sought is in what the command prints; `doctor` may also have something to say of this host."""
    told = bare_cli("-g", host.graph, "-R", f"{host.place}/run", "-s", "overlay", *host.words(line))

    wanted = answer
    for name, value in host._asdict().items():
        wanted = wanted.replace(f"{{{name}}}", re.escape(str(value)))
    assert told.code == 0 or line == "doctor", told.err
    assert re.search(wanted, told.out, re.MULTILINE), told.out


def test_there_are_eighteen() -> None:
    """Each question is asked once, with a command line that fits on a line."""
    assert len({line for _, line, _ in QUESTIONS}) == len(QUESTIONS) == 18
    assert max(len(line.split()) for _, line, _ in QUESTIONS) <= 4


@pytest.fixture(scope="module", autouse=True)
def _results(host: Host) -> Iterator[None]:
    """What the commands were asked to write is there, and right."""
    yield
    with open(f"{host.place}/restored", encoding="utf-8") as file:
        assert file.read() == "level=1\n"
    assert os.path.getsize(f"{host.place}/store.html") > 10_000
