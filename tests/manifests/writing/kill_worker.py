"""What the kill tests run in processes of their own: a driver and workers that may die at any step."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.writing.run import DatasetRun
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, reject_rows, synthetic_rows

SHARD_ROWS = {0: 3, 1: 2}


def start(uri: str) -> DatasetRun:
    return DatasetRun.start(uri, "synthetic", PLAN_ID, SHARD_ROWS, footer=FOOTER)


def write_shard(run: DatasetRun, shard: int, variant: int) -> None:
    rejected = shard % 2
    rows = synthetic_rows(shard, SHARD_ROWS[shard] - rejected, variant=variant)
    run.sink.commit(shard, rows, reject_rows(rejected))


def drive(uri: str, die_at: int | None = None, steps: Any = None) -> None:
    """A whole run by one process, which kills itself at its ``die_at``-th step on the disk."""
    _die_at_step(die_at, steps)
    run = start(uri)
    for shard in run.pending():
        write_shard(run, shard, variant=0)
    run.close()


def rival(uri: str, variant: int) -> None:
    """One of several workers, each with bytes of its own; whoever finds nothing left to do closes the run."""
    random = np.random.Generator(np.random.Philox(variant))
    run = start(uri)
    while pending := run.pending():
        write_shard(run, int(random.choice(pending)), variant)
        time.sleep(float(random.uniform(0, 0.01)))
    run.close()


def write_with_little_room(uri: str, limit: int, answer: Any) -> None:
    """Try to commit where files may not grow beyond ``limit`` bytes, as on a full disk."""
    import resource

    run = start(uri)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        write_shard(run, 0, variant=0)
    except UserError as error:
        answer.send(str(error))
    else:
        answer.send("no error")


def erase_person(uris: list[str], identity: str, die_at: int | None = None, steps: Any = None) -> None:
    """An erasure that kills itself at its ``die_at``-th step on the disk; a deletion is a step too."""
    _die_at_step(die_at, steps, deletions=True)
    erase(uris, Request(frozenset({identity})))


def _die_at_step(die_at: int | None, steps: Any, *, deletions: bool = False) -> None:
    """Count every fsync, rename and link; SIGKILL just before the chosen one, when the last one has happened."""
    count = 0

    def step() -> None:
        nonlocal count
        if count == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        if steps is not None:
            steps.value = count

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            step()
            return call(*arguments, **options)

        return wrapped

    os.fsync = watched(os.fsync)
    Path.replace = watched(Path.replace)  # type: ignore[method-assign]
    Path.hardlink_to = watched(Path.hardlink_to)  # type: ignore[method-assign]
    if deletions:
        bare, counted = Path.unlink, watched(Path.unlink)
        Path.unlink = lambda path, **options: (counted if path.exists() else bare)(path, **options)  # type: ignore
