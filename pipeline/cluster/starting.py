"""Starting a Ray on this machine, or joining one, as Ray 2.60 does it: its fixed wait, its signal handlers."""

from __future__ import annotations

import inspect
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from manifests.common.stopping import SIGNALS, Stopped, StopRequest, not_for_children, stop_between_steps

START_SECONDS = 300
"""How long the processes of a local Ray may take to come up."""
_WAITS = {
    "agent_register_timeout_ms": 1000 * START_SECONDS,
    "raylet_start_wait_time_s": START_SECONDS,
    "worker_register_timeout_seconds": START_SECONDS,
}
"""Ray's own names for such waits."""
_AGENT_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
_ANNOUNCED = "dashboard_agent_listen_port"
"""The one of them whose file the raylet waits for although it was told the port."""


def start_local(**options: Any) -> None:
    """``ray.init`` of a Ray of this process alone; waits up to `START_SECONDS` where Ray takes 30 s for enough.

    Raises:
        Stopped: a signal came meanwhile.
    """
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", str(START_SECONDS))
    with _own_signals() as stop, _patience(stop), _alone():
        import ray

        ray.init(address="local", _system_config={**_WAITS, "enable_metrics_collection": False}, **options)
        _end_at_once()


def _end_at_once() -> None:
    """Have Ray kill its processes where it would first ask each of them by SIGTERM, which they do not hear
    (`_own_signals`), and wait for a second, one after another. Nobody is asked then; their own children, which would
    notice and follow within two seconds, are ended with them."""
    import psutil  # type: ignore[import-untyped]  # Ray brings it
    from ray._private import worker

    node: Any = worker._global_node
    kill = node.kill_all_processes

    def kill_with_children(check_alive: bool = True, allow_graceful: bool = False, wait: bool = False) -> None:
        children = []
        for processes in list(node.all_processes.values()):
            for started in processes:
                with suppress(psutil.Error):
                    children += psutil.Process(started.process.pid).children(recursive=True)
        kill(check_alive=check_alive, wait=wait)
        for child in children:
            with suppress(psutil.Error):
                child.kill()

    node.kill_all_processes = kill_with_children


def join(address: str, **options: Any) -> None:
    """``ray.init`` with the Ray at ``address``."""
    import ray

    with _own_signals():
        ray.init(address=address, **options)


def has_dashboard() -> bool:
    """Whether the Ray that this process is connected to serves a dashboard, and with it the state of its actors."""
    from ray._private import worker

    return bool(worker.get_dashboard_url())


def end_processes() -> None:
    """End the processes of the Ray that `start_local` started, and of none that was joined; the connection stays."""
    from ray._private import worker

    if worker._global_node is not None:
        worker._global_node.kill_all_processes(check_alive=False, allow_graceful=True)


@contextmanager
def _own_signals() -> Iterator[StopRequest]:
    """What this process does at SIGTERM is its own business again, and Ray's processes hear no signal of a group's.

    ``ray.init`` puts two handlers in the place of ours; that of its C++ part prints a native stack and aborts the
    process 3 seconds later, by an alarm, while Ray is being shut down.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()
        return
    # What a signal raises in the middle of the imports of Ray's, a Cython module may ignore: it is raised after them.
    with stop_between_steps() as stop:
        handler = signal.getsignal(signal.SIGTERM)
        with not_for_children():
            try:
                yield stop
            except SystemExit:  # of the first of the two, where another thread heard the signal
                raise Stopped(signal.SIGTERM) from None
            finally:
                signal.signal(signal.SIGTERM, handler)
                signal.alarm(0)
        stop.check()


@contextmanager
def _patience(stop: StopRequest) -> Iterator[None]:
    """Two waits are fixed in Ray's code: its raylet dies where an agent has not said its ports after 15 seconds, and
    ``ray.init`` gives up 30 seconds after it began. A busy machine takes longer. So the raylet is told the ports, and
    the question whether it is there is made to wait for its answer."""
    from ray._private import services
    from ray._raylet import persist_port  # type: ignore[attr-defined]

    start, ask = services.start_raylet, services.get_node
    raylet: list[Any] = []

    def start_with_ports(*arguments: Any, **options: Any) -> Any:
        ports = dict(zip(_AGENT_PORTS, _free_ports(), strict=True))
        named = inspect.signature(start).bind(*arguments, **{**options, **ports})
        node = named.arguments["session_dir"], named.arguments["node_id"]
        persist_port(*node, _ANNOUNCED, ports[_ANNOUNCED])
        raylet.append(start(*named.args, **named.kwargs))
        return raylet[-1]

    def ask_on(*arguments: Any) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return ask(*arguments)
            except RuntimeError:  # the node is not known yet
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"its node was not there after {START_SECONDS} seconds") from None
            if raylet and (status := raylet[-1].process.poll()) is not None:
                raise ChildProcessError(f"its raylet ended with status {status} (/tmp/ray/session_latest/logs)")
            stop.check()
            for signum in signal.sigpending() & set(SIGNALS):
                raise Stopped(signum)
            time.sleep(0.2)

    services.start_raylet, services.get_node = start_with_ports, ask_on
    try:
        yield
    finally:
        services.start_raylet, services.get_node = start, ask


@contextmanager
def _alone() -> Iterator[None]:
    """Inside, a Ray is started without the server of a dashboard, which nobody can see, and without the autoscaler's
    monitor, which has nothing to scale: 1.4 of the 5 seconds of CPU that a Ray takes."""
    from ray._private import services
    from ray._private.node import Node

    serve, watch = services.start_api_server, Node.start_monitor
    services.start_api_server = lambda *_, **__: (None, None)
    Node.start_monitor = lambda node: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        services.start_api_server = serve
        Node.start_monitor = watch  # type: ignore[method-assign]


def _free_ports() -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in _AGENT_PORTS]
        for one in sockets:
            one.bind(("", 0))
        return [int(one.getsockname()[1]) for one in sockets]
