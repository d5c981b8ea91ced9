"""Whether generated rows reached what was asked for: the camera, the domain or the pose.

A small classifier learns from real rows which of them is which, and says of each generated row how probable the asked
one is. There are two of it, each taught by every second person (an image on which nobody is named counts as one), so
that nobody's image is judged by a classifier that learned from their images. Only real rows of the generated rows' own
splits teach: what is chosen by these scores is trained on, and test images must have no say in it.

Real rows are judged in the same way: what share of them is given to what they are (`real`) says what the answers are
worth, and what share of the images that the rows were made from is given to what was asked for (`before`) says what a
generator gets that changes nothing.

Given to a target is what is likelier to be it than to be anything else: its probability is above 1/2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from manifests.reading.dataset import Dataset
from pipeline.measures.sets import Images, train_classifier
from pipeline.reid.model import ReidModel
from pipeline.scoring.places import images_at, people_in
from pipeline.scoring.row_facts import row_facts, shown_on
from pipeline.scoring.target_questions import Asking, Question, Unanswerable, cameras, domains, poses
from pipeline.training.randomness import SetStream, random_generator

GIVEN = 0.5
"""A row is given to its target where the probability of it is above this."""
_REAL = ("dataset_id", "identity", "camera", "domain", "split", "image_sha256")
Person = tuple[str, str]
Shares = NDArray[np.float32]


class Teaching(NamedTuple):
    """How the classifiers learn: from at most ``images`` real rows, in ``steps`` steps, at (height, width)."""

    images: int
    steps: int
    size: tuple[int, int]
    seed: int
    device: str = "cpu"


@dataclass(frozen=True)
class TargetJudge:
    """The two classifiers of one kind of target, and how they did on real rows."""

    question: Question
    classes: Mapping[str, int]
    """Those that people of both halves are seen in: a classifier that never saw one says nothing of it."""
    halves: Mapping[Person, int]
    """Which of ``models`` has not seen a person; any may judge who is not named."""
    models: tuple[ReidModel, ReidModel]
    real_images: int
    real: float
    """share of real rows that are given to what they are, mean over the classes"""
    before: float | None
    """share of the generated rows whose source image is given to the row's target already; None where none is known"""
    rows: int
    """generated rows that ask for one of the classes"""

    def confidences(self, images: Images, facts: pl.DataFrame) -> NDArray[np.float64]:
        """The probability of what each row asks for, (N,) in [0, 1]; nan where it asks for nothing that is known.
        ``images`` (N, H, W, 3) are the rows', ``facts`` what `row_facts` gives of them."""
        asked = _numbers(facts.select(self.question.made).to_series(), self.classes)
        halves = np.array([self.halves.get(shown_on(row, row["content"]), 0) for row in facts.to_dicts()], np.int64)
        found = np.full(len(images), np.nan)
        for half, model in enumerate(self.models):
            rows = np.flatnonzero((asked >= 0) & (halves == half))
            if len(rows):
                found[rows] = model.probabilities(images[rows])[np.arange(len(rows)), asked[rows]]
        return found

    def as_dict(self) -> dict[str, Any]:
        """For the run's record."""
        figures = {"real": self.real, "before": self.before, "real_images": self.real_images, "rows": self.rows}
        return {"classes": list(self.classes), **figures}


def confidence_in_all(judges: Sequence[TargetJudge], images: Images, facts: pl.DataFrame) -> NDArray[np.float64]:
    """The probability, (N,), that each row reached all that it asks for and somebody judges, a camera and a pose say:
    the product of those of ``judges``; nan where that is nothing. Arguments as of `TargetJudge.confidences`."""
    each = np.array([judge.confidences(images, facts) for judge in judges])
    asked = ~np.isnan(each)
    return np.where(asked.any(axis=0), np.where(asked, each, 1.0).prod(axis=0), np.nan)


def target_judges(
    dataset: Dataset, sources: Sequence[Dataset], annotations: Sequence[Dataset], teaching: Teaching
) -> tuple[list[TargetJudge], dict[str, str]]:
    """A judge of each kind of target that rows of ``dataset`` ask for, taught by the real rows of ``sources`` (one or
    more) in the splits of these; and by kind, why there is none."""
    facts = row_facts(dataset.scan()).collect()
    real = people_in(sources, _REAL).join(facts.select("split").unique(), "split", "semi", maintain_order="left")
    asking = Asking(dataset, facts, real, annotations, teaching.size)
    judges: list[TargetJudge] = []
    reasons: dict[str, str] = {}
    for ask in (cameras, domains, poses):
        try:
            if (question := ask(asking)) is not None:
                judges.append(_taught(question, asking, sources, teaching))
        except Unanswerable as reason:
            reasons[reason.kind] = str(reason)
    return judges, reasons


def _taught(question: Question, asking: Asking, sources: Sequence[Dataset], teaching: Teaching) -> TargetJudge:
    known = _chosen(question.answered(asking.real, asking.facts), teaching)
    shown = known["class"].unique().sort().to_list()
    if len(shown) < 2:
        where = f"in the split {' or '.join(asking.facts['split'].unique().sort())}"
        raise Unanswerable(
            question.kind, f"the sources show {' '.join(shown) or 'none'} alone {where}: {question.remedy}"
        )
    halves = _halves(known)
    known = known.with_columns(half=pl.Series([halves[_person(row)] for row in known.to_dicts()], dtype=pl.Int8))
    known = known.filter(pl.col("half").n_unique().over("class") == 2)
    classes = {name: number for number, name in enumerate(known["class"].unique().sort())}
    if len(classes) < 2:
        raise Unanswerable(question.kind, "the sources show too few people to keep some of them apart")
    asked = asking.facts.select(question.made.alias("class"), "content").filter(pl.col("class").is_in(list(classes)))
    if not asked.height:
        raise Unanswerable(question.kind, f"the sources show {' and '.join(classes)}, and no row asks for one of them")
    half, numbers = known["half"].to_numpy(), _numbers(known["class"], classes)
    images = images_at(sources, known, teaching.size, "real rows")
    models = tuple(
        _taught_by(images, numbers, half != kept_apart, len(classes), question, teaching) for kept_apart in (0, 1)
    )
    shares = np.empty((len(images), len(classes)), np.float32)
    for one, model in enumerate(models):
        shares[half == one] = model.probabilities(images[half == one])
    own = shares[np.arange(len(shares)), numbers] > GIVEN
    return TargetJudge(
        question=question,
        classes=classes,
        halves=halves,
        models=(models[0], models[1]),
        real_images=len(images),
        real=float(np.mean([own[numbers == number].mean() for number in classes.values()])),
        before=_before(asked, dict(zip(known["image_sha256"], shares, strict=True)), classes),
        rows=asked.height,
    )


def _taught_by(
    images: Images,
    numbers: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    count: int,
    question: Question,
    teaching: Teaching,
) -> ReidModel:
    """A classifier that learned from the ``chosen`` rows, from as many of each class."""
    each = [np.flatnonzero(chosen & (numbers == number)) for number in range(count)]
    most = max(map(len, each))
    rows = np.concatenate([np.resize(some, most) for some in each])
    return train_classifier(
        images[rows], numbers[rows], count, teaching.seed, teaching.steps, question.flip, teaching.device
    )


def _before(asked: pl.DataFrame, shares: Mapping[str, Shares], classes: Mapping[str, int]) -> float | None:
    found = [shares[content][classes[name]] > GIVEN for name, content in asked.iter_rows() if content in shares]
    return float(np.mean(found)) if found else None


def _numbers(names: pl.Series, classes: Mapping[str, int]) -> NDArray[np.int64]:
    """(N,) class numbers, -1 for what is none."""
    return np.array([-1 if name is None else classes.get(name, -1) for name in names], np.int64)


def _halves(known: pl.DataFrame) -> dict[Person, int]:
    """Everybody on ``known`` in one of two halves, by turns."""
    return {person: number % 2 for number, person in enumerate(sorted({_person(row) for row in known.to_dicts()}))}


def _person(row: Mapping[str, Any]) -> Person:
    """Who is on a real row."""
    return shown_on(row, row["image_sha256"])


def _chosen(rows: pl.DataFrame, teaching: Teaching) -> pl.DataFrame:
    """At most ``teaching.images`` of ``rows``, as many of each class, in their order."""
    each = max(2, teaching.images // max(1, rows["class"].n_unique()))
    order = random_generator(teaching.seed, SetStream.JUDGED_IMAGES).permutation(rows.height)
    mixed = rows.with_row_index("place")[order]
    return mixed.group_by("class", maintain_order=True).head(each).sort("place").drop("place")
