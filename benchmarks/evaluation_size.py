"""What an evaluation of MSMT17's size costs: memory, and time against the bare matrix products.

python benchmarks/evaluation_size.py [--queries 11659] [--gallery 82161] [--features 512] [--rerank]

Random features of MSMT17's numbers of people and cameras. Each part runs in a process of its own, so that its peak of
memory is its own; the features alone are the floor. With --rerank the k-reciprocal re-ranking too, which compares all
images with all others and is held against those products. Ratios are of CPU time: others may be at work here.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from manifests.common.json_text import json_text
from pipeline.common.settings import JobSettings, run_job
from pipeline.reid.evaluation import Features, Numbers, measure, similarities
from pipeline.reid.reranking import reranked

PEOPLE, CAMERAS, CHUNK = 3060, 15, 64
People = tuple[Features, Numbers, Numbers]


class Settings(JobSettings):
    """Memory and time of the evaluation of random features."""

    queries: int = Field(11_659, ge=1, description="images (11,659: MSMT17)")
    gallery: int = Field(82_161, ge=100, description="images (82,161: MSMT17)")
    features: int = Field(512, ge=1, description="numbers in a feature")
    rerank: bool = Field(False, description="k-reciprocal re-ranking too")
    output: Path | None = Field(None, description="JSON file for the result")


def main(settings: Settings) -> None:
    parts = {"features": features_alone, "products": products, "evaluation": evaluation}
    if settings.rerank:
        parts |= {"all products": all_products, "re-ranked evaluation": reranked_evaluation}
    load = os.getloadavg()[0]
    found = {name: in_own_process(part, settings) for name, part in parts.items()}
    ratios = {"evaluation to products": ratio(found, "evaluation", "products")}
    if settings.rerank:
        ratios["re-ranked evaluation to all products"] = ratio(found, "re-ranked evaluation", "all products")
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} CPU cores, load {load:.1f} when it began",
        "settings": settings.model_dump(mode="json", exclude={"output"}),
        "parts": found,
        "ratio": ratios,
    }
    text = json_text(result, indent=1)
    print(text)
    if settings.output:
        settings.output.write_text(text + "\n", encoding="utf-8")


def ratio(found: dict[str, dict[str, float]], part: str, bare: str) -> float:
    return round(found[part]["cpu_seconds"] / found[bare]["cpu_seconds"], 2)


def in_own_process(part: Callable[[People, People], Any], settings: Settings) -> dict[str, float]:
    """Seconds and peak memory of ``part``; the making of the features counts for memory alone."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measured, (part, settings))


def measured(part: Callable[[People, People], Any], settings: Settings) -> dict[str, float]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((PEOPLE, settings.features), np.float32)
    query, gallery = (people(rng, centres, count) for count in (settings.queries, settings.gallery))
    wall, cpu = time.perf_counter(), time.process_time()
    part(query, gallery)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": round(wall, 2), "cpu_seconds": round(cpu, 2), "peak_gib": round(peak, 2)}


def people(rng: np.random.Generator, centres: Features, count: int) -> People:
    identities = rng.integers(0, PEOPLE, count)
    features = rng.standard_normal((count, centres.shape[1]), np.float32)
    for start in range(0, count, 1024):
        part = features[start : start + 1024]
        part += centres[identities[start : start + 1024]]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return features, identities + 1, rng.integers(1, CAMERAS + 1, count)


def features_alone(query: People, gallery: People) -> None:
    """What every part has in memory."""


def products(query: People, gallery: People) -> None:
    deque(similarities(query[0], gallery[0], CHUNK), maxlen=0)


def evaluation(query: People, gallery: People) -> None:
    measure(similarities(query[0], gallery[0], CHUNK), *query[1:], *gallery[1:])


def all_products(query: People, gallery: People) -> None:
    features = np.concatenate([query[0], gallery[0]])
    deque(similarities(features, features, CHUNK), maxlen=0)


def reranked_evaluation(query: People, gallery: People) -> None:
    measure(reranked(query[0], gallery[0]), *query[1:], *gallery[1:])


if __name__ == "__main__":
    run_job(Settings, main)
