"""Images a second of the toy world, with one process and with two, places included and without.

python benchmarks/toyworld_speed.py [--identities N] [--height H] [--width W]
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import cv2

from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld, render_sample


def cpu_seconds() -> float:
    """CPU time of this process and of its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in usage)


def measure_drawing(settings: ToyWorldSettings) -> None:
    """One process, in memory, once the places stand: drawing, sensor and JPEG alone."""
    jobs = [(who, camera, draw) for camera in range(1, 7) for who in range(1, 17) for draw in range(3)]
    for camera in range(1, 7):
        render_sample(settings, "market-like", 1, camera, 99)
    wall, cpu = time.perf_counter(), time.process_time()
    for who, camera, draw in jobs:
        render_sample(settings, "market-like", who, camera, draw)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"drawing alone, 1 process: {len(jobs) / wall:.0f} images a second, {1e3 * cpu / len(jobs):.1f} CPU ms an image"
    )


def measure_world(settings: ToyWorldSettings, workers: int) -> None:
    """Everything: start of the processes, places, drawing, files, ground truth."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), cpu_seconds()
        record = make_toyworld(settings, Path(folder) / "world", workers=workers, progress=lambda done, total: None)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    images = sum(counts[split] for counts in record["counts"].values() for split in ("train", "query", "gallery"))
    print(
        f"whole world, {workers} process{'es' if workers > 1 else ''}: {images} images in {wall:.1f} s = "
        f"{images / wall:.0f} a second, {1e3 * cpu / images:.1f} CPU ms an image"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identities", type=int, default=120)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    settings = ToyWorldSettings(identities=chosen.identities, seed=1, height=chosen.height, width=chosen.width)
    load = os.getloadavg()[0]
    print(f"{settings.height} x {settings.width}, load {load:.1f} on {len(os.sched_getaffinity(0))} CPUs")
    measure_drawing(settings)
    for workers in (1, 2):
        measure_world(settings, workers)


if __name__ == "__main__":
    main()
