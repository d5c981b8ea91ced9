"""The loop that every training runs in: taken up from its newest state, asked between steps whether to stop, watched
for what is not finite, kept every so many steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manifests.common.stopping import GO_ON, Stopped, stop_between_steps
from pipeline.common.tensors import to_batch
from pipeline.training.data import Columns
from pipeline.training.finite_watch import FiniteWatch
from pipeline.training.log import LossTerms, StepLog, TrainingLog
from pipeline.training.state import Kept
from pipeline.training.workers import ALONE, Workers


class Stepwise(ABC):
    """What is trained step by step: a subclass brings its step, its state and its data."""

    layout: torch.memory_format = torch.channels_last
    """Of images in memory."""

    def __init__(self, steps: int, device: torch.device | str = "cpu", workers: Workers = ALONE) -> None:
        self.steps, self.device, self.workers = steps, torch.device(device), workers
        self.step = 0
        """Steps done."""
        self.watch = FiniteWatch(workers)
        self.losses: dict[str, float] = {}
        """Mean of each loss term, as last logged."""

    @abstractmethod
    def train_step(self) -> LossTerms:
        """One update, counted in `step` and told to `watch`, from the batch of this step; returns its loss terms."""

    @abstractmethod
    def learning_rate(self) -> float:
        """Of the next step."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that the next step depends on beside `step`: tensors and plain values. All workers are asked at once."""

    @abstractmethod
    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a `state`."""

    def open_log(self, output: Path) -> StepLog:
        """What tells of the steps from here on: a progress line and TensorBoard files, by the first worker alone."""
        return StepLog() if self.workers.rank else TrainingLog(output, self.step, self.steps, self.watch.settle)

    def end_step(self, log: StepLog) -> None:  # noqa: B027 not all have more to do
        """After each step, when its state is kept if it is to be."""

    def run_steps(self, kept: Kept, every: int) -> None:
        """Train on from the newest state in ``kept`` to the last step; the state is kept ``every`` so many steps.

        Raises:
            UserError: ``kept`` holds another run's state or a damaged one, or a step is not finite.
            Stopped: a signal came; the state is kept.
        """
        self.watch.kept = kept
        saved = kept.load(self.device)
        if saved is not None:
            self.load_state(saved)
            self.step = int(saved["step"])
        with closing(self.open_log(kept.output)) as log, stop_between_steps() as stop:
            while self.step < self.steps:
                terms = self.train_step()
                log.add(self.step, terms, self.learning_rate())
                self.losses = log.means
                last = self.step == self.steps
                signum = self.workers.agree(stop.received, self.step)
                if last or signum or self.step % every == 0:
                    self.keep(kept)
                    log.kept(self.step)
                self.end_step(log)
                if signum and not last:
                    raise Stopped(signum, f"step {self.step} is kept in {kept.output}; {GO_ON}")

    def keep(self, kept: Kept) -> None:
        """Keep the state of now.

        Raises:
            NotFiniteError: something in it is not finite, or the last step was not.
        """
        self.watch.settle()
        state = self.state()
        self.watch.check_state(self.step, state)  # on every worker, so that all stop
        if self.workers.rank == 0:
            kept.save(self.step, state)

    def own_batch(self, columns: Columns) -> dict[str, Tensor]:
        """This worker's share of a batch, on its device, which was at the step before while the batch was drawn.

        Raises:
            NotFiniteError: the step before was not finite.
        """
        share = self.workers.share(columns)
        self.watch.settle()
        return to_batch(share, self.device, self.layout)
