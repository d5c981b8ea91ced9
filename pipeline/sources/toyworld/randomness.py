"""Random numbers that depend on names only: never on the order of calls or on the number of processes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np


def generator(*key: int | str) -> np.random.Generator:
    """The generator that belongs to ``key``; equal keys give equal streams on every machine."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part & 0xFFFFFFFF for part in key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def choose(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """One key of ``weights``, with probability in proportion to its weight."""
    names = list(weights)
    total = np.cumsum([weights[name] for name in names])
    return names[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]
