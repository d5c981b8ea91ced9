"""SIGTERM in every job, as schedulers send it, Ctrl-C and a closed terminal in some: the job saves, says one line and
ends with the signal's status; given again it ends with the bytes of an unbroken run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.bench import Bench
from tests.chaos.commands import Started, environment
from tests.chaos.datasets import WHOLE, compare
from tests.chaos.jobs import Inputs, Job, jobs
from tests.chaos.nodes import Nodes, variables
from tests.chaos.tally import Tally

PATIENCE = 300.0
"""Seconds that a job may take on a busy machine; one that was asked to stop has the fifth part."""
TRIES = 3
OTHERS = ("prepare_source", "train_reid")
"""Jobs that are stopped by the other signals too."""
OWN_RAY = ("synthesize_duke_style",)
"""Jobs that start a Ray of their own, as on a laptop; the others share one, whose start takes longer than they."""
_CORES = 8
"""Of the shared one: two jobs stand beside each other, with two workers each."""


def run(bench: Bench) -> Iterator[Tally]:
    """A row of the table for each job."""
    every = jobs(Inputs.make(bench.folder / "inputs"))
    with environment(variables(bench)), Nodes(_CORES) as shared:
        for job in every:
            yield stopped(bench, job, signal.SIGTERM, shared)
        for job in every:
            for number in (signal.SIGINT, signal.SIGHUP) if job.name in OTHERS else ():
                yield stopped(bench, job, number, shared)


def stopped(bench: Bench, job: Job, number: signal.Signals, shared: Nodes) -> Tally:
    """Stop the job once it is at work; an unbroken run goes on beside it, so that both cores have something to do."""
    tally = bench.tally(f"{number.name} in {job.name}", 1)
    ray = {} if job.name in OWN_RAY else {"RAY_ADDRESS": shared.address}
    for tries, place in enumerate(bench.trials(tally), 1):
        whole = Started(place / "logs", job.command(place / "whole"), ray)
        broken = Started(place / "logs", job.command(place / "broken"), ray)
        reached = at_work(broken, place / "broken", job.at_work)
        if reached:
            broken.signal(number)
        ended, complete = broken.wait(PATIENCE / 5 if reached else PATIENCE), whole.wait(PATIENCE)
        if complete.status != 0:
            tally.add(WHOLE, problems=[f"the unbroken run: {complete.err}"])
        elif reached:
            again = Started(place / "logs", job.command(place / "broken"), ray).wait(PATIENCE)
            both = [job.product(place / name) if again.status == 0 else {} for name in ("broken", "whole")]
            right = 128 + number
            status = [] if ended.status == right else [f"status {ended.status}, not {right}: {ended.err}"]
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
