"""Which images a step sees, real and generated, and what each of them weighs.

A real image weighs one over the number of those that share its mean: the whole batch of one pool, the M real ones of
two means. What generated ones weigh never changes that: the loss is a sum, and is not divided by its weights.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.reid.batches import Draw, Order
from pipeline.reid.mixing.settings import MixSettings


class TwoMeans:
    """M real images, which together weigh 1, then N generated ones.

    Without a weight in ``mix`` they together weigh 1 too, as CamStyle adds the two means: each counts M / N real ones.
    With one each counts as a real one, 1 / M, for `Weighed` to go on from.
    """

    def __init__(self, real: Order, synthetic: Order, mix: MixSettings) -> None:
        self._real, self._synthetic, self._mix = real, synthetic, mix

    def check(self, size: int, workers: int = 1) -> None:
        """As `pipeline.reid.batches.Order.check`."""
        counts = self.counts(size)
        self._real.check(counts[0])
        for kind, count in zip(("real", "generated"), counts, strict=True):
            share = f"{count} {kind} images of a batch"
            if count % workers and self._mix.synthetic_batch == "additive":
                raise UserError(f"{share} cannot be shared by {workers} workers: take another --real-to-synthetic")
            if self._mix.synthetic_norm == "apart" and (count % workers or count < 2 * workers):
                raise UserError(
                    f"--synthetic-norm apart: {share} for {workers} workers, of which each needs as many, and two or "
                    "more: take another --batch-size or --real-to-synthetic"
                )

    def counts(self, size: int) -> tuple[int, int]:
        """M and N for this ``--batch-size``, at least one of either kind."""
        if self._mix.synthetic_batch == "additive":
            return size, max(round(size / self._mix.ratio), 1)
        generated = min(max(round(size / (1 + self._mix.ratio)), 1), size - 1)
        return size - generated, generated

    def draw(self, step: int, size: int) -> Draw:
        """As `pipeline.reid.batches.Order.draw`."""
        counts = self.counts(size)
        real, synthetic = self._real.draw(step, counts[0]), self._synthetic.draw(step, counts[1])
        rows = np.concatenate([real.rows, synthetic.rows])
        if self._mix.weight is None:
            return Draw(rows, np.concatenate([real.weights, synthetic.weights]))
        return Draw(rows, np.full(len(rows), 1 / counts[0], np.float32))


class Weighed:
    """Another order, each image times its own weight."""

    def __init__(self, order: Order, weights: NDArray[np.float32]) -> None:
        """``weights`` (N,) of all images there are."""
        self._order, self._weights = order, weights

    def check(self, size: int, workers: int = 1) -> None:
        """As `pipeline.reid.batches.Order.check`."""
        self._order.check(size, workers)

    def draw(self, step: int, size: int) -> Draw:
        """As `pipeline.reid.batches.Order.draw`."""
        rows, weights = self._order.draw(step, size)
        return Draw(rows, weights * self._weights[rows])


class Staged:
    """One order after another."""

    def __init__(self, ends: Sequence[int], orders: Sequence[Order]) -> None:
        """Each of ``orders`` holds up to (not with) the step at its place in ``ends``, ascending."""
        self._ends, self._orders = ends, orders

    def check(self, size: int, workers: int = 1) -> None:
        """As `pipeline.reid.batches.Order.check`."""
        for first, order in zip((0, *self._ends), self._orders, strict=True):
            try:
                order.check(size, workers)
            except UserError as error:
                raise UserError(f"in the stage from step {first} on: {error}") from None

    def draw(self, step: int, size: int) -> Draw:
        """As `pipeline.reid.batches.Order.draw`."""
        return self._orders[bisect_right(self._ends, step)].draw(step, size)
