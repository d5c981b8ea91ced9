"""Starting a Ray on this machine, or joining one, as Ray 2.60 does it: its fixed wait, its signal handlers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from manifests.stopping import SIGNALS, Stopped, not_for_children

START_SECONDS = 300
"""How long the processes of a local Ray may take to come up."""
_WAITS = {
    "agent_register_timeout_ms": 1000 * START_SECONDS,
    "raylet_start_wait_time_s": START_SECONDS,
    "worker_register_timeout_seconds": START_SECONDS,
}
"""Ray's own names for such waits."""


def start_local(**options: Any) -> None:
    """``ray.init`` of a Ray of this process alone; waits up to `START_SECONDS` where Ray takes 30 s for enough.

    Raises:
        Stopped: a signal came meanwhile.
    """
    import ray

    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", str(START_SECONDS))
    with _own_signals(), _patience():
        ray.init(address="local", _system_config=_WAITS, **options)


def join(address: str, **options: Any) -> None:
    """``ray.init`` with the Ray at ``address``."""
    import ray

    with _own_signals():
        ray.init(address=address, **options)


@contextmanager
def _own_signals() -> Iterator[None]:
    """What this process does at SIGTERM is its own business again, and Ray's processes hear no signal of a group's.

    ``ray.init`` puts two handlers in the place of ours; that of its C++ part prints a native stack and aborts the
    process 3 seconds later, by an alarm, while Ray is being shut down.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    with not_for_children():
        try:
            yield
        except SystemExit:  # of the first of the two, where another thread heard the signal
            raise Stopped(signal.SIGTERM) from None
        finally:
            signal.signal(signal.SIGTERM, handler)
            signal.alarm(0)


@contextmanager
def _patience() -> Iterator[None]:
    """Ray gives its own node 30 seconds, fixed in its code (`ray._private.node.Node`): a busy machine takes longer. The
    question that it asks until then is made to wait for its answer instead."""
    from ray._private import services

    ask = services.get_node

    def ask_on(*arguments: Any) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return ask(*arguments)
            except RuntimeError:  # the node is not known yet
                if time.monotonic() >= deadline:
                    raise
            for signum in signal.sigpending() & set(SIGNALS):
                raise Stopped(signum)
            time.sleep(0.2)

    services.get_node = ask_on
    try:
        yield
    finally:
        services.get_node = ask
