"""Before a Ray is there: what can be known to fail is said at once."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import ray
import torch

from manifests.errors import UserError
from pipeline.cluster import session


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_before_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "_connect", lambda *_: pytest.fail("a Ray was started"))
    with pytest.raises(UserError, match="cuda") as caught, session.ray_session(device="cuda"):
        pass
    assert "\n" not in str(caught.value)


def test_a_bare_exception_of_ray_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(session, "start_local", start)
    monkeypatch.setattr(ray, "is_initialized", bool)
    said = r"^Ray did not start on this machine: The current node timed out during startup\.$"
    with pytest.raises(UserError, match=said), session.ray_session():
        pass


@pytest.mark.parametrize("mode", ["token", None])
def test_who_sends_no_token_is_told_of_it(mode: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster at 192.0.2.1:6379")

    monkeypatch.setattr(session, "join", refuse)
    monkeypatch.setattr(ray, "is_initialized", bool)
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(UserError, match=r"^no Ray could be reached at 192") as caught, session.ray_session("192.0.2.1"):
        pass
    assert ("RAY_AUTH_MODE=token" in str(caught.value)) == (mode is None)
    assert "\n" not in str(caught.value)


@pytest.mark.ray
def test_a_local_ray_ends_at_once_and_leaves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    program = """
        from pipeline.cluster.session import ray_session

        with ray_session(local_cpus=1):
            import psutil
            from ray._private.node import Node

            its = psutil.Process().children(recursive=True)
            kill, asked = Node._kill_process_impl, []

            def seen(*arguments, **options):
                asked.append(options.get("allow_graceful"))
                return kill(*arguments, **options)

            Node._kill_process_impl = seen
        print(set(asked) == {False}, len(its) >= 4, len(psutil.wait_procs(its, timeout=5)[1]))
        """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True", "True", "0"]
