"""What ``run.json`` must look like before anything is taken from it; what a job put under ``run`` is its own affair."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from manifests.common.strict_json import Count, Text, validated
from manifests.disk.records import MEND, RUN, BrokenDatasetError, load
from manifests.format.schema import Kind, check_version
from manifests.storage.whole_files import Storage

_ShardNumber = Annotated[str, Field(strict=True, pattern=r"^(0|[1-9][0-9]{0,17})$")]


class _Plan(TypedDict):
    plan_id: Text
    first_shard: NotRequired[Count]
    shard_rows: NotRequired[dict[_ShardNumber, Count]]


class _Run(TypedDict):
    schema_version: NotRequired[Text]
    kind: NotRequired[Kind]
    status: NotRequired[Text]
    started: NotRequired[Text]
    closed: NotRequired[Text]
    plan: NotRequired[_Plan]
    footer: NotRequired[dict[Text, Text]]
    run: NotRequired[dict[Text, Any]]
    resumed: NotRequired[list[dict[Text, Any]]]
    earlier_runs: NotRequired[list[dict[Text, Any]]]


_FORM = TypeAdapter(_Run)


def load_run(storage: Storage) -> dict[str, Any] | None:
    """The run's record, or None where there is none; what it does not say is not there.

    Raises:
        BrokenDatasetError: it is no record of a run.
        UserError: a newer major version wrote it.
    """
    value = load(storage, RUN)
    if value is None:
        return None
    where = storage.locate(RUN)
    if "schema_version" in value:
        check_version(str(value["schema_version"]), where)
    try:
        validated(_FORM, value, lenient=True)
        for earlier in value.get("earlier_runs", ()):
            validated(_FORM, earlier, lenient=True)
    except ValueError as error:
        raise BrokenDatasetError(f"{where} is no run record: {error}; {MEND}", RUN) from None
    return value
