"""What LSRO's label rule would bring with a perfect generator: real images of other people stand for generated ones.

python jobs/benchmark_recipes.py --gaps few-images poses --output runs/benchmark
python benchmarks/lsro_ceiling.py --runs runs/benchmark

A GAN that draws people perfectly can do no better than photographs of people whom nobody labelled. They get LSRO's
uniform label (Zheng et al., ICCV 2017, section 4.2) and are mixed in as the benchmark mixes generated images. So a
loss here is the rule's, and what the benchmark's LSRO loses beyond it is the generator's.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import Field

from manifests.common.json_text import json_text
from pipeline.cluster.benchmark import reid_steps
from pipeline.common.settings import run_job
from pipeline.experiments.benchmark.gaps import FEW_IMAGES, POSES, Arm
from pipeline.experiments.benchmark.settings import BenchmarkSettings
from pipeline.experiments.benchmark.worlds import MEASURED, set_uri
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import MixSettings, mixed_batches, spread_choice
from pipeline.reid.model import ReidModel
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.retrieval import RetrievalSettings, measure_on
from pipeline.reid.sets import LabelledImages, TrainingSets, load_sets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings

RESULTS = Path(__file__).parent / "results" / "lsro_ceiling.json"


class Settings(BenchmarkSettings):
    """Train ReID networks with uniformly labelled real images of other people; the figures go into one JSON file."""

    runs: Path = Field(Path("runs/benchmark"), description="what jobs/benchmark_recipes.py left")
    seeds: int = Field(3, ge=1, description="how many of its seeds")
    first_seed: int = Field(0, ge=0, description="the first of them")
    shares: list[float] = Field([0, 0.5, 1.5], description="other people's images for each labelled one")
    results: Path = Field(RESULTS, description="file for the figures")


def main(settings: Settings) -> None:
    figures = []
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        real = load_sets([set_uri(settings.runs, seed, FEW_IMAGES, "train")], settings.height, settings.width)
        everybody = load_sets([set_uri(settings.runs, seed, POSES, "train")], settings.height, settings.width)
        for share in settings.shares:
            sets = with_others(real, everybody, share, seed)
            model = trained(sets, settings, seed)
            for part in MEASURED:
                uri = set_uri(settings.runs, seed, FEW_IMAGES, part)
                found = measure_on(uri, model, RetrievalSettings()).retrieval
                others = len(sets.images) - len(real.images)
                figures.append({"seed": seed, "share": share, "others": others, "part": part, **found.as_dict()})
            line = ", ".join(f"{one['part']} rank-1 {one['rank1']:.1%}" for one in figures[-len(MEASURED) :])
            print(f"seed {seed}, {share:g} to one: {line}", flush=True)
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": platform.machine(), "cpu": settings.device == "cpu"}
    written = {**about, "settings": settings.model_dump(mode="json", exclude={"runs", "results"}), "figures": figures}
    settings.results.write_text(json_text(written, indent=1) + "\n", encoding="utf-8")
    print(settings.results)


def with_others(real: TrainingSets, everybody: TrainingSets, share: float, seed: int) -> TrainingSets:
    """``real`` and, with uniform labels, ``share`` images for each of its own of people who are not in it."""
    known = set(real.classes.identities)
    assert everybody.images.people is not None
    strangers = [everybody.classes.identities[number] not in known for number in everybody.images.people]
    rows = np.flatnonzero(strangers)
    wanted = round(share * len(real.images))
    rows = rows[spread_choice(len(rows), wanted, seed)] if wanted else rows[:0]
    uniform = np.full((len(rows), len(real.classes)), 1 / len(real.classes), np.float32)
    images = LabelledImages(
        np.concatenate([real.images.images, everybody.images.images[rows]]),
        np.concatenate([real.images.targets, uniform]),
    )
    return TrainingSets(images, len(real.images), real.classes, {})


def trained(sets: TrainingSets, settings: Settings, seed: int) -> ReidModel:
    """The benchmark's learner on ``sets``, each labelled image seen as often as there."""
    others = len(sets.images) - sets.real_images
    network = build_network(NetworkSettings(), len(sets.classes), seed)
    training = ReidTraining(
        network,
        mixed_batches(sets, seed, MixSettings(), AugmentationSettings()),
        ReidTrainingSettings(
            steps=reid_steps(settings, sets.real_images, others, Arm("lsro")),
            batch_size=settings.reid_batch_size,
            seed=seed,
            device=settings.device,
        ),
    )
    training.run()
    return ReidModel(network, settings.height, settings.width)


if __name__ == "__main__":
    run_job(Settings, main)
