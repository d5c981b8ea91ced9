"""Telling work on other machines to stop between its steps: the driver rings, tasks and actors listen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from manifests.common.stopping import GO_ON, Stopped, StopRequest, sharing, stop_between_steps

SAVE_SECONDS = 20.0
"""How long the driver waits for what it told to stop: schedulers kill 30 seconds after SIGTERM."""
LOOK_SECONDS = 1.0

STOPPED = "stopped between two steps"
"""What a task returns that was told to stop."""


class StopBell:
    """Picklable; made by the driver, on its own node, and handed to whatever is to hear it. Needs a Ray session."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        actor_class: Any = ray.remote(num_cpus=0)(_Bell)
        self._actor = actor_class.options(scheduling_strategy=here).remote()

    def ring(self, signum: int) -> None:
        """Ask all that listen, now or later, to stop."""
        self._actor.ring.remote(signum)

    def rung(self) -> int | None:
        """The signal that it was rung for, None before."""
        import ray

        return ray.get(self._actor.rung.remote())

    @contextmanager
    def heard(self) -> Iterator[StopRequest]:
        """Inside, loops that look between their steps (`stop_between_steps`) see when the bell is rung."""
        request, done = StopRequest(), threading.Event()

        def listen() -> None:
            with suppress(Exception):  # a bell that is gone asks nothing
                while not done.wait(LOOK_SECONDS):
                    self._pass_on(request)

        self._pass_on(request)
        threading.Thread(target=listen, daemon=True).start()
        try:
            with sharing(request):
                yield request
        finally:
            done.set()

    def _pass_on(self, request: StopRequest) -> None:
        signum = self.rung()
        if signum is not None:
            request.ask(signum)

    def run(self, work: Callable[[], Any]) -> Any:
        """In a task: the result of ``work``, or `STOPPED`.

        A worker that alone got a signal (its node is drained) ends as one that died: Ray runs the task again.
        """
        with self.heard() as request:
            if request.received:
                return STOPPED
            try:
                return work()
            except Stopped as stop:
                if self.rung() is None:
                    raise SystemExit(stop.status) from None
                return STOPPED


class _Bell:
    def __init__(self) -> None:
        self.signum: int | None = None

    def ring(self, signum: int) -> None:
        self.signum = signum

    def rung(self) -> int | None:
        return self.signum


def wait_for_tasks(tasks: Mapping[Any, str], bell: StopBell, tell: Callable[[str, Any], None]) -> None:
    """Wait for Ray's ``tasks`` (reference -> name), which run under `StopBell.run`; ``tell`` gets each one's result.

    Raises:
        Stopped: a signal came; the tasks were told, and given `SAVE_SECONDS` to save what they had.
    """
    import ray

    running = dict(tasks)
    with stop_between_steps() as stop:
        try:
            while running:
                for reference in ray.wait(list(running), num_returns=1, timeout=LOOK_SECONDS)[0]:
                    name, result = running.pop(reference), ray.get(reference)
                    if result != STOPPED:
                        tell(name, result)
                if stop.received:
                    break
        except Exception:
            stop.check()  # the signal may have reached Ray's processes too
            raise
        if stop.received and running:
            done = len(tasks) - len(running)
            with suppress(Exception):
                bell.ring(stop.received)
                ray.wait(list(running), num_returns=len(running), timeout=SAVE_SECONDS)
            raise Stopped(stop.received, f"{done} of {len(tasks)} are done, the others were told to save; {GO_ON}")


def wait_for_thread(thread: threading.Thread, bell: StopBell) -> None:
    """The same for work of Ray Train's that ``thread`` waits for."""
    with stop_between_steps() as stop:
        while thread.is_alive() and not stop.received:
            thread.join(LOOK_SECONDS)
        if stop.received and thread.is_alive():
            with suppress(Exception):
                bell.ring(stop.received)
            thread.join(SAVE_SECONDS)
            raise Stopped(stop.received, f"the workers were told to save; {GO_ON}")
