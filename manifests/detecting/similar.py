"""Copies of a picture that were encoded anew, resized or cut: found by a digest of what is seen, decided by pixels.

The digest has a bit for each of the 127 lowest cosine frequencies of brightness (16 down, 8 across, without the mean):
whether it is above their median (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010,
section 3.2.1). A picture that is at hand has one for each of 16 windows, with and without a tenth cut from each side,
so that a copy that lost its edges is near one of them. Nearness proposes; `difference` decides, in colour, with the
window moved until it fits best.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Window = tuple[float, float, float, float]
"""Top, bottom, left, right as shares of height and width: (0, 1, 0, 1) is the whole picture."""

LEAST_SIDE = 16
"""Of a smaller picture too little is left to tell."""
SAME = 8.0
"""Largest `difference` of a copy: between those of copies and of other pictures, as docs/marks.md has them measured."""
NEAR = 44
"""Bits of 127 in which a digest may differ from one whose picture is looked at; half of them do by chance."""
_HEIGHT, _WIDTH = 64, 32
_DOWN, _ACROSS = 16, 8
_CUTS = (0.0, 0.1)
WINDOWS: tuple[Window, ...] = tuple(
    (top, 1 - bottom, left, 1 - right) for top, bottom, left, right in itertools.product(_CUTS, repeat=4)
)
_STEPS = (0.05, 0.02, 0.01)
_MOST_CUT = 0.3


def _cosines(count: int, samples: int, start: float, end: float) -> NDArray[np.float32]:
    """``(count, samples)``: the lowest frequencies of the samples between two shares of the side."""
    place = (np.arange(samples) + 0.5) / samples
    sampled = np.clip((start + (end - start) * place) * samples - 0.5, 0, samples - 1)
    below = np.floor(sampled).astype(int)
    above = np.minimum(below + 1, samples - 1)
    taken = np.zeros((samples, samples))
    np.add.at(taken, (np.arange(samples), below), 1 - (sampled - below))
    np.add.at(taken, (np.arange(samples), above), sampled - below)
    waves: NDArray[np.float32] = (np.cos(np.pi * np.outer(np.arange(count), place)) @ taken).astype(np.float32)
    return waves


_BASES = [
    (_cosines(_DOWN, _HEIGHT, top, bottom), _cosines(_ACROSS, _WIDTH, left, right).T)
    for top, bottom, left, right in WINDOWS
]


def digests(picture: Pixels, windows: int = len(WINDOWS)) -> NDArray[np.uint64]:
    """``(windows, 2)``: digests of an ``(H, W, 3)`` picture, one for each of the first of `WINDOWS`."""
    grey = Image.fromarray(picture).convert("L").resize((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR)
    values = np.asarray(grey, np.float32)
    waves = np.stack([(down @ values @ across).ravel() for down, across in _BASES[:windows]])
    waves[:, 0] = np.median(waves[:, 1:], axis=1)
    above = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(np.uint64)


def nearest(digest: NDArray[np.uint64], known: NDArray[np.uint64], count: int = 8) -> list[tuple[int, int]]:
    """Places in ``known``, ``(pictures, windows, 2)``, of the ``count`` pictures that differ from a picture's digest
    ``(2,)`` in the fewest bits, at most `NEAR`, nearest first, and the window of each that does."""
    bits = np.bitwise_count(known ^ digest).sum(axis=2, dtype=np.uint16)
    least = bits.min(axis=1)
    places = np.argsort(least, kind="stable")[:count]
    return [(int(place), int(bits[place].argmin())) for place in places if least[place] <= NEAR]


def difference(picture: Pixels, known: Pixels, window: Window) -> float:
    """How far ``picture`` is from being a part of ``known``: root mean square of the differences of 64 x 32 pixels in
    RGB, 0 to 255, in the window that fits best, looked for from ``window`` on."""
    size = _WIDTH, _HEIGHT
    seen = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR), np.float32)
    whole = Image.fromarray(known)

    def at(edges: Window) -> float:
        top, bottom, left, right = edges
        if max(top, 1 - bottom, left, 1 - right) > _MOST_CUT or min(top, 1 - bottom, left, 1 - right) < 0:
            return np.inf
        box = left * known.shape[1], top * known.shape[0], right * known.shape[1], bottom * known.shape[0]
        part = np.asarray(whole.resize(size, Image.Resampling.BILINEAR, box), np.float32)
        return float(np.sqrt(np.mean((part - seen) ** 2)))

    best, edges = at(window), window
    for step in _STEPS:
        moved = True
        while moved:
            moved = False
            for trial in _neighbours(edges, step):
                if (value := at(trial)) < best:
                    best, edges, moved = value, trial, True
    return best


def _neighbours(edges: Window, step: float) -> list[Window]:
    """The window with one edge moved, or shifted by a step."""
    top, bottom, left, right = edges
    moves = [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (1, 1, 0, 0), (0, 0, 1, 1)]
    steps = [(sign * step, move) for move in moves for sign in (1, -1)]
    return [(top + by * t, bottom + by * b, left + by * m, right + by * r) for by, (t, b, m, r) in steps]
