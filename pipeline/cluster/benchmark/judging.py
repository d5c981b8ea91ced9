"""What can be told of generated images before anything is trained on them: whether people are recognised in them, and
whether they reached their target.

Either alone says little: an image that did not change is recognised, and one of the target that shows somebody else has
moved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.frames import frame_of
from pipeline.cluster.benchmark.generators import annotations_uri, needs_annotations
from pipeline.common.row_images import PICTURE
from pipeline.experiments.benchmark.arms import BASELINE, Arm
from pipeline.experiments.benchmark.settings import Bench
from pipeline.reid.data import decode_images
from pipeline.reid.model import load_reid
from pipeline.reid.norm import adapt_norm
from pipeline.reid.sets import load_sets
from pipeline.scoring.row_facts import FACTS, row_facts
from pipeline.scoring.target_judge import GIVEN, Teaching, confidence_in_all, target_judges

_REAL_IMAGES = 4000
"""Most real images that a classifier of targets learns from."""


class Judged(NamedTuple):
    """Shares of the images of a set; None where no image is of anybody, or asks for anything that can be told."""

    recognised: float | None
    moved: float | None
    both: float | None
    """of the images that ask for something; no product of the two, for it is seldom the same images that do either"""


def judge(bench: Bench, arm: Arm, made: Dataset) -> Judged:
    """The training images that the arm made."""
    recognised = recognised_rows(bench, made.uri) if arm.shows_people else None
    confidence = target_confidence(bench, arm, made)
    return judged(recognised, confidence)


def judged(recognised: NDArray[np.bool_] | None, confidence: NDArray[np.float64] | None) -> Judged:
    """Shares of what is known of each row of one set, (N,); ``confidence`` is nan where nothing was asked for."""
    share = None if recognised is None else float(recognised.mean())
    if confidence is None or np.isnan(confidence).all():
        return Judged(share, None, None)
    asked, moved = ~np.isnan(confidence), confidence > GIVEN
    both = None if recognised is None else float((recognised & moved)[asked].mean())
    return Judged(share, float(moved[asked].mean()), both)


def recognised_rows(bench: Bench, made: str) -> NDArray[np.bool_]:
    """Which images of the synthetic set ``made``, (N,), the gap's baseline gives to the person who they were made from.

    The baseline knows that person's real images, so this tells a generator that loses people. Its batch norms take
    their statistics from the judged images: else another place's light would make strangers of all who are drawn in it.
    """
    baseline = load_reid(bench.training_folder(BASELINE, 0) / "reid", bench.settings.device)
    sets = load_sets([made], bench.settings.height, bench.settings.width)
    number = {name: place for place, name in enumerate(baseline.people.identities)}
    asked = [number[sets.classes.identities[person]] for person in sets.images.known_people]
    images = sets.images.images
    found: NDArray[np.bool_] = adapt_norm(baseline, images).logits(images).argmax(axis=1) == asked
    return found


def target_confidence(bench: Bench, arm: Arm, made: Dataset) -> NDArray[np.float64] | None:
    """The probability, (N,), that classifiers taught by the gap's real images give to all that each row of ``made``
    asks for: the camera, the domain, the pose; nan where it asks for none. None where nobody can tell of any row."""
    settings = bench.settings
    size = settings.height, settings.width
    sources = [open_dataset(bench.uri(name)) for name in ("train", "target") if name in bench.gap.sets]
    annotated = not arm.drawn and needs_annotations(bench.gap, arm.made_by)
    annotations = [open_dataset(annotations_uri(one.uri)) for one in sources] if annotated else []
    teaching = Teaching(_REAL_IMAGES, settings.judge_steps, size, bench.seed, settings.device)
    judges, _ = target_judges(made, sources, annotations, teaching)
    if not judges:
        return None
    found = []
    for table in made.shards([*PICTURE, *FACTS]):
        facts = row_facts(frame_of(table.select(FACTS)).lazy()).collect()
        found.append(
            confidence_in_all(judges, decode_images(table.select(PICTURE).to_pylist(), made.uri, *size), facts)
        )
    return np.concatenate(found)
