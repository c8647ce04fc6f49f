"""SELinux labels of containers: the host's own, changed by options, each container with categories of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.errors import InvalidOption
from cstore.store import NewContainer
from cstore.store.labels import Policy, choose_labels

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.store import Store

CONTEXTS = '# comment\nprocess = "system_u:system_r:container_t:s0"\nfile = "system_u:object_r:container_file_t:s0"\n'


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """A host with SELinux and a policy called `strict`."""
    (tmp_path / "enforce").write_text("1")
    (tmp_path / "config").write_text("SELINUX=enforcing\nSELINUXTYPE=strict\n")
    (tmp_path / "strict").write_text(CONTEXTS)
    contexts = (str(tmp_path / "nothing"), str(tmp_path / "{policy}"))
    return Policy(str(tmp_path / "enforce"), str(tmp_path / "config"), contexts)


def _level(label: str) -> str:
    return label.split(":", 3)[3]


def test_labels_are_the_host_s_with_a_level_that_nobody_has(policy: Policy) -> None:
    """Both labels of a container have it."""
    process, files = choose_labels((), list, policy)

    assert process.startswith("system_u:system_r:container_t:s0:c")
    assert files == f"system_u:object_r:container_file_t:{_level(process)}"
    assert _level(choose_labels((), lambda: [process], policy)[0]) != _level(process)


def test_options_change_parts_of_the_labels(policy: Policy) -> None:
    """User and level of both, role and type of the process, the file type of the files."""
    options = ("user:u", "role:r", "type:t", "level:s0:c1,c2", "filetype:f")

    assert choose_labels(options, list, policy) == ("u:r:t:s0:c1,c2", "u:object_r:f:s0:c1,c2")
    assert choose_labels(("disable",), list, policy) == ("", "")


def test_there_are_no_labels_without_selinux(policy: Policy) -> None:
    """Nor with a policy that has none for containers."""
    assert choose_labels(("type:t",), list, policy.with_(state="/nowhere/at/all")) == ("", "")
    assert choose_labels((), list, policy.with_(contexts=())) == ("", "")


@pytest.mark.parametrize("option", ["", "type", "type:", "size:1", "disable:1"])
def test_what_is_no_label_option_is_refused(store: Store, option: str) -> None:
    """Here too, where no label comes of it; nothing is made."""
    with pytest.raises(InvalidOption, match="is not a label option"):
        store.containers.create(NewContainer(label_options=(option,)))
    with pytest.raises(InvalidOption, match="labels and label options"):
        store.containers.create(NewContainer(label_options=("type:t",), process_label="a", mount_label="b"))
    assert not store.is_made
