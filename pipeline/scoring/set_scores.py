"""How good a synthetic data set is as a set: distances to real images of the same look, means of its rows' scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from manifests.format.schema import QUALITY_SCORES
from manifests.reading.dataset import Dataset
from pipeline.measures.detail import BANDS, compare_detail
from pipeline.measures.sets import LEAST_GENERATED, LEAST_REAL, Images, measure_generation
from pipeline.reid.model import ReidModel
from pipeline.reid.norm import adapt_norm
from pipeline.scoring.identity_judge import IdentityJudge
from pipeline.scoring.places import images_at, index_all, people_in
from pipeline.scoring.row_facts import FACTS, row_facts
from pipeline.scoring.target_judge import GIVEN, TargetJudge
from pipeline.training.randomness import SetStream, random_generator

LEAST_ADAPTED = 64
"""Rows: a batch of a training."""
_CHANCE = 0.5
_TOLD = (
    *("reliability", "plausibility", "identity_similarity", "target_confidence", "foreground_fidelity", "pose_error"),
    "uniqueness",
)


def row_means(dataset: Dataset) -> dict[str, float]:
    """Means over the rows that have the score, and shares of those that can be told: ``recognised``, whose own identity
    is the nearest; ``moved``, which are given to what they were asked for (`TargetJudge`); ``recognised_and_moved``;
    ``repeated``, which nearly are a row before them.

    ``recognised_and_moved`` is no product: rows that lose their person may be the very ones that moved, and a row is
    worth something where it did both. It is over the rows of which both can be told.
    """
    quality = dataset.scan().select(*(pl.col("quality").struct.field(name) for name in QUALITY_SCORES)).collect()
    means = {name: quality.get_column(name).mean() for name in _TOLD}
    recognised, moved = quality["identity_rank"] == 1, quality["target_confidence"] > GIVEN
    means["repeated"] = (quality["repeats"] > 0).mean()
    told = (recognised & moved).filter(recognised.is_not_null() & moved.is_not_null())
    means |= {"recognised": recognised.mean(), "moved": moved.mean(), "recognised_and_moved": told.mean()}
    return {name: float(value) for name, value in means.items() if value is not None}  # type: ignore[arg-type]


def doubts_of_scores(scores: Mapping[str, float]) -> Iterator[str]:
    """What nobody should overlook who chooses rows by these."""
    if (auroc := scores.get("reliability_auroc_generated", 1.0)) < _CHANCE:
        yield (
            f"of the generated rows reliability tells the own name from the nearest other no better than chance (AUROC "
            f"{auroc:.2f}): the model saw too few people, or does not know them in this look; choose no rows by it"
        )


def target_means(judges: Sequence[TargetJudge]) -> dict[str, float]:
    """What ``moved`` stands beside, as means over the rows that each of ``judges`` judges: ``moved_real``, of real rows
    and what they are; ``moved_before``, of the images that rows were made from."""
    told = {"moved_real": [(judge.real, judge.rows) for judge in judges]}
    told["moved_before"] = [(judge.before, judge.rows) for judge in judges if judge.before is not None]
    weighed = {name: zip(*ones, strict=True) for name, ones in told.items() if ones}
    return {name: float(np.average(shares, weights=rows)) for name, (shares, rows) in weighed.items()}


def set_distances(
    dataset: Dataset, sources: Sequence[Dataset], model: ReidModel, most: int, seed: int
) -> dict[str, float]:
    """FID, KID, coverage and diversity against real images of the same domain and split, ``_real`` ones between two
    halves of these as the floor; FID and KID also for each domain (where there are several) and camera asked for.

    All follow `measure_generation`: at most ``most`` generated and twice as many real images, chosen by ``seed``.
    What has too few images of either has no entry.
    """
    made, real = _made_and_real(dataset, sources)
    found = _distances(([dataset], made), (sources, real), model, most, seed)
    for column in ("domain", "camera"):
        values = made.get_column(column).drop_nulls().unique().sort().to_list()
        for value in values if column == "camera" or len(values) > 1 else ():
            some = [frame.filter(pl.col(column) == value) for frame in (made, real)]
            measured = _distances(([dataset], some[0]), (sources, some[1]), model, most, seed)
            kept = {name: measured[name] for name in ("fid", "fid_real", "kid", "kid_real") if name in measured}
            found |= {f"{name}_{column}_{value}": figure for name, figure in kept.items()}
    return found


def set_detail(dataset: Dataset, sources: Sequence[Dataset], most: int, seed: int) -> dict[str, float]:
    """Sharpness and power by frequency (`pipeline.measures.detail`) beside real images of the same domain and split at
    the size of the first row; ``_real``: of one half of these beside the other. At most ``most`` of either are taken,
    chosen by ``seed``; nothing where there are too few."""
    made, real = _made_and_real(dataset, sources)
    if made.height < LEAST_GENERATED or real.height < LEAST_REAL:
        return {}
    size = made.item(0, "height"), made.item(0, "width")
    generated = _some_images([dataset], made, size, most, seed)
    originals = _some_images(sources, real, size, most, seed)
    found, floor = compare_detail(generated, originals), compare_detail(originals[::2], originals[1::2])
    told = {"sharpness": found.sharpness, "sharpness_real": floor.sharpness}
    told |= {"spectrum_worst": found.worst, "spectrum_worst_real": floor.worst}
    return told | {f"spectrum_{low:.2f}": value for (low, _), value in zip(BANDS, found.spectrum, strict=True)}


def at_home(model: ReidModel, dataset: Dataset, most: int, seed: int) -> ReidModel:
    """``model`` with batch norms re-estimated (`adapt_norm`) on at most ``most`` rows, chosen by ``seed``; as it is
    where there are fewer than `LEAST_ADAPTED`, whose statistics would be noise."""
    index = index_all([dataset], ())
    if index.height < LEAST_ADAPTED:
        return model
    return adapt_norm(model, _some_images([dataset], index, (model.height, model.width), most, seed))


def planted_aurocs(dataset: Dataset, judge: IdentityJudge, model: ReidModel, most: int, seed: int) -> dict[str, float]:
    """`IdentityJudge.planted_aurocs` of at most ``most`` rows, chosen by ``seed``; nothing where nobody is known."""
    index = index_all([dataset], FACTS).filter(pl.col("identity").is_not_null())
    if not index.height:
        return {}
    some = _some(index, most, seed)
    images = images_at([dataset], some, (model.height, model.width), "planted names")
    found = judge.planted_aurocs(model.embed(images), row_facts(some.lazy()).collect().to_dicts(), seed)
    return {f"{name}_auroc_generated": value for name, value in found.items() if np.isfinite(value)}


def _made_and_real(dataset: Dataset, sources: Sequence[Dataset]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows, with the camera that was asked for, and the real people of the same domains and splits."""
    made = index_all([dataset], ("domain", "split", "target", "height", "width"))
    made = made.with_columns(camera=pl.col("target").struct.field("camera")).drop("target")
    real = people_in(sources, ("domain", "split", "camera"))
    # A network knows the people it learned from: real images of others would lie further from everything.
    return made, real.join(made, ["domain", "split"], "semi", nulls_equal=True, maintain_order="left")


_Chosen = tuple[Sequence[Dataset], pl.DataFrame]


def _distances(made: _Chosen, real: _Chosen, model: ReidModel, most: int, seed: int) -> dict[str, float]:
    if made[1].height < LEAST_GENERATED or real[1].height < LEAST_REAL:
        return {}
    size = model.height, model.width
    generated, originals = _some_images(*made, size, most, seed), _some_images(*real, size, 2 * most, seed)
    measured = measure_generation(model, generated, originals, seed).as_dict()
    return {
        f"{name.removeprefix('real_')}_real" if name.startswith("real_") else name: value
        for name, value in measured.items()
        if name != "images"
    }


def _some_images(
    datasets: Sequence[Dataset], index: pl.DataFrame, size: tuple[int, int], most: int, seed: int
) -> Images:
    """At most ``most`` images of the rows of ``index``, at ``size``."""
    return images_at(datasets, _some(index, most, seed), size, "compared images")


def _some(index: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    """At most so many rows, in order."""
    return index[np.sort(random_generator(seed, SetStream.SCORED_IMAGES).permutation(index.height)[:most])]
