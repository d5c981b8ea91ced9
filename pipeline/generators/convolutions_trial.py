"""The short trial that finds how this machine computes a generator's convolutions fastest.

Layout and arithmetic each decide about a third of a residual generator's speed on a processor, and which pays depends
on the processor, the size and width of the network and the precision. So it is tried, once a machine; what was found
stands in the settings of the plan, where all of its workers and a rerun read it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from manifests.common.json_text import json_text, write_json
from pipeline.checkpoints import cache_folder
from pipeline.common.devices import shapes_alone, threads_kept
from pipeline.common.environment import environment
from pipeline.common.precision import Precision
from pipeline.generators.convolutions import WAYS, Convolutions
from pipeline.generators.networks.arranged import is_residual, untried
from pipeline.generators.trained import Generator
from pipeline.generators.trained_set import GeneratorSet
from pipeline.measures.images import peak_signal_to_noise

LEAST_ROWS = 2_000
"""For fewer a trial costs about as much as it saves."""
LEAST_PSNR = 42.0
"""In dB, of a picture against the same generator's in float32: what is further off is not worth its speed."""
HELD = 4
"""Generators of a set, spread over it, whose pictures are held against `LEAST_PSNR`. How far noise is amplified depends
on the weights, so one cannot speak for all; but each costs 1.4 s of CPU at 128 x 64, and eight cameras have 56."""
_ENOUGH_SECONDS = 1.0
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class ConvolutionsTrial:
    """What is asked: of these generators, which are of one form, at this size, precision and batch."""

    generators: GeneratorSet
    size: tuple[int, int]
    precision: Precision
    batch_size: int
    threads: int
    """Of a worker."""

    def choose(self, rows: int, pictures: Callable[[], Pictures]) -> Convolutions:
        """For ``rows`` images to be made; ``pictures`` (N, H, W, 3) at this size are what they are like.

        The answer is kept beside the fetched checkpoints and holds as long as libraries and instruction set are the
        same.
        """
        known = self.known(rows)
        if known is not None:
            return known
        with threads_kept():
            torch.set_num_threads(self.threads)
            return _kept(self._question(), self.rates(pictures()))

    def known(self, rows: int) -> Convolutions | None:
        """The same without a trial, which writes nothing; None where one is due: there are `LEAST_ROWS`, the network
        has residual blocks, and no answer is kept."""
        with shapes_alone():
            network = self.generators.recipe.build_generator(self.size)
        if rows < LEAST_ROWS or not is_residual(network):
            return untried(network, self.size)
        return _remembered(self._question())

    def rates(self, pictures: Pictures) -> dict[Convolutions, float]:
        """Images a second by what was tried; without winograd where it is below `LEAST_PSNR`."""
        found: dict[Convolutions, float] = {}
        for convolutions in WAYS:
            generator = self._load(self._held[0], convolutions, self.precision)
            if generator.convolutions != convolutions:
                continue  # no block of it is wide enough
            if convolutions != "winograd" or all(self._likeness(one, pictures) >= LEAST_PSNR for one in self._held):
                batch = np.resize(pictures, (generator.at_a_time, *pictures.shape[1:]))
                found[convolutions] = round(images_a_second(generator, _columns(generator, batch)), 2)
        return found

    def _likeness(self, member: str, pictures: Pictures) -> float:
        """PSNR in dB of what ``member`` makes of ``pictures`` by winograd against plain float32, of the one furthest
        off."""
        fast, exact = self._load(member, "winograd", self.precision), self._load(member, "planar", "float32")
        made, expected = (one.generate(_columns(one, pictures)) for one in (fast, exact))
        return min(map(peak_signal_to_noise, made, expected))

    def _load(self, member: str, convolutions: Convolutions, precision: Precision) -> Generator:
        return self.generators.load(member, "cpu", precision, self.batch_size, convolutions)

    @property
    def _held(self) -> list[str]:
        """Names of the generators that are looked at: the first, whose speed is everyone's, and up to `HELD` in all."""
        names = list(self.generators.members)
        return [names[place] for place in np.unique(np.linspace(0, len(names) - 1, HELD).round().astype(int))]

    def _question(self) -> dict[str, Any]:
        found = environment("cpu", self.threads)
        return {
            **{name: found[name] for name in ("fingerprint", "version")},
            "generator": " ".join(self.generators.members[name].sha256 for name in self._held),
            "size": self.size,
            "precision": self.precision,
            "batch_size": self.batch_size,
        }


def _answer_path(question: Mapping[str, Any]) -> Path:
    """Where the answer lies, or will lie."""
    digest = hashlib.sha256(json_text(question, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder().parent / "trials" / f"convolutions-{digest}.json"


def _remembered(question: Mapping[str, Any]) -> Convolutions | None:
    """The answer to ``question`` that lies here, or None."""
    try:
        kept = json.loads(_answer_path(question).read_bytes())["fastest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if kept not in WAYS:
        return None
    print(f"convolutions: {kept} (found in a trial before)", flush=True)
    return kept


def _kept(question: Mapping[str, Any], tried: Mapping[Convolutions, float]) -> Convolutions:
    """The fastest by the rates of what was ``tried``, which is put where it answers ``question`` again."""
    path = _answer_path(question)
    fastest: Convolutions = max(tried, key=tried.__getitem__)
    told = ", ".join(f"{name} {rate:g}" for name, rate in tried.items())
    print(f"convolutions: {fastest} ({told} images a second in a trial)", flush=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"fastest": fastest, "images_a_second": tried, "question": question})
    except OSError as error:
        reason = error.strerror or error
        said = f"warning: not kept ({path.parent}: {reason}); a rerun needs --convolutions {fastest}"
        print(said, file=sys.stderr, flush=True)
    return fastest


def images_a_second(generator: Generator, columns: Mapping[str, NDArray[Any]]) -> float:
    """Of the fastest of several batches; the first, in which libraries prepare themselves, does not count."""
    rows = len(next(iter(columns.values())))
    generator.attempt(columns)
    seconds: list[float] = []
    while sum(seconds) < _ENOUGH_SECONDS or len(seconds) < 2:
        started = time.perf_counter()
        generator.attempt(columns)
        seconds.append(time.perf_counter() - started)
    return rows / min(seconds)


def _columns(generator: Generator, pictures: Pictures) -> dict[str, NDArray[Any]]:
    """What a generator of residual blocks reads: pictures, and numbers of cameras."""
    numbers = np.zeros(len(pictures), np.int64)
    return {name: pictures if name in {"source", "skeleton"} else numbers for name in generator.inputs}
