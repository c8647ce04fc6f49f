"""Names of images: what is one, and what a short one is short for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cstore.errors import InvalidName
from cstore.oci.names import LOCAL, parse_name

FULL = [
    ("child:dup", "docker.io/library/child:dup"),
    ("foo/bar", "docker.io/foo/bar:latest"),
    ("localhost/child:2", "localhost/child:2"),
    ("index.docker.io/busybox", "docker.io/library/busybox:latest"),
    ("example.org:5000/a/b_c/d__e.f-g:T_1.x", "example.org:5000/a/b_c/d__e.f-g:T_1.x"),
    ("host:1/a", "host:1/a:latest"),
    ("HOST/a", "HOST/a:latest"),
    ("[::1]:5000/a", "[::1]:5000/a:latest"),
    (f"a@sha256:{'0' * 64}", f"docker.io/library/a@sha256:{'0' * 64}"),
    (f"a:1@sha256:{'0' * 64}", f"docker.io/library/a:1@sha256:{'0' * 64}"),
]


@pytest.mark.parametrize(("typed", "full"), FULL)
def test_a_name_is_completed_as_docker_completes_it(typed: str, full: str) -> None:
    """Domain, `library/` and tag are added where they are missing."""
    assert str(parse_name(typed)) == full


def test_podman_s_home_is_localhost() -> None:
    """Only names without a domain differ."""
    assert str(parse_name("child:1", home=LOCAL)) == "localhost/child:1"
    assert str(parse_name("example.org/child:1", home=LOCAL)) == "example.org/child:1"


INVALID = [
    ("", "invalid reference format"),
    ("UPPER:1", "invalid reference format: repository name (library/UPPER) must be lowercase"),
    ("a:", "invalid reference format"),
    ("a b", "invalid reference format"),
    ("a/../b", "invalid reference format"),
    ("a//b", "invalid reference format"),
    ("-a", "invalid reference format"),
    ("a:" + "t" * 129, "invalid reference format"),
    ("a@sha256:short", "invalid reference format"),
    ("f" * 64, f"invalid repository name ({'f' * 64}), cannot specify 64-byte hexadecimal strings"),
    ("example.org/" + "a/" * 130 + "a", "repository name must not be more than 255 characters"),
    ("a\n", "invalid reference format"),
]


@pytest.mark.parametrize(("typed", "peer"), INVALID)
def test_what_is_no_name_is_refused_in_docker_s_words_too(typed: str, peer: str) -> None:
    """The sentence is ours, the peer's text goes with it."""
    with pytest.raises(InvalidName) as told:
        parse_name(typed)
    assert told.value.go_text == peer


COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
GRAMMAR = re.compile(
    rf"(?:(?:{LABEL}(?:\.{LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?/)?{COMPONENT}(?:/{COMPONENT})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?",
    re.ASCII,
)
"""As the distribution specification and Docker's reference library have it."""


@given(st.text(alphabet="aZ09f._-/:[] \n\u00e9!", max_size=10))
def test_the_grammar_is_docker_s(text: str) -> None:
    """Whatever characters come together, a text is a name if, and only if, Docker's grammar says so."""
    domain, slash, rest = text.partition("/")
    named = slash and (domain == LOCAL or "." in domain or ":" in domain or domain.lower() != domain)
    expected = GRAMMAR.fullmatch(text if named or not slash else f"x.y/{text}")
    try:
        parse_name(text)
    except InvalidName:
        assert not expected or (named and not rest)
    else:
        assert expected
