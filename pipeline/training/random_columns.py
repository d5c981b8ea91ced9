"""The first draws of many generators of `pipeline.training.randomness`, in columns: each alone costs microseconds.

NumPy promises the streams of its `SeedSequence` (M. O'Neill's seed_seq) and `Philox` (4 x 64 bits, 10 rounds: Salmon,
Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011, section 3.3); both are computed here for all
keys together. Bounded numbers are made of them as NumPy does (Lemire, "Fast Random Integer Generation in an Interval",
TOMACS 2019); the tests hold all of it against NumPy's own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.training.randomness import random_generator

Words = NDArray[np.uint32]
Longs = NDArray[np.uint64]
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_POOL = 4
"""Words that a `SeedSequence` mixes."""


def first_draws(keys: NDArray[np.int64], lows: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, W): for each of ``keys`` (N,) what ``random_generator(key).integers(lows, count)`` draws, numbers from those
    of ``lows`` (W,) to below that of ``counts`` (N,), which is larger than all of them and below 2**32."""
    words = _philox(_spread(keys), -(-len(lows) // 8)).view(np.uint32)[:, : len(lows)].astype(np.uint64)
    sizes = (counts[:, None] - lows).astype(np.uint64)
    scaled = words * sizes
    drawn = (scaled >> _HALF).astype(np.int64) + lows
    # Where a draw would favour some numbers, NumPy takes the next, and others for all after it. That is rare.
    uneven = (scaled & _LOW) < (np.uint64(1 << 32) - sizes) % sizes
    for row in np.flatnonzero(uneven.any(axis=1)).tolist():
        drawn[row] = random_generator(int(keys[row])).integers(lows, counts[row])
    return drawn


def _spread(keys: NDArray[np.int64]) -> Longs:
    """(N, 2): the keys of Philox that a `SeedSequence` makes of each of ``keys`` (N,), which are not negative."""
    nothing = np.zeros(len(keys), np.uint32)
    hashed = _Hash(0x43B0D7E5, 0x931E8875)
    pool = [hashed(one) for one in (keys.astype(np.uint32), (keys >> 32).astype(np.uint32), nothing, nothing)]
    for source in range(_POOL):
        for place in range(_POOL):
            if place != source:
                mixed = pool[place] * np.uint32(0xCA01F9DD) - hashed(pool[source]) * np.uint32(0x4973F715)
                pool[place] = mixed ^ mixed >> np.uint32(16)
    hashed = _Hash(0x8B51F9DD, 0x58F38DED)
    return np.stack([hashed(one) for one in pool], axis=1).view(np.uint64)


class _Hash:
    """Hashes words (N,), each time with another constant."""

    def __init__(self, constant: int, factor: int) -> None:
        self._constant, self._factor = constant, factor

    def __call__(self, words: Words) -> Words:
        before, self._constant = self._constant, self._constant * self._factor & int(_LOW)
        words = (words ^ np.uint32(before)) * np.uint32(self._constant)
        return words ^ words >> np.uint32(16)


def _philox(keys: Longs, blocks: int) -> Longs:
    """(N, 4 * ``blocks``): the first numbers of the generators with these ``keys`` (N, 2)."""
    counter = np.broadcast_to(np.arange(1, blocks + 1, dtype=np.uint64), (len(keys), blocks))
    state = [counter, *(np.zeros_like(counter) for _ in range(3))]
    first, second = keys[:, :1], keys[:, 1:]
    for _ in range(10):
        high, low = _product(state[0], 0xD2E7470EE14C6C93)
        other_high, other_low = _product(state[2], 0xCA5A826395121157)
        state = [other_high ^ state[1] ^ first, other_low, high ^ state[3] ^ second, low]
        first, second = first + np.uint64(0x9E3779B97F4A7C15), second + np.uint64(0xBB67AE8584CAA73B)
    return np.stack(state, axis=-1).reshape(len(keys), 4 * blocks)


def _product(longs: Longs, factor: int) -> tuple[Longs, Longs]:
    """The upper and the lower 64 bits of each one times ``factor``."""
    above, below = longs >> _HALF, longs & _LOW
    factor_above, factor_below = np.uint64(factor >> 32), np.uint64(factor & int(_LOW))
    middle = above * factor_below + (below * factor_below >> _HALF)
    carried = below * factor_above + (middle & _LOW)
    return above * factor_above + (middle >> _HALF) + (carried >> _HALF), longs * np.uint64(factor)
