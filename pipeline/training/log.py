"""What a training run shows: a progress line, loss curves and picture grids for TensorBoard and as PNG."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.common.images import RgbImage, draw_contact_sheet, encode
from pipeline.common.progress import Progress
from pipeline.common.tensors import to_uint8

LossTerms = dict[str, Tensor]
"""Weighted terms of a loss by name; the loss is their sum."""


class StepLog:
    """What a training tells of its steps; this one tells nothing."""

    def __init__(self) -> None:
        self.means: dict[str, float] = {}
        """Mean of each term over the steps between the last two lines that had it."""

    def add(self, step: int, terms: LossTerms, learning_rate: float) -> None:
        """``step`` steps are done now, the last with these loss ``terms``; the next has this ``learning_rate``."""

    def kept(self, step: int) -> None:
        """The state after ``step`` steps is kept."""

    def show(self, step: int, columns: Mapping[str, Tensor]) -> None:
        """Show pictures: one row a sample, one column a name."""

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        """Tell figures of quality."""

    def close(self) -> None:
        """Nothing comes any more."""


class ProgressLog(StepLog):
    """A progress line alone, which counts ``per_step`` for each step."""

    def __init__(self, progress: Progress, per_step: int = 1) -> None:
        super().__init__()
        self._progress, self._per_step = progress, per_step

    def add(self, step: int, terms: LossTerms, learning_rate: float) -> None:
        self._progress.advance(self._per_step)

    def close(self) -> None:
        self._progress.close()


class TrainingLog(StepLog):
    """Collects loss terms without waiting for the device, and writes their means now and then."""

    def __init__(
        self, output: Path, first_step: int, steps: int, settle: Callable[[], None], every_seconds: float = 10.0
    ) -> None:
        """``settle`` is called before anything is told: it raises where the last step was not finite."""
        super().__init__()
        if first_step:
            print(f"train: going on from step {first_step} of {steps}", flush=True)
        # Imported here: TensorBoard takes seconds, and only training needs it.
        from torch.utils.tensorboard import SummaryWriter

        self._samples = output / "samples"
        self._samples.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(output / "tensorboard"), purge_step=first_step)
        self._first, self._steps, self._every = first_step, steps, every_seconds
        self._settle = settle
        self._start = self._printed = time.monotonic()
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()

    def add(self, step: int, terms: LossTerms, learning_rate: float) -> None:
        """Count one step's terms (``step`` steps are done now); prints a line if the last one is old enough."""
        for name, value in terms.items():
            value = value.detach()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._counts.update(terms.keys())
        if time.monotonic() - self._printed >= self._every or step == self._steps:
            self._flush(step, learning_rate)

    def _flush(self, step: int, learning_rate: float) -> None:
        self._settle()
        self.means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, Counter()
        for name, mean in self.means.items():
            self._writer.add_scalar(f"loss/{name}", mean, step)
        self._writer.add_scalar("learning_rate", learning_rate, step)
        self._printed = time.monotonic()
        rate = (step - self._first) / (self._printed - self._start)
        left = timedelta(seconds=round((self._steps - step) / rate))
        losses = " ".join(f"{name} {mean:.3f}" for name, mean in self.means.items())
        told = f"train: {step}/{self._steps} steps, {rate:.2f}/s, {left} left"
        print(f"{told}, {losses}" if losses else told, flush=True)

    def show(self, step: int, columns: Mapping[str, Tensor]) -> None:
        """Write the picture grid: one row a sample, one column a name."""
        grid = draw_grid(columns)
        path = self._samples / f"step_{step:09d}.png"
        path.write_bytes(encode(grid, "png"))
        self._writer.add_image("samples", grid, step, dataformats="HWC")

    def measured(self, step: int, figures: Mapping[str, float]) -> None:
        """Print figures of quality and keep them as curves."""
        for name, value in figures.items():
            self._writer.add_scalar(f"quality/{name}", value, step)
        print(
            f"train: after {step} steps " + " ".join(f"{name} {value:.3f}" for name, value in figures.items()),
            flush=True,
        )

    def close(self) -> None:
        self._writer.close()


def draw_grid(columns: Mapping[str, Tensor]) -> RgbImage:
    """Images (N, 3, H, W) in [-1, 1] and masks (N, 1, H, W) in [0, 1] side by side, one row a sample."""
    drawn: list[RgbImage] = []
    for column in columns.values():
        if column.shape[1] == 1:
            column = (column.float() * 2 - 1).expand(-1, 3, -1, -1)
        drawn.append(to_uint8(column))
    rows = [[np.asarray(images[index]) for images in drawn] for index in range(len(drawn[0]))]
    return draw_contact_sheet(rows, cell_height=drawn[0].shape[1], cell_width=drawn[0].shape[2])


def total(terms: LossTerms) -> Tensor:
    """The sum of all terms."""
    return torch.stack([term.float() for term in terms.values()]).sum()
