"""What JPEG encoders and qualities cost and keep: decibels, bytes and time, each beside the first of the list.

python benchmarks/jpeg_encoders.py

The pictures are drawn people enlarged by cubic interpolation to 256 x 128 and what the shipped generator makes of them
at its own size: neither has the grid of an earlier JPEG of that size. All variants see the same pictures in the same
run, by turns; time is the fastest round's.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image
from pydantic import Field

from manifests.common.json_text import json_text
from pipeline.common.environment import environment
from pipeline.common.images import RgbImage, decode, resize
from pipeline.common.settings import JobSettings, run_job
from pipeline.generators.trained import load_generator
from pipeline.measures.images import peak_signal_to_noise
from pipeline.sources.toyworld import ToyWorldSettings, render_sample

Encoder = Callable[[RgbImage], bytes]
_OPENCV_444 = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


class Settings(JobSettings):
    """Compare JPEG encoders on pictures that were never JPEG at their size."""

    people: int = Field(default=40, ge=1)
    rounds: int = Field(default=5, ge=1)
    results: Path = Field(default=Path(__file__).parent / "results" / "jpeg_encoders.json")


def main(settings: Settings) -> int:
    """Measure, print a table for each kind of picture, write the figures."""
    cv2.setNumThreads(1)
    figures = {}
    for kind, pictures in _pictures(settings.people):
        figures[kind] = _measured(pictures, settings.rounds)
        print(f"{kind}, {len(pictures)} pictures of {pictures[0].shape[0]} x {pictures[0].shape[1]}")
        for name, one in figures[kind].items():
            print("  " + ", ".join([f"{name:<28}", *(f"{what} {value}" for what, value in one.items())]), flush=True)
    record = {"settings": settings.model_dump(mode="json", exclude={"results"}), "figures": figures}
    settings.results.parent.mkdir(parents=True, exist_ok=True)
    settings.results.write_text(json_text({**record, "environment": environment()}, indent=2) + "\n", encoding="utf-8")
    return 0


def _encoders() -> dict[str, Encoder]:
    """By name; the first is the default of before."""
    return {
        "simplejpeg 95": lambda image: _simplejpeg(image, 95),
        "simplejpeg 95, fastdct=False": lambda image: _simplejpeg(image, 95, fast=False),
        "simplejpeg 94": lambda image: _simplejpeg(image, 94),
        "simplejpeg 96": lambda image: _simplejpeg(image, 96),
        "OpenCV 95": lambda image: _opencv(image, 95),
        "OpenCV 95, tables": lambda image: _opencv(image, 95, cv2.IMWRITE_JPEG_OPTIMIZE, 1),
        "Pillow 95": _pillow,
    }


def _simplejpeg(image: RgbImage, quality: int, fast: bool = True) -> bytes:
    return simplejpeg.encode_jpeg(image, quality=quality, colorspace="RGB", colorsubsampling="444", fastdct=fast)


def _opencv(image: RgbImage, quality: int, *flags: int) -> bytes:
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality, *_OPENCV_444, *flags])[1])


def _pillow(image: RgbImage) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def _pictures(people: int) -> Iterator[tuple[str, list[RgbImage]]]:
    world = ToyWorldSettings(identities=people, seed=1)
    drawn = [render_sample(world, "market-like", who + 1, who % 6 + 1, 0).image for who in range(people)]
    yield "drawn and enlarged", [resize(image, 256, 128) for image in drawn]
    generator = load_generator("ptgan_market_like_to_duke_like", precision="float32")
    yield "generated", list(generator.translate(np.stack(drawn)))


def _measured(pictures: list[RgbImage], rounds: int) -> dict[str, dict[str, float]]:
    """Of each encoder: mean decibels, and bytes and time as ratios to the first."""
    encoders = _encoders()
    seconds = dict.fromkeys(encoders, float("inf"))
    for _ in range(rounds):
        for name, encoder in encoders.items():
            started = time.perf_counter()
            for image in pictures:
                encoder(image)
            seconds[name] = min(seconds[name], time.perf_counter() - started)
    found: dict[str, dict[str, float]] = {}
    sizes: dict[str, int] = {}
    first = next(iter(encoders))
    for name, encoder in encoders.items():
        files = [encoder(image) for image in pictures]
        sizes[name] = sum(map(len, files))
        pairs = zip(pictures, map(decode, files), strict=True)
        decibels = np.mean([peak_signal_to_noise(image, again) for image, again in pairs])
        found[name] = {
            "dB": round(float(decibels), 2),
            "bytes": round(sizes[name] / sizes[first], 3),
            "time": round(seconds[name] / seconds[first], 2),
        }
    return found


if __name__ == "__main__":
    run_job(Settings, main)
