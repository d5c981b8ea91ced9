"""What recipes that train nothing have in common: a training of one step that does nothing, and pictures to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from manifests.format.schema import COMPOSITE
from pipeline.generators.recipes.base import Batch, Recipe, Size, StepContext, Terms
from pipeline.training.data import BatchSource, Columns, DomainData, evenly


class Untrained(Recipe):
    """Its one network is built of what is kept of the training sets."""

    players: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    exports: ClassVar[Mapping[str, str]] = {"generator": "generator"}
    label_rule = "lsr"
    source_type = COMPOSITE

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        return Shown(data, size)

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        return iter(())

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        return {"source": batch["source"], "generated": self.generate(networks["generator"], batch)}


class Shown:
    """Nothing to learn from, and some images to look at."""

    def __init__(self, data: Mapping[str, DomainData], size: Size) -> None:
        self._data, self._size = data, size

    def batch(self, step: int, size: int) -> Columns:
        return {}

    def shown(self, count: int) -> DomainData:
        """So many source images, at the size."""
        source = self._data["source"]
        return source.take(evenly(count, len(source))).resized(*self._size)

    def preview(self, count: int) -> Columns:
        shown = self.shown(count)
        numbers = np.arange(len(shown))
        masks = {} if shown.masks is None else {"person": shown.masks}
        return {"source": shown.images, "seed": numbers, "camera": numbers * 0, **masks}

    def digests(self) -> dict[str, str]:
        return {role: data.digest() for role, data in self._data.items()}
