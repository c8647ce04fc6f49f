"""Security labels and other mount options as the kernel gets them: one by one, or in one text.

This tests what is passed on. Whether SELinux then shows the label takes a host with SELinux.
"""

from __future__ import annotations

import pytest

from cstore.drivers.overlay.classic import options_text
from cstore.drivers.overlay.mount import Stack
from cstore.drivers.overlay.program import options_of
from cstore.idmap import IDENTITY
from cstore.kernel import mount

LABEL = "system_u:object_r:container_file_t:s0:c1,c2"


def stack(label: str = LABEL, *words: str, upper: str = "/h/a/diff") -> Stack:
    """A layer over one other."""
    return Stack("a", ["/h/l/B"], upper, "/h/a/work" if upper else "", words, label)


def test_one_by_one_a_label_is_a_value() -> None:
    """fsconfig(2) takes it as it is: commas mean nothing there, quotes would belong to the label."""
    assert stack().sorted_options().parameters() == [("context", LABEL)]


def test_in_one_text_a_label_is_quoted() -> None:
    """Its categories are separated by commas, which separate options otherwise; it comes last."""
    made = stack(LABEL, "volatile")

    text = options_text(made, made.sorted_options())

    assert text == f'lowerdir=/h/l/B,upperdir=/h/a/diff,workdir=/h/a/work,volatile,context="{LABEL}"'


def test_a_program_gets_it_in_quotes_too() -> None:
    """As the peer hands it over."""
    paths = {"/h/l/B": "l/B", "/h/a/diff": "a/diff", "/h/a/work": "a/work"}

    text = options_of(stack(), IDENTITY, paths)

    assert text == f'lowerdir=l/B,upperdir=a/diff,workdir=a/work,context="{LABEL}"'


def test_a_label_among_the_options_wins() -> None:
    """Who says `context=` in the mount options has said which label; there are no two of them."""
    words = stack(LABEL, 'context="other:c3,c4"').sorted_options()

    assert words.parameters() == [("context", "other:c3,c4")]


@pytest.mark.parametrize("key", ["context", "fscontext", "defcontext", "rootcontext"])
def test_every_kind_of_label_is_passed_on(key: str) -> None:
    """They are the security module's, and no option of cstore's own."""
    words = stack("", f'{key}="{LABEL}"').sorted_options()

    assert words.parameters() == [(key, LABEL)]


def test_without_a_label_nothing_is_said() -> None:
    """Files keep their own."""
    assert stack("").sorted_options().parameters() == []


def test_a_mount_that_is_only_read_has_the_label_too() -> None:
    """And neither an upper nor a work directory."""
    made = stack(LABEL, upper="")
    words = made.sorted_options()

    assert words.flags == mount.MS_RDONLY
    assert options_text(made, words) == f'lowerdir=/h/l/B,context="{LABEL}"'
