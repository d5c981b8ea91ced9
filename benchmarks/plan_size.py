"""What a plan costs the driver: seconds, and bytes at its peak, by rows and kind.

python benchmarks/plan_size.py [--rows 1000000,10000000] [--output FILE]

A source of drawn names is planned in processes of their own, one after another; no picture is read or made. Seconds are
CPU seconds of the one thread that plans. Bytes are the growth of the process's resident peak from before the people are
there to the end: people, plan, and one shard in each hundred dealt.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from manifests.common.json_text import json_text, write_json
from manifests.format.soft_labels import ClassMap
from manifests.format.terms import Terms
from pipeline.common.settings import JobSettings, run_job
from pipeline.generators.recipes import find_recipe
from pipeline.generators.trained_set import SINGLE, GeneratorSet, Member
from pipeline.synthesis.people import PEOPLE_SCHEMA, People
from pipeline.synthesis.plan import SynthesisPlan, SynthesisSettings, make_plan
from pipeline.synthesis.plan_kinds import CameraSettings, PeopleSettings, PlanInputs, kind_of

PER_IDENTITY = 20
CAMERAS = tuple(range(1, 9))
Shape = Literal["cameras", "people"]


class Settings(JobSettings):
    """CPU seconds and bytes that a plan of so many rows costs."""

    rows: list[int] = Field([1_000_000, 10_000_000], description="rows to plan, one plan each")
    shapes: list[Shape] = Field(["cameras", "people"], description="what is planned: see `measure`")
    per_image: int = Field(14, ge=1, description="images for each source image and camera: 98 of an image by default")
    output: Path | None = Field(None, description="JSON file for the result")


def main(settings: Settings) -> None:
    plans: list[dict[str, Any]] = []
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} CPU cores, load {os.getloadavg()[0]:.1f} when it began",
        "plans": plans,
    }
    for rows, shape in product(settings.rows, settings.shapes):
        plans.append(alone(shape, rows, settings.per_image))
        print(json_text(plans[-1]), flush=True)
        if settings.output:
            write_json(settings.output, result, indent=1)


def alone(shape: Shape, rows: int, per_image: int) -> dict[str, Any]:
    """`measure` in a process of its own, whose peak is nobody else's."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (shape, rows, per_image))


def measure(shape: Shape, rows: int, per_image: int) -> dict[str, Any]:
    """One plan: images of people into every other of eight cameras, or people who do not exist."""
    before, started = peak(), time.process_time()
    plan = planned(shape, rows, per_image)
    spent, shards, started = time.process_time() - started, plan.shards, time.process_time()
    cut = [shards[number].num_rows for number in range(0, len(shards), 100)]
    dealt, started = (time.process_time() - started) / len(cut), time.process_time()
    named = shards[0].table()
    return {
        "shape": shape,
        "rows": plan.num_rows,
        "source_images": len(plan.samples.people),
        "shards": len(plan.shard_rows),
        "plan_cpu_seconds": round(spent, 1),
        "deal_one_shard_cpu_ms": round(1000 * dealt, 2),
        "cut_and_name_one_shard_cpu_ms": round(1000 * (time.process_time() - started), 2),
        "rows_of_it": named.num_rows,
        "grown_megabytes": round((peak() - before) / 1e6, 1),
        "whole_process_megabytes": round(peak() / 1e6, 1),
        "bytes_a_row": round((peak() - before) / plan.num_rows, 1),
    }


def planned(shape: Shape, rows: int, per_image: int = 14) -> SynthesisPlan:
    """A plan of about so many rows, whose source nobody has."""
    recipe = "camstyle_multidomain" if shape == "cameras" else "cgan"
    model = find_recipe(recipe)
    generators = GeneratorSet("drawn", model(), 64, 32, {SINGLE: Member("nowhere", "c" * 64)}, CAMERAS)
    asked: SynthesisSettings = PeopleSettings(images=rows)
    source = people(0)
    if shape == "cameras":
        asked = CameraSettings(per_image=per_image)
        source = people(-(-rows // (per_image * (len(CAMERAS) - 1))))
    samples = kind_of(asked).samples(PlanInputs("drawn", source, generators), asked)
    terms = {SINGLE: Terms.of("CC0-1.0", "shows nobody")}
    return make_plan(samples, asked, generators, ClassMap.of(source.identities), {}, terms)


def people(count: int) -> People:
    """So many images, `PER_IDENTITY` of each person, cameras in turn."""
    rng = np.random.default_rng(0)
    names = [f"{number:06d}" for number in range(-(-count // PER_IDENTITY))]
    numbers = np.arange(count, dtype=np.int32)
    words = {
        "identity": pa.DictionaryArray.from_arrays(pa.array(numbers // PER_IDENTITY), pa.array(names, pa.string())),
        **{name: same("drawn", count) for name in ("dataset_id", "licence", "consent_basis")},
        "split": same("train", count),
    }
    columns = {
        "image_id": random_hex(rng, count, 16),
        "image_sha256": random_hex(rng, count, 32),
        "camera": pa.array(numbers % len(CAMERAS) + 1),
        "file": pa.array(numbers // 1000),
        "row": pa.array(numbers % 1000),
        **words,
    }
    return People(pa.table({name: columns[name] for name in PEOPLE_SCHEMA.names}, schema=PEOPLE_SCHEMA))


def same(word: str, count: int) -> pa.Array[Any]:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([word]))


def random_hex(rng: np.random.Generator, count: int, size: int) -> pa.Array[Any]:
    """So many texts of ``2 * size`` hexadecimal digits."""
    text = rng.bytes(count * size).hex().encode()
    offsets = pa.py_buffer(np.arange(0, len(text) + 1, 2 * size, dtype=np.int32) if count else np.zeros(1, np.int32))
    return pa.Array.from_buffers(pa.string(), count, [None, offsets, pa.py_buffer(text)])


def peak() -> int:
    """The largest resident size of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    run_job(Settings, main)
