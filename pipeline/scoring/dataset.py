"""Scores for a whole synthetic data set: how far each row's identity can be believed, how good the set is as a set.

A new data set with the same rows is written; the scores stand in its column ``quality`` and in its run record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from manifests.errors import UserError
from manifests.format.names import content_id
from manifests.format.schema import OF_THE_SET, QUALITY
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.inputs import open_input
from manifests.reading.origins import find_origins
from pipeline.checkpoints.cards import describe_model
from pipeline.common.devices import device_of
from pipeline.common.environment import environment
from pipeline.common.finite import naming
from pipeline.common.progress import Progress
from pipeline.common.settings import Advanced, JobSettings
from pipeline.reid.model import ReidModel
from pipeline.scoring.identity_judge import IdentityJudge
from pipeline.scoring.likenesses import Likenesses
from pipeline.scoring.rewriting import Rewriting, check_output, rewrite
from pipeline.scoring.row_facts import FACTS, row_facts
from pipeline.scoring.set_scores import (
    LEAST_ADAPTED,
    at_home,
    planted_aurocs,
    row_means,
    set_detail,
    set_distances,
    target_means,
)
from pipeline.scoring.source_people import decoded, open_sources
from pipeline.scoring.target_judge import TargetJudge, Teaching, confidence_in_all, target_judges

JOB = "score_dataset"
_VERSION = "6"
_PART = 256
_JUDGED = (
    *("identity_similarity", "identity_rank", "identity_margin", "identity_entropy"),
    *("reliability", "plausibility", "target_confidence"),
    *OF_THE_SET,
)
"""Scores that are given here: where nobody can tell they are null, and no earlier scoring's stay."""


class ScoreSettings(JobSettings):
    """What the scores depend on, beside the data and the model."""

    group = "scores"
    wrong_share: float = Field(0.2, gt=0, lt=1, description="share of wrong labels to expect: the plausibility's prior")
    set_images: Advanced[int] = Field(
        2000, ge=6, description="most images of a kind that FID, KID and coverage are taken over"
    )
    target_images: Advanced[int] = Field(
        4000, ge=4, description="most real images that the classifiers of targets learn from"
    )
    target_steps: Advanced[int] = Field(
        200, ge=0, description="steps in which they learn cameras, domains or poses; 0: no target_confidence"
    )
    likeness: bool = Field(True, description="look for near duplicates: compares every row to every other")
    map_images: int = Field(5000, ge=0, description="most rows on the map of the set, for the report; 0: no map")
    adapt_norm: bool = Field(
        True,
        description="recognise people in generated rows with batch norms re-estimated on these rows (AdaBN); fewer "
        f"than {LEAST_ADAPTED} are too few for it",
    )
    seed: int = Field(0, ge=0, description="which wrong labels are planted, which images are compared and learned from")


@dataclass(frozen=True)
class Scoring:
    """One data set to score, by which model, against which source manifests."""

    dataset: Dataset
    model: ReidModel
    model_name: str
    sources: tuple[Dataset, ...]
    settings: ScoreSettings
    annotations: tuple[Dataset, ...] = ()

    @property
    def plan_id(self) -> str:
        """Digest of all that the scores depend on."""
        inputs = [one.digest() for one in (self.dataset, *self.sources, *self.annotations)]
        return content_id("scores", _VERSION, self.model.sha256, self.settings.model_dump_json(), *inputs)


def open_scoring(
    uri: str,
    sources: Sequence[str],
    model: ReidModel,
    model_name: str,
    settings: ScoreSettings,
    annotations: Sequence[str] = (),
) -> Scoring:
    """The data set at ``uri``, its sources and their annotations: those given, else those that its run record names.

    Raises:
        UserError: one is not there or of another kind, nothing says what the sources are, or ``annotations`` are given
            where no target is judged.
    """
    if annotations and not settings.target_steps:
        raise UserError("--target-steps 0 judges no poses: leave --annotations out")
    dataset = open_input(uri, "synthetic")
    opened = open_sources(dataset, sources)
    posed = annotations or [one.uri for one in find_origins(dataset, None, None).annotations]
    known = tuple(open_input(one, "annotation", flag="--annotations") for one in posed)
    return Scoring(dataset, model, model_name, opened, settings, known)


def score(job: Scoring, output: str) -> Dataset:
    """Write the scored data set to ``output``; the same call goes on with what was stopped.

    Raises:
        UserError: ``output`` is the data set itself or holds something else, a source image is missing, the sources
            show too few people, or the model's features are not finite.
    """
    check_output(output, (job.dataset, *job.sources, *job.annotations))
    return rewrite(job.dataset, output, job.plan_id, _run_record(job), partial(_rewriting, job), "score")


def _rewriting(job: Scoring) -> Rewriting:
    judges = _Judges.of(job)

    starts = np.cumsum([0, *(entry.rows for entry in job.dataset.snapshot.files)])
    settings = job.settings
    likenesses = (
        Likenesses.of(job.dataset, job.model, settings.map_images, settings.seed) if settings.likeness else None
    )

    def scored(number: int, table: pa.Table, progress: Progress) -> tuple[pa.Table, None]:
        beside = likenesses.of_rows(int(starts[number]), table.num_rows) if likenesses else {}
        return _scored(table, beside, job.dataset.uri, judges, progress), None

    return Rewriting(scored, partial(_figures, job, judges, likenesses))


@dataclass(frozen=True)
class _Judges:
    """Who says what of a row; nobody says anything where no row shows anybody or asks for anything."""

    model: ReidModel
    """As `at_home` among the rows."""
    identity: IdentityJudge | None
    targets: Sequence[TargetJudge]
    silent: Mapping[str, str]
    """By kind of target, why nobody judges it."""

    @classmethod
    def of(cls, job: Scoring) -> _Judges:
        settings, model = job.settings, job.model
        identity = IdentityJudge.of(job.dataset, job.sources, model, settings.wrong_share, settings.seed)
        if identity is not None and settings.adapt_norm:
            model = at_home(model, job.dataset, settings.set_images, settings.seed)
        if not settings.target_steps:
            return cls(model, identity, (), {})
        size, device = (model.height, model.width), device_of(model.network)
        teaching = Teaching(settings.target_images, settings.target_steps, size, settings.seed, device)
        return cls(model, identity, *target_judges(job.dataset, job.sources, job.annotations, teaching))

    def scores(self, images: NDArray[np.uint8], facts: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """By name of the score, (N,), nan where nobody can tell."""
        found: dict[str, NDArray[Any]] = {}
        if self.identity is not None:
            found |= self.identity.scores(self.model.embed(images), facts.to_dicts())
        if self.targets:
            found["target_confidence"] = confidence_in_all(self.targets, images, facts).astype(np.float32)
        return found


def _scored(
    table: pa.Table, beside: Mapping[str, NDArray[Any]], uri: str, judges: _Judges, progress: Progress
) -> pa.Table:
    """``table``, of the data set at ``uri``, with the judges' scores in ``quality`` and those of ``beside``; what is
    not `_JUDGED` stays."""
    parts = []
    for start in range(0, table.num_rows if judges.identity or judges.targets else 0, _PART):
        some = table.slice(start, _PART)
        images = decoded(some, uri, judges.model.height, judges.model.width)
        with naming(uri):
            parts.append(judges.scores(images, row_facts(frame_of(some.select(FACTS)).lazy()).collect()))
        progress.advance(len(images))
    if not parts:
        progress.advance(table.num_rows)
    quality = table.column("quality").combine_chunks()
    columns = {field.name: quality.field(field.name) for field in QUALITY}
    columns |= dict.fromkeys(_JUDGED, pa.nulls(table.num_rows, pa.float32()))
    judged = {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}
    for name, values in {**judged, **beside}.items():
        columns[name] = pa.array(values, pa.float32(), from_pandas=True)
    place = table.schema.get_field_index("quality")
    merged = pa.StructArray.from_arrays(list(columns.values()), fields=list(QUALITY))
    return table.set_column(place, table.schema.field(place), merged)


def _figures(job: Scoring, judges: _Judges, likenesses: Likenesses | None, scored: Dataset) -> dict[str, Any]:
    """What the run record says of the whole set."""
    with naming(job.dataset.uri):
        most, seed = job.settings.set_images, job.settings.seed
        distances = set_distances(scored, job.sources, job.model, most, seed)
        distances |= set_detail(scored, job.sources, most, seed)
    figures: dict[str, Any] = {"scores": {**row_means(scored), **target_means(judges.targets), **distances}}
    figures["targets"] = {judge.question.kind: judge.as_dict() for judge in judges.targets}
    figures["targets"] |= {kind: {"not_judged": reason} for kind, reason in judges.silent.items()}
    if likenesses is not None:
        figures["near_duplicates"] = {"least_similarity": likenesses.least}
    if judges.identity is not None:
        measured = judges.identity.measured
        figures["scores"] |= planted_aurocs(scored, judges.identity, judges.model, most, seed)
        figures["scores"] |= {f"reliability_{name}": measured[name] for name in ("auroc", "ece")}
        figures["scores"] |= {name: measured[name] for name in ("plausibility_auroc", "plausibility_ece")}
        figures["calibration"] = {**judges.identity.calibration.as_dict(), **measured}
    return figures


def _run_record(job: Scoring) -> dict[str, Any]:
    described = describe_model(job.model_name, job.model.sha256)
    return {
        "job": JOB,
        "settings": job.settings.model_dump(mode="json"),
        "checkpoints": [{**described, "role": "judge of identities", "name": job.model_name, "recipe": "reid"}],
        "environment": environment(device_of(job.model.network)),
        "scored_against": [{"uri": one.uri, "digest": one.digest()} for one in (*job.sources, *job.annotations)],
    }
