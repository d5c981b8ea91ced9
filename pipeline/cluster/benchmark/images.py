"""The benchmark's generated images: each set made once, however many arms and trainings read it, and judged once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.common.json_text import json_text, write_json
from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from pipeline.cluster.benchmark.generators import (
    annotations_uri,
    gap_recipe,
    generator_folder,
    generator_settings,
    needs_annotations,
)
from pipeline.cluster.benchmark.judging import judge
from pipeline.cluster.pool import run_shards_here
from pipeline.cluster.synthesize import prepare_synthesis, synthesize
from pipeline.experiments.benchmark.arms import BASELINE, Arm
from pipeline.experiments.benchmark.drawn import draw_rows
from pipeline.experiments.benchmark.settings import Bench
from pipeline.experiments.benchmark.worlds import MEASURED
from pipeline.reid.model import load_reid
from pipeline.scoring.dataset import ScoreSettings, open_scoring, score
from pipeline.scoring.set_scores import doubts_of_scores
from pipeline.sources.files import Split
from pipeline.synthesis.plan_kinds import PEOPLE, POSES, Kind

MADE = "made.json"
_SCORED = "train-scored"


@dataclass(frozen=True)
class Made:
    """A set of generated training images."""

    identity: dict[str, Any]
    """The settings behind it."""
    images: int
    recognised: float | None
    moved: float | None
    both: float | None
    """As in `ArmRecord`."""


def make_images(bench: Bench, arm: Arm, part: str = "train") -> str:
    """Make the arm's images of one of the gap's sets; training images are judged too."""
    folder = bench.images_folder(arm)
    if part in MEASURED:
        return f"{_synthesize(bench, arm, part, ('query', 'gallery')).snapshot.rows} images"
    made = find_made(bench, arm)
    if made is None:
        dataset = _synthesize(bench, arm, part, ("train",))
        made = Made(images_identity(bench, arm), dataset.snapshot.rows, *judge(bench, arm, dataset))
        write_json(folder / MADE, asdict(made))
    shares = {"recognised": made.recognised, "moved": made.moved, "both": made.both}
    told = [f"{share:.1%} {name}" for name, share in shares.items() if share is not None]
    return ", ".join([f"{made.images} images", *told])


def score_images(bench: Bench, arm: Arm) -> str:
    """Give the arm's training images their reliability, by the gap's baseline; found scored if they are."""
    folder, baseline = bench.images_folder(arm), str(bench.training_folder(BASELINE, 0) / "reid")
    model = load_reid(baseline, bench.settings.device)
    # Of all scores the mix reads this one: targets are judged elsewhere, and nobody looks for likenesses.
    asked = ScoreSettings(target_steps=0, likeness=False, map_images=0, seed=bench.seed)
    job = open_scoring(str(folder / "train"), [bench.uri("train")], model, baseline, asked)
    scores = score(job, str(folder / _SCORED)).run["run"]["scores"]
    told = scores["reliability"], scores["reliability_auroc_generated"]
    means = "reliability {:.2f}, AUROC on planted wrong names {:.2f}".format(*told)
    return "; ".join([means, *doubts_of_scores(scores)])


def training_images(bench: Bench, arm: Arm) -> str:
    """Where the data set of the arm's training images lies."""
    return str(bench.images_folder(arm) / (_SCORED if arm.weighs_rows else "train"))


def find_made(bench: Bench, arm: Arm) -> Made | None:
    """What was made for the arm to train on, None if nothing was yet.

    Raises:
        UserError: it was made with other settings.
    """
    path: Path = bench.images_folder(arm) / MADE
    if not path.is_file():
        return None
    made = Made(**json.loads(path.read_text(encoding="utf-8")))
    if made.identity != json.loads(json_text(images_identity(bench, arm))):
        raise UserError(f"{path} was made with other settings: choose another --output, or remove {path.parent}")
    return made


def images_identity(bench: Bench, arm: Arm) -> dict[str, Any]:
    """What decides the arm's images."""
    generator = None if arm.drawn else generator_settings(bench, arm.made_by)
    return {"settings": bench.settings.deciding(), "images": arm.images, "generator": generator}


def _synthesize(bench: Bench, arm: Arm, part: str, splits: Sequence[Split]) -> Dataset:
    if arm.drawn:
        return draw_rows(bench, arm, part, splits)
    recipe = arm.made_by
    kind = arm.kind
    assert kind is not None
    # A pose is a canonical one, whatever the source's poses, unless people are moved from their own.
    annotated = gap_recipe(bench.gap, recipe).moves_joints or (
        kind is not POSES and needs_annotations(bench.gap, recipe)
    )
    job = prepare_synthesis(
        bench.uri(part),
        bench.uri("target") if "target" in bench.gap.sets else None,
        str(generator_folder(bench, recipe)),
        kind.settings.model_validate(_settings(bench, arm, kind, splits)),
        annotations_uri=annotations_uri(bench.uri(part)) if annotated else None,
        device=bench.settings.device,
    )
    return synthesize(job, str(bench.images_folder(arm) / part), runner=run_shards_here)


def _settings(bench: Bench, arm: Arm, kind: Kind, splits: Sequence[Split]) -> dict[str, Any]:
    settings: dict[str, Any] = {"seed": bench.seed, "splits": list(splits), "shard_size": 1024, **arm.label}
    if kind is PEOPLE:
        settings["images"] = round(open_dataset(bench.uri("train")).snapshot.rows * arm.synthetic_per_real)
    if kind is POSES:
        settings["score_pose"] = False  # nothing of the benchmark reads it, and it takes long
    if arm.taught:
        settings["teacher"] = str(bench.training_folder(BASELINE, 0) / "reid")
    return settings
