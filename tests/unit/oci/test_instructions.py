"""Changes of a run config: what Docker and Podman make of the same words, and what is refused."""

from __future__ import annotations

import pytest

from cstore.errors import UsageMistake
from cstore.oci.instructions import changed

SECOND = 10**9


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("CMD /bin/x y", "Cmd", ["/bin/sh", "-c", "/bin/x y"]),
        ("cmd=/bin/x", "Cmd", ["/bin/sh", "-c", "/bin/x"]),
        ('CMD ["a", "b c"]', "Cmd", ["a", "b c"]),
        ("CMD [ -e /x ] && run", "Cmd", ["/bin/sh", "-c", "[ -e /x ] && run"]),
        ("ENTRYPOINT [bad", "Entrypoint", ["/bin/sh", "-c", "[bad"]),
        ("ENV A=1 B='x y'", "Env", ["OLD=0", "A=1", "B=x y"]),
        ("ENV OLD 2 3", "Env", ["OLD=2 3"]),
        ("EXPOSE 80 53/UDP 90-92/sctp", "ExposedPorts", {"80/tcp": {}, "53/udp": {}, "90-92/sctp": {}}),
        ('LABEL a="b c" d=e', "Labels", {"a": "b c", "d": "e"}),
        ("ONBUILD RUN x", "OnBuild", ["RUN x"]),
        ("STOPSIGNAL SIGTERM", "StopSignal", "SIGTERM"),
        ("STOPSIGNAL quit", "StopSignal", "quit"),
        ("STOPSIGNAL SIGRTMIN+3", "StopSignal", "SIGRTMIN+3"),
        ("USER 1:2", "User", "1:2"),
        ('VOLUME ["/a", "/b"]', "Volumes", {"/a": {}, "/b": {}}),
        ("VOLUME /a /b", "Volumes", {"/a": {}, "/b": {}}),
        ("WORKDIR /w", "WorkingDir", "/w"),
        ("HEALTHCHECK NONE", "Healthcheck", {"Test": ["NONE"]}),
        (
            "HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f http://x",
            "Healthcheck",
            {"Interval": 90 * SECOND, "Retries": 3, "Test": ["CMD-SHELL", "curl -f http://x"]},
        ),
        ('HEALTHCHECK CMD ["a"]', "Healthcheck", {"Test": ["CMD", "a"]}),
    ],
)
def test_change(change: str, key: str, value: object) -> None:
    """One instruction changes one field."""
    assert changed({"Env": ["OLD=0"]}, [change])[key] == value


@pytest.mark.parametrize(
    "change",
    [
        "", "CMD", "USER ", "RUN x", "MAINTAINER x", 'CMD ["a", 1]', "EXPOSE 65536", "EXPOSE 80/x", "EXPOSE 80/",
        "EXPOSE http", "STOPSIGNAL SIGNOT", "STOPSIGNAL 99", "HEALTHCHECK CMD", "HEALTHCHECK --interval=3 CMD x",
        "HEALTHCHECK --sometimes=1s CMD x", "HEALTHCHECK NONE x", "LABEL a=b c",
    ],
)  # fmt: skip
def test_refused(change: str) -> None:
    """With a sentence that repeats it."""
    with pytest.raises(UsageMistake) as told:
        changed({}, [change])
    assert repr(change) in told.value.message
