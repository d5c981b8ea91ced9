"""Which rows of a data set are kept, and why each of the others is not: by chance, by their scores, by influence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.names import bare_name
from manifests.format.schema import TARGET
from manifests.format.soft_labels import expand
from manifests.reading.dataset import Dataset
from manifests.reading.people import SHOWN_DATASET, class_origins
from manifests.writing.relabel import relabel
from pipeline.common.finite import NotFiniteError
from pipeline.common.progress import Progress
from pipeline.common.row_images import PICTURE
from pipeline.reid.evaluation import Features
from pipeline.reid.model import Images, ReidModel
from pipeline.scoring.diversity import choose_diverse, quotas
from pipeline.scoring.influence import Influence
from pipeline.scoring.row_facts import CONTENT, person_of
from pipeline.scoring.source_people import SourcePeople, decoded, shown_people
from pipeline.scoring.watched import Watched
from pipeline.training.randomness import SetStream, random_generator

_PART = 256
_LABEL = ("hard_label", "label_rule", "label_epsilon", "soft_label", "soft_label_rest", "num_classes")


@dataclass(frozen=True)
class Choice:
    """``kept`` (N,) of the rows in their order; of the others the reason, a word, and the message, a sentence."""

    kept: NDArray[np.bool_]
    reasons: list[str]
    messages: list[str]
    figures: Mapping[str, Any] = field(default_factory=dict)
    """For the run's record."""

    @classmethod
    def nothing(cls, rows: int) -> Choice:
        """None of so many ``rows`` so far, for no reason yet."""
        return cls(np.zeros(rows, np.bool_), [""] * rows, [""] * rows)

    def slice(self, start: int, rows: int) -> Choice:
        """That of ``rows`` rows from ``start`` on."""
        part = slice(start, start + rows)
        return Choice(self.kept[part], self.reasons[part], self.messages[part])

    def drop(self, row: int, reason: str, message: str) -> None:
        self.reasons[row], self.messages[row] = reason, message


def by_random(dataset: Dataset, count: int, seed: int) -> Choice:
    """``count`` rows by chance."""
    rows = dataset.snapshot.rows
    choice = Choice.nothing(rows)
    choice.kept[random_generator(seed, SetStream.CHOSEN_ROWS).permutation(rows)[:count]] = True
    for row in np.flatnonzero(~choice.kept).tolist():
        choice.drop(row, "not_drawn", f"not among the {count} of {rows} rows that were drawn")
    return choice


def by_reliability(
    dataset: Dataset,
    sources: Sequence[Dataset],
    model: ReidModel,
    count: int,
    min_reliability: float,
    min_confidence: float,
) -> Choice:
    """At most ``count`` rows by reliability x target confidence x diversity (`choose_diverse`), of each person as many.

    What lies below a threshold is not kept, however few are left; what nobody knows is below any but a confidence of 0.
    A factor that does not apply is 1: a row of nobody has no reliability, one that asks for nothing no confidence. The
    confidence of a row that asks for what nobody judges is taken to be the mean of the others.

    Raises:
        UserError: no row has a score that is asked for, or none is above the thresholds; as `shown_people`.
    """
    rows = _scored_rows(dataset, min_confidence)
    choice = Choice.nothing(rows.height)
    worth = _worth(rows, min_reliability, min_confidence, choice)
    eligible = np.array([not reason for reason in choice.reasons])
    if not eligible.any():
        raise UserError(f"no row of {dataset.uri} is kept: lower --min-reliability or --min-confidence")
    people = [person_of(row) if row["identity"] is not None else ("", "") for row in rows.to_dicts()]
    groups: dict[tuple[str, str], list[int]] = {person: [] for person in sorted(set(people))}
    for row in np.flatnonzero(eligible).tolist():
        groups[people[row]].append(row)
    shown = set(rows.filter(pl.col("identity").is_not_null())["content"].drop_nulls().to_list())
    known = shown_people(sources, shown, model) if shown else None
    features = np.concatenate([model.embed(images) for _, images in _parts(dataset, [], model, "features")])
    taken = quotas(np.array([len(members) for members in groups.values()]), count)
    for (person, members), quota in zip(groups.items(), taken, strict=True):
        mine = np.array(members, np.int64)
        there = _real_features(known, person, features.shape[1])
        chosen = mine[choose_diverse(features[mine], worth[mine], there, int(quota))]
        choice.kept[chosen] = True
        whose = "of the same person" if any(person) else "of nobody"
        for row in np.setdiff1d(mine, chosen).tolist():
            choice.drop(row, "adds_less", f"{quota} rows {whose} are worth more: reliable, moved and new")
    return choice


def _scored_rows(dataset: Dataset, min_confidence: float) -> pl.DataFrame:
    """Whom each row shows, its scores, and whether it ``asks`` for anything."""
    scores = [pl.col("quality").struct.field(name) for name in ("reliability", "target_confidence")]
    asks = pl.any_horizontal(pl.col("target").struct.field(field.name).is_not_null() for field in TARGET).alias("asks")
    rows = dataset.scan().select("identity", SHOWN_DATASET, CONTENT, asks, *scores).collect()
    for name, needed in (("reliability", pl.col("identity").is_not_null()), ("target_confidence", pl.col("asks"))):
        some = rows.filter(needed)[name]
        if (name == "reliability" or min_confidence) and len(some) and some.is_null().all():
            raise UserError(f"no row of {dataset.uri} has a {name}: score it with jobs/score_dataset.py first")
    return rows


def _worth(rows: pl.DataFrame, min_reliability: float, min_confidence: float, choice: Choice) -> NDArray[np.float64]:
    """Reliability x target confidence (N,); in ``choice`` what is below a threshold."""
    confidence = pl.coalesce("target_confidence", pl.when(~pl.col("asks")).then(1.0))
    known = rows.select(
        reliability=pl.when(pl.col("identity").is_null()).then(1.0).otherwise("reliability"),
        confidence=confidence,
        guessed=pl.coalesce(confidence, confidence.filter("asks").mean(), 1.0),
    ).cast(pl.Float64)
    for row, (reliability, confidence, _) in enumerate(known.iter_rows()):
        if reliability is None or reliability < min_reliability:
            choice.drop(row, "unreliable", f"its reliability is {_said(reliability)}, {min_reliability:g} is asked for")
        elif min_confidence and (confidence is None or confidence < min_confidence):
            asked_for = f"{min_confidence:g} is asked for"
            choice.drop(row, "not_moved", f"its target_confidence is {_said(confidence)}, {asked_for}")
    return known.select(pl.col("reliability").fill_null(0.0) * pl.col("guessed")).to_series().to_numpy()


def _said(score: float | None) -> str:
    return "unknown" if score is None else f"{score:.3g}"


def _real_features(known: SourcePeople | None, person: tuple[str, str], size: int) -> Features:
    number = known.numbers.get(person) if known is not None else None
    if known is None or number is None:
        return np.empty((0, size), np.float32)
    return np.asarray(known.gallery.features[known.gallery.identities == number])


def by_influence(dataset: Dataset, watched: Watched, models: Sequence[ReidModel], count: int) -> Choice:
    """The ``count`` rows that lower the loss of the ``watched`` rows most, whoever they show (`Influence`, summed over
    the ``models``).

    Raises:
        UserError: a network does not know the people of the labels, one of them is no label, or nobody can be watched.
    """
    influence = np.zeros(dataset.snapshot.rows)
    for model in models:
        numbers = _class_numbers(dataset, model)
        acting = Influence(model, *watched.seen_by(model, _classes_of_people(dataset, numbers)))
        parts = []
        for table, images in _parts(dataset, _LABEL, model, "influence"):
            parts.append(acting.of(images, _targets(table, numbers, len(model.people), dataset.uri)))
        influence += np.concatenate(parts)
    if not np.isfinite(influence).all():
        raise NotFiniteError(f"{dataset.uri}: the influence of {(~np.isfinite(influence)).sum()} rows is not finite")
    choice = Choice.nothing(len(influence))
    order = np.argsort(-influence, kind="stable")
    choice.kept[order[:count]] = True
    for place, row in enumerate(order[count:].tolist(), count + 1):
        reason = "raises_loss" if influence[row] < 0 else "less_influence"
        choice.drop(row, reason, f"its influence is {influence[row]:.3g}, number {place} of {len(order)}")
    told = {"raising_loss": int((influence < 0).sum()), "raising_loss_kept": int((influence[choice.kept] < 0).sum())}
    return Choice(choice.kept, choice.reasons, choice.messages, told)


def _targets(table: pa.Table, numbers: NDArray[np.int32], classes: int, uri: str) -> NDArray[np.float32]:
    """The labels of rows of the data set at ``uri`` over the network's ``classes``: (N, K)."""
    try:
        return expand(relabel(table, numbers, classes), classes)
    except ValueError as error:
        raise UserError(f"{uri} has labels that are none: {error}: `python -m manifests validate` lists them") from None


def _classes_of_people(dataset: Dataset, numbers: NDArray[np.int32]) -> dict[tuple[str, str], int]:
    """The network's class of each person of the labels, by data set and bare name."""
    named = dataset.classes.named if dataset.classes is not None else {}
    return {
        (home, bare_name(home, name)): int(numbers[named[name]])
        for name, homes in class_origins(dataset).items()
        for home in homes
    }


def _class_numbers(dataset: Dataset, model: ReidModel) -> NDArray[np.int32]:
    """The network's number of each class of the data set's labels."""
    ours, theirs = dataset.classes, model.people
    if ours is None:
        raise UserError(f"{dataset.uri} does not say which people its labels are over")
    if ours.identities == theirs.identities:
        return np.arange(len(ours), dtype=np.int32)
    unknown = [name for name in ours.identities if name is None or name not in theirs.named]
    if unknown:
        raise UserError(
            f"the ReID network does not know {len(unknown)} of the {len(ours)} people that {dataset.uri} is labelled "
            "over: name one that jobs/train_reid.py trained on their source"
        )
    return np.array([theirs.named[str(name)] for name in ours.identities], np.int32)


def _parts(dataset: Dataset, columns: Sequence[str], model: ReidModel, stage: str) -> Iterator[tuple[pa.Table, Images]]:
    """The rows, some at a time: ``columns`` and the images at the network's size."""
    with Progress(stage, dataset.snapshot.rows) as progress:
        for shard in dataset.shards([*PICTURE, *columns]):
            for start in range(0, shard.num_rows, _PART):
                table = shard.slice(start, _PART)
                yield table, decoded(table, dataset.uri, model.height, model.width)
                progress.advance(table.num_rows)
