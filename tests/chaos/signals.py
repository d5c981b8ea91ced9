"""SIGTERM in every job, as schedulers send it: the job saves, says one line and ends with 143; given again it ends
with the bytes of an unbroken run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.bench import Bench
from tests.chaos.commands import Started
from tests.chaos.datasets import WHOLE, compare
from tests.chaos.jobs import Inputs, Job, jobs
from tests.chaos.tally import Tally

PATIENCE = 300.0
"""Seconds that a job may take on a busy machine; one that was asked to stop has the fifth part."""
TRIES = 3
STOPPED = 128 + signal.SIGTERM


def run(bench: Bench) -> Iterator[Tally]:
    """A row of the table for each job."""
    for job in jobs(Inputs.make(bench.folder / "inputs")):
        yield stopped(bench, job)


def stopped(bench: Bench, job: Job) -> Tally:
    """Stop the job once it is at work; an unbroken run goes on beside it, so that both cores have something to do."""
    tally = bench.tally(f"SIGTERM in {job.name}", 1)
    variables = {"RAY_TMPDIR": str(bench.folder.parent / "r")}  # a socket's path may have 107 characters
    for tries, place in enumerate(bench.trials(tally), 1):
        whole = Started(place / "logs", job.command(place / "whole"), variables)
        broken = Started(place / "logs", job.command(place / "broken"), variables)
        reached = at_work(broken, place / "broken", job.at_work)
        if reached:
            broken.signal(signal.SIGTERM)
        ended, complete = broken.wait(PATIENCE / 5 if reached else PATIENCE), whole.wait(PATIENCE)
        if complete.status != 0:
            tally.add(WHOLE, problems=[f"the unbroken run: {complete.err}"])
        elif reached:
            again = Started(place / "logs", job.command(place / "broken"), variables).wait(PATIENCE)
            both = [job.product(place / name) if again.status == 0 else {} for name in ("broken", "whole")]
            status = [] if ended.status == STOPPED else [f"status {ended.status}, not {STOPPED}: {ended.err}"]
            tally.add(compare(*both), [ended], again=again, problems=status)
        elif tries == TRIES:
            tally.add(WHOLE, problems=["it ended before it could be stopped"])
    return tally


def at_work(process: Started, output: Path, pattern: str) -> bool:
    """Wait until the job has begun its work; False if it ended or hung before."""
    until = time.monotonic() + PATIENCE
    while process.alive() and time.monotonic() < until:
        if next(output.glob(pattern), None) if pattern else process.out.stat().st_size:
            return True
        time.sleep(0.02)
    return False
