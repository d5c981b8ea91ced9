"""The form of a run's record, in ``run.json`` and in snapshots; what a job put under ``run`` is its own affair."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field, PlainValidator, TypeAdapter
from typing_extensions import TypedDict

from manifests.common.strict_json import Count, Text, validated
from manifests.format.schema import Kind

ShardRows = dict[Annotated[str, Field(strict=True, pattern=r"^(0|[1-9][0-9]{0,17})$")], Count]
"""Planned rows by the plan's shard numbers, which are texts in JSON."""


class RecordedPlan(TypedDict):
    """What a record says of the run's plan."""

    plan_id: Text
    first_shard: NotRequired[Count]
    shard_rows: NotRequired[ShardRows]


class Resumption(TypedDict):
    """A later attempt: when it began, and what was otherwise than in the first."""

    time: Text
    changed: dict[Text, Any]


class Counts(TypedDict):
    """What became of the planned rows; the first version knew no erasure."""

    planned: Count
    written: Count
    rejected: Count
    erased: NotRequired[Count]
    reasons: dict[Text, Count]


class RunRecord(TypedDict, total=False):
    """A run, from its beginning on; in ``run.json`` with those before it."""

    schema_version: Text
    kind: Kind
    status: Text
    reason: Text
    """Why it failed."""
    started: Text
    closed: Text
    plan: RecordedPlan
    footer: dict[Text, Text]
    run: dict[Text, Any]
    resumed: list[Resumption]
    counts: Counts
    earlier_runs: list[RunRecord]


_FORM = TypeAdapter(RunRecord)


def checked_run(value: Any) -> RunRecord:
    """``value``, with all that the form does not know, if it is the record of a run.

    Raises:
        ValueError: it is none.
    """
    validated(_FORM, value, lenient=True)
    record: RunRecord = value
    return record


CheckedRun = Annotated[RunRecord, PlainValidator(checked_run)]
"""A run's record as part of another form."""


def recorded_plan(state: RunRecord | None) -> str | None:
    """The plan of the last run that ``run.json`` tells of."""
    return state["plan"]["plan_id"] if state is not None and "plan" in state else None
