"""Keeping the generated rows that help: a smaller data set of the same rows, and why each of the others is not in it.

Three ways. ``reliability``: what shows its person, reached what was asked for and is unlike what is there already; as
many rows of each person. ``influence``: what lowers the loss of real rows. ``random``: the arm to beat, of the same
size. What is left out stands among the rejects of the data set, stage ``choose``, with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Self

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import Field, model_validator

from manifests.errors import UserError
from manifests.format.names import content_id
from manifests.format.schema import REJECT_SCHEMA
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.inputs import open_input
from pipeline.checkpoints.cards import describe_model
from pipeline.common.devices import device_of
from pipeline.common.environment import environment
from pipeline.common.progress import Progress
from pipeline.common.settings import JobSettings
from pipeline.reid.model import ReidModel
from pipeline.scoring.choices import Choice, by_influence, by_random, by_reliability
from pipeline.scoring.rewriting import Rewriting, check_output, rewrite
from pipeline.scoring.row_facts import CONTENT
from pipeline.scoring.source_people import open_sources
from pipeline.scoring.watched import Watched
from pipeline.sources.files import Split

JOB = "choose_rows"
_VERSION = "2"
_READ_BY = {"min_reliability": "reliability", "min_confidence": "reliability", "seed": "random"}
"""Settings that one way of choosing reads alone."""


class ChoiceSettings(JobSettings):
    """How many rows are kept, and which."""

    group = "choice"
    by: Literal["reliability", "influence", "random"] = Field(
        "reliability",
        description="reliability x target confidence x diversity, influence on --validation, or at random",
    )
    keep: float | None = Field(None, gt=0, lt=1, description="share of the rows to keep")
    rows: int | None = Field(None, ge=1, description="how many rows to keep")
    min_reliability: float = Field(0.5, ge=0, le=1, description="reliability: keep no row of a person below it")
    min_confidence: float = Field(0.0, ge=0, le=1, description="reliability: keep no row of a lower target_confidence")
    seed: int = Field(0, ge=0, description="random: which rows are drawn")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if (self.keep is None) == (self.rows is None):
            raise UserError("name the size of what is kept: --keep SHARE or --rows N")
        for name, by in _READ_BY.items():
            if by != self.by and getattr(self, name) != type(self).model_fields[name].default:
                raise UserError(f"--by {self.by} takes no --{name.replace('_', '-')}")
        return self

    def count(self, candidates: int) -> int:
        """How many of ``candidates`` are kept.

        Raises:
            UserError: there are fewer than are asked for, or none would be left.
        """
        count = self.rows if self.rows is not None else round((self.keep or 0) * candidates)
        if not 0 < count <= candidates:
            raise UserError(f"{count} rows are to be kept of {candidates}: see --rows and --keep")
        return count


@dataclass(frozen=True)
class Choosing:
    """The rows to choose from, and what judges them."""

    dataset: Dataset
    settings: ChoiceSettings
    models: tuple[tuple[str, ReidModel], ...] = ()
    """By the name that was given."""
    sources: tuple[Dataset, ...] = ()
    """Real rows of the same people: reliability."""
    watched: Watched = field(default_factory=Watched)
    """Real rows whose loss counts: influence."""

    @property
    def real(self) -> tuple[Dataset, ...]:
        """All source manifests that are read."""
        return (*self.sources, *self.watched.datasets)

    @property
    def plan_id(self) -> str:
        """Digest of all that the choice depends on."""
        inputs = [one.digest() for one in (self.dataset, *self.real)]
        models = [model.sha256 for _, model in self.models]
        settings = self.settings.model_dump_json()
        return content_id("choice", _VERSION, settings, *models, "data", *inputs, *self.watched.splits)

    def choice(self) -> Choice:
        """Which rows are kept.

        Raises:
            UserError: more are asked for than there are, or what judges them cannot.
        """
        settings, models = self.settings, [model for _, model in self.models]
        count = settings.count(self.dataset.snapshot.rows)
        if settings.by == "reliability":
            least = settings.min_reliability, settings.min_confidence
            return by_reliability(self.dataset, self.sources, models[0], count, *least)
        if settings.by == "influence":
            return by_influence(self.dataset, self.watched, models, count)
        return by_random(self.dataset, count, settings.seed)


def open_choosing(
    uri: str,
    settings: ChoiceSettings,
    models: Sequence[tuple[str, ReidModel]] = (),
    sources: Sequence[str] = (),
    validation: str | None = None,
    validation_splits: Sequence[Split] = (),
) -> Choosing:
    """The rows at ``uri`` and what the way of choosing takes: for ``reliability`` one model and ``sources`` (by default
    those that the run record names); for ``influence`` models and the rows to watch, those of ``validation`` in
    ``validation_splits`` (by default query and gallery), or else the training rows of the sources.

    Raises:
        UserError: one is not there, of another kind, missing, or not asked for.
    """
    dataset, by = open_input(uri, "synthetic"), settings.by
    _check_flags(by, len(models), bool(sources), validation is not None)
    if validation_splits and validation is None:
        raise UserError("--validation-splits are those of --validation: name it")
    if by == "random":
        return Choosing(dataset, settings)
    if by == "reliability":
        return Choosing(dataset, settings, tuple(models), sources=open_sources(dataset, sources))
    if validation is None:
        return Choosing(dataset, settings, tuple(models), watched=Watched(open_sources(dataset, sources), ("train",)))
    watched = Watched(
        (open_input(validation, "source", flag="--validation"),), tuple(validation_splits or ("query", "gallery"))
    )
    return Choosing(dataset, settings, tuple(models), watched=watched)


def _check_flags(by: str, models: int, sources: bool, validation: bool) -> None:
    """Refuse what the way of choosing does not read, and miss what it does."""
    wanted = {"reliability": "one --model", "influence": "--model, once or more", "random": "no --model"}
    if not {"reliability": models == 1, "influence": models > 0, "random": models == 0}[by]:
        raise UserError(f"--by {by} takes {wanted[by]}, got {models or 'none'}")
    if validation and by != "influence":
        raise UserError(f"--by {by} takes no --validation")
    if sources and (validation or by == "random"):
        raise UserError(f"--by {by} takes no --source{' beside --validation' if validation else ''}")


def choose_rows(job: Choosing, output: str) -> Dataset:
    """Write the rows that are kept to ``output``; the same call goes on with what was stopped.

    Raises:
        UserError: ``output`` is a data set that is read or holds something else, or as `Choosing.choice`.
    """
    check_output(output, (job.dataset, *job.real))
    return rewrite(job.dataset, output, job.plan_id, _record(job), partial(_rewriting, job), "choose")


def _rewriting(job: Choosing) -> Rewriting:
    choice = job.choice()
    starts = np.cumsum([0, *(entry.rows for entry in job.dataset.snapshot.files)])

    def chosen(number: int, table: pa.Table, progress: Progress) -> tuple[pa.Table, pa.Table]:
        part = choice.slice(int(starts[number]), table.num_rows)
        progress.advance(table.num_rows)
        return table.filter(pa.array(part.kept)), _dropped(table, part)

    counts = {"candidates": len(choice.kept), "kept": int(choice.kept.sum())}
    return Rewriting(chosen, lambda _: {"choice": {**counts, **choice.figures}})


def _dropped(table: pa.Table, choice: Choice) -> pa.Table:
    """What the rejects table says of the rows of ``table`` that are not kept."""
    names = frame_of(table.select(["sample_id", "sources"])).select("sample_id", CONTENT)
    rows = names.with_columns(reason=pl.Series(choice.reasons), message=pl.Series(choice.messages))
    rejects = [
        {
            "item_id": row["sample_id"],
            "stage": "choose",
            "reason": row["reason"],
            "message": row["message"],
            "source_sha256": row["content"],
        }
        for row in rows.filter(pl.Series(~choice.kept)).to_dicts()
    ]
    return pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA)


def _record(job: Choosing) -> dict[str, Any]:
    role = {"reliability": "features of the rows", "influence": "network that rows act on"}.get(job.settings.by, "")
    return {
        "job": JOB,
        "settings": job.settings.model_dump(mode="json"),
        "checkpoints": [
            {**describe_model(name, model.sha256), "role": role, "name": name, "recipe": "reid"}
            for name, model in job.models
        ],
        "environment": environment(next((device_of(model.network) for _, model in job.models), "cpu")),
        "chosen_by": [{"uri": one.uri, "digest": one.digest()} for one in job.real],
    }
