"""What a synthesis costs around its generator: CPU time an image by part, and how much of it a generator's time hides.

git worktree add ../before d5f73a7
python benchmarks/worker_speed.py --old ../before

Drawn people with their true masks and joints, restyled by a generator that gives back what it is given and costs
nothing: what is left is all that stands around one. Then it sleeps as long as a GPU would compute, and the worker's
rate is held against the lesser of the generator's own and what the cores could do. An older checkout is measured in
turn with this one; of each figure the best round counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from numpy.typing import NDArray
from pydantic import Field

from manifests.common.json_text import json_text
from manifests.errors import UserError
from manifests.format.schema import ANNOTATION_SCHEMA, TRAINED_ALGORITHMIC_MEDIA
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from pipeline.cluster.synthesize import Synthesis, prepare_synthesis
from pipeline.common.environment import environment
from pipeline.common.images import pixel_sha256, sha256
from pipeline.common.settings import JobSettings, run_job
from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings
from pipeline.generators.trained import save_generator
from pipeline.sources.ingest import ingest, make_plan
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.reading import Provenance
from pipeline.sources.toyworld import ToyWorldSettings, make_toyworld
from pipeline.synthesis.plan_kinds import TranslationSettings
from pipeline.synthesis.worker import SynthesisWorker

HERE = Path(__file__).resolve().parents[1]
GPU_SECONDS = 0.17e-3
"""An image of 256 x 128 on an H100, as 49.55 GFLOP are to half of its peak in bf16 with room for copies."""
Columns = Mapping[str, NDArray[Any]]


class Settings(JobSettings):
    """CPU time of a synthesis around its generator, an image and by part, and what overlaps."""

    old: Path | None = Field(None, description="an older checkout to be measured in turn with this one")
    height: int = Field(256, ge=16, multiple_of=4, description="of the images, pixels")
    width: int = Field(128, ge=16, multiple_of=4, description="of the images, pixels")
    identities: int = Field(64, ge=2, description="people drawn, 15 images each")
    shard_size: int = Field(1000, ge=1, description="images in a shard")
    rounds: int = Field(5, ge=1, description="repetitions, in turn")
    threads: list[int] = Field([1, 2], description="cores that the sleeping generator's worker is given, by turns")
    folder: Path = Field(Path("runs/worker-speed"), description="where the drawn people lie or are made")
    results: Path = Field(Path(__file__).parent / "results" / "worker_speed.json", description="JSON file")
    inside: bool = Field(False, description="measure once, here, and print it: how this script calls itself")


@dataclass(frozen=True)
class Asleep:
    """Images that are there at a time."""

    images: NDArray[np.uint8]
    until: float

    def result(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        time.sleep(max(0.0, self.until - time.perf_counter()))
        return self.images, np.ones(len(self.images), np.bool_)


@dataclass(frozen=True)
class FreeGenerator:
    """Gives back its source images, after as long as a device would need: it sleeps without the interpreter's lock."""

    sha256: str
    seconds: float = 0.0
    name: str = "free"
    recipe: str = "ptgan"
    source_type: str = TRAINED_ALGORITHMIC_MEDIA
    free_at: list[float] = field(default_factory=lambda: [0.0])
    """When it is through with each batch that it was given: one after the other, as a device is."""

    def attempt(self, columns: Columns) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """As older checkouts ask."""
        return self.begin(columns).result()

    def begin(self, columns: Columns) -> Asleep:
        images = columns["source"]
        until = max(self.free_at[-1], time.perf_counter()) + self.seconds * len(images)
        self.free_at.append(until)
        return Asleep(images, until)


@dataclass(frozen=True)
class Counted:
    """What a device counted of some pairs of images, there at once."""

    pairs: int

    def array(self) -> NDArray[np.int64]:
        return np.ones((self.pairs, 18), np.int64)


class BesideADevice(SynthesisWorker):
    """A worker whose device has counted what scores are told from: what they are is not looked at here."""

    def _begin(self, generator: Any, batch: Any) -> Any:
        batch = super()._begin(generator, batch)
        batch.counting = Counted(len(batch.views))
        return batch


def main(settings: Settings) -> None:
    if settings.inside:
        print(json_text(measure(settings)))
        return
    checkouts = {"new": HERE} | ({"old": settings.old.resolve()} if settings.old is not None else {})
    inputs(settings)  # drawn once, untimed
    found: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for _ in range(settings.rounds):
        for name, checkout in checkouts.items():
            found[name].append(measured_in(checkout, settings))
    best = {name: {key: min(one[key] for one in rounds) for key in rounds[0]} for name, rounds in found.items()}
    record = {
        "settings": settings.model_dump(mode="json", exclude={"results", "old", "inside", "folder"}),
        "microseconds_an_image": best,
        "cpu_over_least": {
            name: min(round(one["cpu"] / one["least"], 2) for one in rounds) for name, rounds in found.items()
        },
        "share_of_bound": {name: shares(rounds) for name, rounds in found.items()},
        "load": os.getloadavg()[0],
        "environment": environment(),
    }
    if "old" in best:
        shared = [key for key, value in best["new"].items() if value and key in best["old"]]
        record["old_to_new"] = {key: round(best["old"][key] / best["new"][key], 2) for key in shared}
    write(settings, record)


def shares(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How near to its bound the worker came beside a sleeping generator, by cores; the best round's."""
    bound, beside = "bound, ", "beside a generator, "
    names = [name.removeprefix(bound) for name in rounds[0] if name.startswith(bound)]
    return {name: max(round(one[bound + name] / one[beside + name], 3) for one in rounds) for name in names}


def write(settings: Settings, record: Mapping[str, Any]) -> None:
    """Add the figures to the results under their size, and print them."""
    size = f"{settings.height} x {settings.width}"
    for name, parts in record["microseconds_an_image"].items():
        print(f"{size}, {name}: " + ", ".join(f"{part} {value:.0f}" for part, value in parts.items()))
    print(f"  cpu over the least: {record['cpu_over_least']}")
    print(f"  share of the bound: {record['share_of_bound']}, old to new: {record.get('old_to_new')}")
    known = json.loads(settings.results.read_text()) if settings.results.is_file() else {}
    settings.results.write_text(json_text(known | {size: record}, indent=2) + "\n", encoding="utf-8")


def measured_in(checkout: Path, settings: Settings) -> dict[str, float]:
    """The figures of one round, taken by this very script with the code of ``checkout``.

    Raises:
        UserError: it fails there.
    """
    sizes = settings.model_dump(mode="json", include={"height", "width", "identities", "shard_size"})
    flags = [part for name, value in sizes.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, __file__, "--inside", "--folder", str(settings.folder.resolve()), *flags]
    command += [part for count in settings.threads for part in ("--threads", str(count))]
    done = subprocess.run(
        command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"{checkout} cannot be measured: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure(settings: Settings) -> dict[str, float]:
    """Microseconds an image: CPU of all, wall by the worker's parts, CPU of what cannot be left out; and wall beside a
    generator that sleeps, with the least that the generator or the cores allow in that very run."""
    cv2.setNumThreads(1)
    job = synthesis(settings)
    run_shards(job, 0.0, 1)  # kernels are chosen, files are in the page cache
    figures: dict[str, float] = {}
    cpu, _, parts = run_shards(job, 0.0, 1)
    known = least(job)
    figures |= {"cpu": cpu, **parts, **known, "least": sum(known.values())}
    figures["cpu, scores counted by a device"], _, _ = run_shards(job, 0.0, 1, BesideADevice)
    for threads in settings.threads:
        for kind, who in ((SynthesisWorker, "cores"), (BesideADevice, "cores, scores counted by a device")):
            spent, wall, _ = run_shards(job, GPU_SECONDS, threads, kind)
            figures |= {
                f"beside a generator, {threads} {who}": wall,
                f"bound, {threads} {who}": max(GPU_SECONDS, spent / threads),
            }
    return {name: round(value * 1e6, 1) for name, value in figures.items()}


def run_shards(
    job: Synthesis, seconds: float, threads: int, kind: type[SynthesisWorker] = SynthesisWorker
) -> tuple[float, float, dict[str, float]]:
    """CPU and wall seconds an image, and wall seconds by part; ``seconds`` an image are the generator's."""
    memory = Path("/dev/shm")  # where there is one: disks are another matter
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        plan: Any = job.plan
        # In older checkouts the rows of a plan are a table.
        shards = {shard: part.table() if hasattr(part, "table") else part for shard, part in plan.shards.items()}
        rows = {shard: part.num_rows for shard, part in shards.items()}
        footer = {ClassMap.FOOTER_KEY: job.plan.classes.to_json()}
        run = DatasetRun.start(f"{folder}/set", "synthetic", job.plan.plan_id, rows, footer=footer)
        worker = kind(replace(job.inputs, threads=threads), getattr(plan, "head", plan), job.settings, run.sink)
        generator: Any = FreeGenerator(next(iter(job.inputs.generators.members.values())).sha256, seconds)
        worker._loaded = "", generator
        count, wall, cpu = sum(rows.values()), time.perf_counter(), time.process_time()
        as_by_an_actor(worker, shards)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        stats: dict[str, float] = {}
        for path in sorted(Path(folder, "set", "_commits").glob("*.json")):
            for name, value in json.loads(path.read_text())["stats"].items():
                stats[name] = stats.get(name, 0.0) + value / count
    return cpu / count, wall / count, stats


def as_by_an_actor(worker: SynthesisWorker, shards: Mapping[int, pa.Table]) -> None:
    """Each is begun when all rows of the one before are told, which is committed meanwhile."""
    with ThreadPoolExecutor(1) as beside:
        commits = []
        for shard, part in shards.items():
            steps, left = worker.run(shard, part), part.num_rows
            while left > 0:
                left -= next(steps)
            commits.append(beside.submit(list, steps))
        for commit in commits:
            commit.result()


def least(job: Synthesis) -> dict[str, float]:
    """CPU seconds an image of what no worker can leave out: JPEG in and out, the digests of bytes and pixels."""
    pictures = [row["bytes"] for row in job.source.read(["image"]).column("image").to_pylist()[:256]]
    found = {"least: decode": 0.0, "least: encode": 0.0, "least: digests": 0.0}
    for data in pictures:
        begun = time.thread_time()
        image = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=True)
        decoded = time.thread_time()
        made = simplejpeg.encode_jpeg(image, quality=96, colorspace="RGB", colorsubsampling="444")
        encoded = time.thread_time()
        _ = sha256(data), sha256(made), pixel_sha256(image)
        spent = decoded - begun, encoded - decoded, time.thread_time() - encoded
        found = {name: found[name] + value / len(pictures) for name, value in zip(found, spent, strict=True)}
    return found


def synthesis(settings: Settings) -> Synthesis:
    """The plan over all drawn people."""
    source, target, annotations, generator = inputs(settings)
    cut = {"shard_size": settings.shard_size, "precision": "float32"}
    chosen = TranslationSettings.model_validate({"splits": ["train", "query", "gallery"], **cut})
    return prepare_synthesis(source, target, generator, chosen, annotations_uri=annotations)


def inputs(settings: Settings) -> tuple[str, str, str, str]:
    """Source, target, the truth about the source as annotations, and a generator's file; what is there is kept."""
    folder = settings.folder / f"{settings.height}-{settings.width}-{settings.identities}"
    height, width = settings.height, settings.width
    world = ToyWorldSettings(identities=settings.identities, seed=3, height=height, width=width)
    generator, annotations = folder / "generator.safetensors", folder / "annotations"
    if not generator.is_file():
        make_toyworld(world, folder / "world")
        recipe = PTGAN(PTGANSettings(ngf=8, blocks=1, ndf=8))
        for domain in world.domains:
            root = folder / "world" / domain
            provenance = Provenance(f"drawn-{domain}", domain, "Apache-2.0", "drawn by a program")
            ingest(root, make_plan(root, get_layout("toyworld"), provenance), provenance, str(folder / domain))
        write_truth(folder / "world" / "market-like", folder / "market-like", annotations)
        save_generator(generator, recipe.build_generator((height, width)), recipe, height, width)
    return str(folder / "market-like"), str(folder / "duke-like"), str(annotations), str(generator)


def write_truth(drawn: Path, source: Path, annotations: Path) -> None:
    """The masks and joints of the people in ``drawn`` as annotations of the data set ``source``."""
    known = pq.read_table(drawn / "ground_truth" / "annotations.parquet").to_pylist()
    truth = {sha256((drawn / row["path"]).read_bytes()): row for row in known if row["keypoints"]}  # some show nobody
    rows = []
    for row in open_dataset(str(source)).read(["image_id", "image_sha256", "width", "height"]).to_pylist():
        with suppress(KeyError):
            one = truth[row["image_sha256"]]
            joints = [point.values() for point in one["keypoints"]]  # x, y, and 0 to 2: outside, hidden, seen
            points = [{"x": x, "y": y, "score": min(seen, 1)} for x, y, seen in joints]
            rows.append({**row, "mask": one["mask"], "mask_quality": 1.0, "keypoints": points})
    run = DatasetRun.start(str(annotations), "annotation", "truth", {0: len(rows)})
    run.sink.commit(0, pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA))
    run.close()


if __name__ == "__main__":
    run_job(Settings, main)
