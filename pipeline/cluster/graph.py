"""Work whose parts need one another, each part a Ray task, or one after another in this process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch

from manifests.common.stopping import GO_ON, keeping
from manifests.errors import UserError
from pipeline.cluster.resources import stage_resources, wait_for_placement
from pipeline.cluster.session import ask_for_nodes, cluster_nodes
from pipeline.cluster.stop_bell import StopBell, wait_for_tasks
from pipeline.cluster.train import RETRIES, STAGE, as_user_error

Work = Callable[[], str]
"""Does its part, or finds it done; says what came of it in a few words."""


@dataclass(frozen=True)
class Node:
    """One part of the work. ``needs`` are the names of nodes that stand before it in the list."""

    name: str
    work: Work
    log: Path
    """File for what the part prints."""
    needs: tuple[str, ...] = ()


def run_graph(nodes: Sequence[Node], device: str, on_ray: bool = True) -> None:
    """Run all nodes, as many at a time as the cluster holds; a line for each that is done. With ``on_ray`` it needs a
    Ray session, and a node whose worker died is run again.

    Raises:
        UserError: a node fails or cannot be placed; the others end with the session, and go on when called again.
        Stopped: a signal came; nodes that can stop between two steps have saved what they had.
    """
    tell = _Teller(len(nodes))
    if not on_ray:
        with keeping(lambda: f"{tell.done} of {len(nodes)} parts are done; {GO_ON}"):
            for node in nodes:
                tell(node.name, _logged(node.work, node.log, device))
        return
    import ray

    needs = stage_resources(STAGE, device)
    wait_for_placement(STAGE, needs, cluster_nodes, ask_for_nodes=ask_for_nodes)
    bell = StopBell()
    task = ray.remote(max_retries=RETRIES, **needs.as_options())(_as_task)
    made: dict[str, Any] = {}
    for node in nodes:
        made[node.name] = task.remote(node.work, node.log.resolve(), device, bell, *[made[name] for name in node.needs])
    try:
        wait_for_tasks({reference: name for name, reference in made.items()}, bell, tell)
    except Exception as error:
        raise as_user_error(error, STAGE) from None


class _Teller:
    """Says what is done, and how long the rest takes if it takes as long as what is done."""

    def __init__(self, count: int) -> None:
        self.count, self.done, self.start = count, 0, time.monotonic()

    def __call__(self, name: str, result: str) -> None:
        self.done += 1
        left = timedelta(seconds=round((time.monotonic() - self.start) / self.done * (self.count - self.done)))
        print(f"{name}: {result} ({self.done}/{self.count}, {100 * self.done // self.count}%, {left} left)", flush=True)


def _as_task(work: Work, log: Path, device: str, bell: StopBell, *needed: str) -> Any:
    """``needed`` is there to wait for."""
    return bell.run(partial(_logged, work, log, device))


def _logged(work: Work, log: Path, device: str) -> str:
    if device == "cpu":
        torch.set_num_threads(1)
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            log.open("a", encoding="utf-8") as stream,
            contextlib.redirect_stdout(stream),
            contextlib.redirect_stderr(stream),
        ):
            return work()
    except UserError as error:
        raise UserError(f"{error} (more in {log})") from None
