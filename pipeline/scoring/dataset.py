"""Scores for a whole synthetic data set: how far each row's identity can be believed, how good the set is as a set.

A new data set with the same rows is written; the scores stand in its column ``quality`` and in its run record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from manifests.disk.records import CommitRecord, Snapshot, commit_path
from manifests.errors import UserError
from manifests.format.names import bare_name, content_id
from manifests.format.schema import QUALITY, QUALITY_SCORES
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.earlier_runs import inherited_runs, row_plans
from manifests.reading.inputs import open_input
from manifests.reading.origins import find_origins
from manifests.reading.people import SHOWN_DATASET
from manifests.storage.whole_files import open_storage
from manifests.writing.attempt import attempt
from manifests.writing.run import DatasetRun
from pipeline.checkpoints.cards import describe_model
from pipeline.common.environment import environment
from pipeline.common.finite import naming
from pipeline.common.progress import Progress
from pipeline.common.settings import JobSettings
from pipeline.measures.identity import NOBODY, Calibration, calibrate, weigh
from pipeline.reid.model import ReidModel
from pipeline.scoring.set_scores import row_means, set_distances
from pipeline.scoring.source_people import SourcePeople, decoded, source_people

JOB = "score_dataset"
_VERSION = "1"
_PART = 256


class ScoreSettings(JobSettings):
    """What the scores depend on, beside the data and the model."""

    wrong_share: float = Field(0.2, gt=0, lt=1, description="share of wrong labels to expect: the reliability's prior")
    set_images: int = Field(2000, ge=6, description="most images of a kind that FID, KID and coverage are taken over")
    seed: int = Field(0, ge=0, description="which wrong labels are planted, which images are compared")


@dataclass(frozen=True)
class Scoring:
    """One data set to score, by which model, against which source manifests."""

    dataset: Dataset
    model: ReidModel
    model_name: str
    sources: tuple[Dataset, ...]
    settings: ScoreSettings

    @property
    def plan_id(self) -> str:
        """Digest of all that the scores depend on."""
        inputs = [one.digest() for one in (self.dataset, *self.sources)]
        return content_id("scores", _VERSION, self.model.sha256, self.settings.model_dump_json(), *inputs)


def open_scoring(
    uri: str, sources: Sequence[str], model: ReidModel, model_name: str, settings: ScoreSettings
) -> Scoring:
    """The data set at ``uri`` and its sources: those given, else those that its run record names.

    Raises:
        UserError: one is not there or of another kind, or nothing says what the sources are.
    """
    dataset = open_input(uri, "synthetic")
    named = sources or [one.uri for one in find_origins(dataset, None, None).sources]
    opened = [open_input(one, "source", flag="--source") for one in named]
    if not opened:
        raise UserError(f"no source manifest of {uri} is where its run record says: name it with --source")
    return Scoring(dataset, model, model_name, tuple(opened), settings)


def score(job: Scoring, output: str) -> Dataset:
    """Write the scored data set to ``output``; the same call goes on with what was stopped.

    Raises:
        UserError: ``output`` is the data set itself or holds something else, a source image is missing, the sources
            show too few people, or the model's features are not finite.
    """
    dataset = job.dataset
    if open_storage(output).uri in (dataset.uri, *(one.uri for one in job.sources)):
        raise UserError(f"{output} is one of the data sets to read: choose another folder for the output")
    rejects = {entry.shard: entry for entry in dataset.snapshot.rejects}
    planned = {
        number: entry.rows + (rejects[entry.shard].rows if entry.shard in rejects else 0)
        for number, entry in enumerate(dataset.snapshot.files)
    }
    classes = dataset.classes
    footer = {ClassMap.FOOTER_KEY: classes.to_json()} if classes is not None else {}
    begin = partial(DatasetRun.start, output, "synthetic", job.plan_id, planned, footer=footer, run=_run_record(job))
    present = Snapshot.newest(open_storage(output))
    if present is not None and job.plan_id in present.plan_ids and begin().finished:
        return open_dataset(output)
    # Before the run begins: what is wrong with the sources leaves nothing behind.
    judge = _Judge.of(job)
    run = begin()
    todo = {number: dataset.snapshot.files[number] for number in run.pending()}
    total = sum(entry.rows for entry in todo.values())
    with attempt(run, len(planned)):
        with Progress("score", total, "rows") as progress:
            for number, entry in todo.items():
                rows = _scored(dataset.read_file(entry), dataset.uri, job.model, judge, progress)
                lost = dataset.read_file(rejects[entry.shard]) if entry.shard in rejects else None
                run.sink.commit(number, rows, lost, row_plans=row_plans(dataset, entry))
        run.note(_figures(job, judge, _written(dataset, output)))
        run.close()
    return open_dataset(output)


@dataclass(frozen=True)
class _Judge:
    """Who can be recognised, how evidence becomes reliability, and how well that did on people kept apart."""

    people: SourcePeople
    calibration: Calibration
    measured: Mapping[str, Any]

    @classmethod
    def of(cls, job: Scoring) -> _Judge | None:
        """None where no row shows anybody."""
        shown = job.dataset.scan().drop_nulls("identity").select(_CONTENT.alias("content")).drop_nulls()
        digests = set(shown.collect().get_column("content").to_list())
        if not digests:
            return None
        people, strangers = source_people(job.sources, digests, job.model)
        try:
            calibration, measured = calibrate(strangers.gallery, job.settings.wrong_share, job.settings.seed)
        except ValueError as error:
            raise UserError(f"the sources of {job.dataset.uri} do not do: {error}") from None
        measured = {**measured, "people": len(strangers.numbers), "splits": list(strangers.splits)}
        return cls(people, calibration, measured)

    def scores(self, features: NDArray[np.float32], rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        """By name of the score, nan for rows that show nobody whom the sources show."""
        people, gallery = self.people, self.people.gallery
        numbers = [people.numbers.get(_person(row), NOBODY) for row in rows]
        sources = [people.rows.get(row["content"], NOBODY) for row in rows]
        known = np.flatnonzero((np.array(numbers) != NOBODY) & (np.array(sources) != NOBODY))
        labels, left_out = np.array(numbers, np.int64)[known], np.array(sources, np.int64)[known]
        similarities = gallery.similarities(features[known], left_out)
        evidence = weigh(similarities, labels, self.calibration.temperature)
        found = {
            "identity_similarity": (features[known] * gallery.features[left_out]).sum(axis=1),
            "identity_rank": evidence.rank,
            "identity_margin": evidence.margin,
            "identity_entropy": evidence.entropy,
            "reliability": self.calibration.reliability(evidence),
        }
        columns = {name: np.full(len(rows), np.nan, np.float32) for name in found}
        for name, values in found.items():
            columns[name][known] = values
        return columns


_CONTENT = (
    pl.col("sources")
    .list.eval(pl.element().filter(pl.element().struct.field("role") == "content"))
    .list.first()
    .struct.field("sha256")
)


def _person(row: Mapping[str, Any]) -> tuple[str, str]:
    """A row's labelled identity, as its source's data set names it."""
    return row["dataset_id"], bare_name(row["dataset_id"] or "", row["identity"] or "")


def _scored(table: pa.Table, uri: str, model: ReidModel, judge: _Judge | None, progress: Progress) -> pa.Table:
    """``table``, of the data set at ``uri``, with the judge's scores in ``quality``; the other scores stay."""
    if judge is None:
        progress.advance(table.num_rows)
        return table
    frame = pl.DataFrame(pl.from_arrow(table.select(["identity", "sources"])))
    rows = frame.select("identity", SHOWN_DATASET, _CONTENT.alias("content")).to_dicts()
    parts = []
    for start in range(0, table.num_rows, _PART):
        some = rows[start : start + _PART]
        images = decoded(table.slice(start, _PART), uri, model)
        with naming(uri):
            features = model.embed(images)
        parts.append(judge.scores(features, some))
        progress.advance(len(some))
    quality = table.column("quality").combine_chunks()
    columns = {name: quality.field(name) for name in QUALITY_SCORES}
    if parts:
        for name in parts[0]:
            columns[name] = pa.array(np.concatenate([part[name] for part in parts]), pa.float32(), from_pandas=True)
    place = table.schema.get_field_index("quality")
    merged = pa.StructArray.from_arrays(list(columns.values()), fields=list(QUALITY))
    return table.set_column(place, table.schema.field(place), merged)


def _written(dataset: Dataset, output: str) -> Dataset:
    """The rows that the run has committed, before it is closed."""
    storage = open_storage(output)
    records = [CommitRecord.load(storage, commit_path(number)) for number in range(len(dataset.snapshot.files))]
    files = tuple(record.data for record in records if record is not None)
    return Dataset(storage.uri, replace(dataset.snapshot, files=files), storage)


def _figures(job: Scoring, judge: _Judge | None, scored: Dataset) -> dict[str, Any]:
    """What the run record says of the whole set."""
    with naming(job.dataset.uri):
        distances = set_distances(scored, job.sources, job.model, job.settings.set_images, job.settings.seed)
    figures: dict[str, Any] = {"scores": {**row_means(scored), **distances}}
    if judge is not None:
        told = {f"reliability_{name}": judge.measured[name] for name in ("auroc", "ece")}
        figures["scores"] |= told
        figures["calibration"] = {**judge.calibration.as_dict(), **judge.measured}
    return figures


def _run_record(job: Scoring) -> dict[str, Any]:
    described = describe_model(job.model_name, job.model.sha256)
    return {
        "job": JOB,
        "settings": job.settings.model_dump(mode="json"),
        "checkpoints": [{**described, "role": "judge of identities", "name": job.model_name, "recipe": "reid"}],
        "environment": environment(str(next(job.model.network.parameters()).device)),
        "scored_against": [{"uri": one.uri, "digest": one.digest()} for one in job.sources],
        "merged": inherited_runs([job.dataset]),
    }
