"""What the shipped generators make of the demo's people, beside the same people drawn in the target's place.

OMP_NUM_THREADS=1 python benchmarks/shipped_generators.py --output runs/shipped_generators

The drawn world itself is the ceiling: what it gets, a generator that makes perfect images of the target gets. Who is
recognised is judged by a ReID network of the source images, its batch norms re-estimated on the judged ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from pydantic import Field

from manifests.common.json_text import write_json
from pipeline.cluster.embedded_default import WORLD
from pipeline.common.environment import environment
from pipeline.common.images import resize
from pipeline.common.settings import JobSettings, run_job
from pipeline.experiments.toyworld_data import WorldData, load_toyworld
from pipeline.experiments.transfer_trial import translate
from pipeline.generators.trained import load_generator
from pipeline.measures.detail import compare_detail
from pipeline.measures.images import PersonScores, StyleStatistics, style_features, style_shifts
from pipeline.reid.batches import AugmentationSettings, LabelledBatches
from pipeline.reid.model import ReidModel, load_reid, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.norm import adapt_norm
from pipeline.reid.sets import LabelledImages
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.sources.toyworld import CAMERAS, DomainName, make_toyworld
from pipeline.sources.toyworld.again import draw_again

Images = NDArray[np.uint8]
SOURCE: DomainName = "market-like"
TARGET: DomainName = "duke-like"
SHIPPED = ("personflow_market_like_to_duke_like", "ptgan_market_like_to_duke_like")
JUDGED_AT = 64, 32


class Settings(JobSettings):
    """Draw the demo's world, restyle its people by each shipped generator and by drawing them anew, and measure."""

    output: Path = Field(default=Path("runs/shipped_generators"), description="the world and the ReID network")
    reid_steps: int = Field(default=400, ge=1)
    seeds: int = Field(default=3, ge=1, description="ReID networks, and drawings of the ceiling")
    results: Path = Field(default=Path(__file__).parent / "results" / "shipped_generators.json")


def main(settings: Settings) -> int:
    """Measure, print, write the figures."""
    torch.set_num_threads(1)
    world = settings.output / "world"
    make_toyworld(WORLD, world)
    people, target = (load_toyworld(world, name, ["train"]) for name in (SOURCE, TARGET))
    judges = [_judge(settings, people, seed) for seed in range(settings.seeds)]
    figures = {}
    for name, made in _candidates(world, people, settings.seeds):
        figures[name] = _figures(made, people, target.images, judges)
        print(name, figures[name], flush=True)
    record = {"settings": settings.model_dump(mode="json", exclude={"output", "results"}), "figures": figures}
    write_json(settings.results, {**record, "images": len(people), "environment": environment("cpu", 1)})
    return 0


def _candidates(world: Path, people: WorldData, drawings: int) -> Iterator[tuple[str, list[Images]]]:
    """Names and their images, in the order of ``people``; several where a drawing may come out otherwise."""
    yield "source", [people.images]
    for name in SHIPPED:
        yield name, [translate(load_generator(name), people)]
    truth = pq.read_table(world / SOURCE / "ground_truth" / "annotations.parquet", columns=["identity", "split"])
    trained = truth.filter(pc.field("split") == "train")["identity"].unique().sort().to_pylist()
    names = [trained[number] for number in people.identities]
    yield "drawn in the target's place", [_drawn(names, drawing) for drawing in range(drawings)]


def _drawn(identities: Sequence[int], drawing: int) -> Images:
    """Each of these people by some camera of the target's place, turned as it comes."""
    cameras = [1 + row % CAMERAS[TARGET] for row in range(len(identities))]
    drawn = zip(identities, cameras, strict=True)
    return np.stack(
        [
            draw_again(WORLD, SOURCE, who, TARGET, by, drawing * len(cameras) + row).image
            for row, (who, by) in enumerate(drawn)
        ]
    )


def _judge(settings: Settings, people: WorldData, seed: int) -> ReidModel:
    """A ReID network that knows the source images of ``people``."""
    height, width = JUDGED_AT
    file = settings.output / f"reid-{seed}-{settings.reid_steps}.safetensors"
    if not file.is_file():
        shown = people.resized(height, width)
        targets = np.eye(int(shown.identities.max()) + 1, dtype=np.float32)[shown.identities]
        batches = LabelledBatches(LabelledImages(shown.images, targets), seed, AugmentationSettings())
        network = build_network(NetworkSettings(), targets.shape[1], seed)
        ReidTraining(network, batches, ReidTrainingSettings(steps=settings.reid_steps, seed=seed)).run()
        save_reid(file, network, height, width)
    return load_reid(file)


def _figures(made: list[Images], people: WorldData, target: Images, judges: list[ReidModel]) -> dict[str, Any]:
    """Means over the images; recognised by each judge, of each drawing."""
    source, style = style_features(people.images), StyleStatistics.of(target)
    shift = [style_shifts(source, style_features(images), style).mean() for images in made]
    detail = [compare_detail(images, target) for images in made]
    worst: float = max((one.worst for one in detail), key=abs)
    recognised = [_recognised(judge, images, people) for images in made for judge in judges]
    found = {
        "recognised": [round(float(np.mean(recognised)), 3), round(min(recognised), 3), round(max(recognised), 3)],
        "style_shift": round(float(np.mean(shift)), 3),
        "sharpness": round(float(np.mean([one.sharpness for one in detail])), 2),
        "spectrum_worst_db": round(worst, 1),
    }
    if len(made) == 1:
        kept = [PersonScores.of(*views) for views in zip(people.images, made[0], people.masks, strict=True)]
        change, fidelity = (np.array([one[:2] for one in kept], np.float64).mean(axis=0)).tolist()
        found |= {"foreground_change": round(change, 3), "foreground_fidelity": round(fidelity, 3)}
    return found


def _recognised(judge: ReidModel, images: Images, people: WorldData) -> float:
    small = np.stack([resize(image, *JUDGED_AT) for image in images])
    return float((adapt_norm(judge, small).logits(small).argmax(axis=1) == people.identities).mean())


if __name__ == "__main__":
    run_job(Settings, main)
