"""How surely `detect` knows a copy of a generated picture, and what else it takes for one.

python benchmarks/detection.py --photographs FOLDER

1,000 pictures that the shipped generator makes of drawn people are at hand. Asked are copies of each by five
distortions, and, as false alarms: 1,000 other pictures of the same generator (other drawn people), the drawn images
that the 1,000 were made from, and, where FOLDER names some, photographs. Written is how many copies are found, as
whose, and the differences in between which the threshold lies.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from manifests.common.json_text import json_text
from manifests.common.pictures import decode_picture
from manifests.detecting.similar import LEAST_SIDE, SAME, WINDOWS, difference, digests, nearest
from pipeline.common.environment import environment
from pipeline.common.images import RgbImage
from pipeline.common.settings import JobSettings, run_job
from pipeline.generators.trained import load_generator
from pipeline.sources.toyworld import ToyWorldSettings, render_sample

_CAMERAS = 6
_BATCH = 50
Distortion = Callable[[RgbImage, np.random.Generator], RgbImage]


class Settings(JobSettings):
    """Measure recall and false alarms of `detect`."""

    pictures: int = Field(default=1000, ge=10)
    photographs: Path | None = None
    results: Path = Field(default=Path(__file__).parent / "results" / "detection.json")


def main(settings: Settings) -> int:
    """Measure, print a line for each distortion and each kind of other pictures, write the figures."""
    drawn, generated = _pictures(2 * settings.pictures)
    known, others = generated[: settings.pictures], generated[settings.pictures :]
    started = time.perf_counter()
    index = np.stack([digests(picture) for picture in known])
    figures: dict[str, Any] = {"ms a digest": round((time.perf_counter() - started) / len(known) * 1000, 2)}
    for name, distort in _DISTORTIONS.items():
        draws = np.random.Generator(np.random.Philox(7))
        figures[name] = _recall([distort(picture, draws) for picture in known], known, index)
        print(f"{name}: {figures[name]}", flush=True)
    for name, pictures in _strangers(others, drawn[: settings.pictures], settings.photographs):
        figures[name] = _alarms(pictures, known, index)
        print(f"{name}: {figures[name]}", flush=True)
    record = {"pictures": settings.pictures, "threshold": SAME, "figures": figures, "environment": environment()}
    settings.results.parent.mkdir(parents=True, exist_ok=True)
    settings.results.write_text(json_text(record, indent=2) + "\n", encoding="utf-8")
    return 0


def _pictures(count: int) -> tuple[list[RgbImage], list[RgbImage]]:
    """Drawn people, each by six cameras, and what the shipped generator makes of them."""
    people = -(-count // _CAMERAS)
    world = ToyWorldSettings(identities=people, seed=1)
    seen = [(who, camera) for who in range(1, people + 1) for camera in range(1, _CAMERAS + 1)][:count]
    drawn = [render_sample(world, "market-like", who, camera, 0).image for who, camera in seen]
    generator = load_generator("ptgan_market_like_to_duke_like", precision="float32")
    made = [generator.translate(np.stack(drawn[start : start + _BATCH])) for start in range(0, count, _BATCH)]
    return drawn, [picture for batch in made for picture in batch]


def _strangers(
    others: list[RgbImage], drawn: list[RgbImage], photographs: Path | None
) -> Iterator[tuple[str, list[RgbImage]]]:
    yield "other generated pictures", others
    yield "the pictures that they were made from", drawn
    if photographs is not None:
        files = sorted(path for path in photographs.rglob("*") if path.suffix in (".jpg", ".png"))
        photos = [decode_picture(path.read_bytes()) for path in files]
        yield "photographs", [photo for photo in photos if min(photo.shape[:2]) >= LEAST_SIDE]


def _encoded(picture: RgbImage, image_format: str, quality: int) -> RgbImage:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, image_format, quality=quality)
    return decode_picture(stream.getvalue())


def _resized(picture: RgbImage, height: int, width: int) -> RgbImage:
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def _cut(picture: RgbImage, share: float, draws: np.random.Generator) -> RgbImage:
    """Without that share of height and of width, as much of it on either side as is drawn."""
    height, width = (round(size * share) for size in picture.shape[:2])
    top, left = int(draws.integers(height + 1)), int(draws.integers(width + 1))
    return picture[top : picture.shape[0] - height + top, left : picture.shape[1] - width + left]


_DISTORTIONS: dict[str, Distortion] = {
    "JPEG 50": lambda picture, _: _encoded(picture, "JPEG", 50),
    "WebP 50": lambda picture, _: _encoded(picture, "WEBP", 50),
    "half the size": lambda picture, _: _resized(picture, 64, 32),
    "256 x 128, JPEG 75": lambda picture, _: _encoded(_resized(picture, 256, 128), "JPEG", 75),
    "cut by 10%, JPEG 75": lambda picture, draws: _encoded(_cut(picture, 0.1, draws), "JPEG", 75),
    "cut by 20%, JPEG 75": lambda picture, draws: _encoded(_cut(picture, 0.2, draws), "JPEG", 75),
}
"""The five that `detect` is for, and a sixth beyond it."""


def _recall(copies: Sequence[RgbImage], known: list[RgbImage], index: Any) -> dict[str, float]:
    started = time.perf_counter()
    found = [_nearest(copy, known, index) for copy in copies]
    taken = (time.perf_counter() - started) / len(copies)
    same = [far <= SAME for far, _ in found]
    right = [far for number, (far, place) in enumerate(found) if place == number]
    return {
        "found": round(float(np.mean(same)), 4),
        "as whose it is": round(float(np.mean([far <= SAME and n == m for n, (far, m) in enumerate(found)])), 4),
        "largest difference of 99%": round(float(np.quantile(right, 0.99)), 2),
        "ms a picture": round(taken * 1000, 1),
    }


def _alarms(pictures: Sequence[RgbImage], known: list[RgbImage], index: Any) -> dict[str, float]:
    far = [_nearest(picture, known, index, stop=False)[0] for picture in pictures]
    return {
        "pictures": len(pictures),
        "false alarms": int(np.sum(np.array(far) <= SAME)),
        "least difference": round(float(np.min(far)), 2),
    }


def _nearest(picture: RgbImage, known: list[RgbImage], index: Any, stop: bool = True) -> tuple[float, int]:
    """Difference and place of the known picture that `detect` would name, or else of the least of those it looks at."""
    best = (float("inf"), -1)
    for place, window in nearest(digests(picture, 1)[0], index):
        best = min(best, (difference(picture, known[place], WINDOWS[window]), place))
        if stop and best[0] <= SAME:
            break
    return best


if __name__ == "__main__":
    run_job(Settings, main)
