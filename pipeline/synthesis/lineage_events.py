"""OpenLineage run events as JSON objects: who made what of what, for lineage servers (https://openlineage.io).

Built here and not by the ``openlineage-python`` client: an event is one small object, while the client also reads
configuration files and environment variables of its own, retries a dead server for minutes and needs a package more.
The tests read every event back with the client's own classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from manifests import __version__
from manifests.format.schema import SCHEMAS, Kind
from manifests.reading.dataset import Dataset

NAMESPACE = "reid-synth"
_PRODUCER = f"pkg:generic/{NAMESPACE}@{__version__}"
EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
EventType = Literal["START", "COMPLETE", "ABORT", "FAIL"]
Json = dict[str, Any]

# The versions of the facets' schemas that the objects below follow.
_FACETS = {
    "dataSource": "1-0-1/DatasourceDatasetFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "inputStatistics": "1-0-0/InputStatisticsInputDatasetFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "sourceCodeLocation": "1-1-0/SourceCodeLocationJobFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
}
_OWN_FACET = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"
"""Facets of our own (``reidSynth_...``) have no schema but that of any run facet."""


@dataclass(frozen=True)
class LineageRun:
    """What events tell of a run: its job, its record as in ``run.json``, what goes in, where the rows go."""

    job: str
    kind: Kind
    record: Mapping[str, Any]
    inputs: tuple[Dataset | Path, ...]
    output_uri: str


def run_event(
    event: EventType, run_id: str, run: LineageRun, *, error: str | None = None, made: Dataset | None = None
) -> Json:
    """The event that says what has become of the run ``run_id`` (a UUID) just now.

    ``error`` is the message of a run that failed, ``made`` the data set of one that is complete.
    """
    return {
        "eventType": event,
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "producer": _PRODUCER,
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": run_id, "facets": _run_facets(run.record, error)},
        "job": {"namespace": NAMESPACE, "name": run.job, "facets": _job_facets(run.record)},
        "inputs": [_input(one) for one in run.inputs],
        "outputs": [_output(run, made)],
    }


def dataset_name(uri: str) -> tuple[str, str]:
    """Namespace and name of a data set by OpenLineage's naming: the store, and the path in it."""
    parts = urlsplit(uri)
    if parts.netloc:
        return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/") or "/"
    return "file", str(Path(parts.path if parts.scheme == "file" else uri).expanduser().absolute())


def _facet(name: str, /, **fields: Any) -> Json:
    known = _FACETS.get(name)
    where = f"https://openlineage.io/spec/facets/{known}.json#/$defs/{known.split('/')[1]}" if known else _OWN_FACET
    return {name: {"_producer": _PRODUCER, "_schemaURL": where, **fields}}


def _run_facets(record: Mapping[str, Any], error: str | None) -> Json:
    environment = record.get("environment") or {}
    facets = _facet(
        "reidSynth_settings",
        settings=record.get("settings"),
        settingsSha256=record.get("settings_sha256"),
        environmentFingerprint=environment.get("fingerprint"),
    )
    models = record.get("checkpoints") or []
    named = [{key: one.get(key) for key in ("name", "role", "recipe", "sha256", "licence")} for one in models]
    facets |= _facet("reidSynth_checkpoints", checkpoints=named)
    if error is not None:
        facets |= _facet("errorMessage", message=error, programmingLanguage="Python")
    return facets


def _job_facets(record: Mapping[str, Any]) -> Json:
    facets = _facet("jobType", processingType="BATCH", integration="REID_SYNTH", jobType="JOB")
    commit = (record.get("environment") or {}).get("git_commit")
    if commit:
        # The commit itself is named, wherever a copy of the repository lies: https://www.swhid.org
        facets |= _facet("sourceCodeLocation", type="git", url=f"swh:1:rev:{commit}", version=commit)
    return facets


def _input(one: Dataset | Path) -> Json:
    if isinstance(one, Path):
        namespace, name = dataset_name(str(one))
        return {"namespace": namespace, "name": name, "facets": _facet("dataSource", name=name, uri=f"file://{name}")}
    return {
        **_described(one.uri, one.kind, one),
        "inputFacets": _facet("inputStatistics", **_statistics(one)),
    }


def _output(run: LineageRun, made: Dataset | None) -> Json:
    described = _described(run.output_uri, run.kind, made)
    return described | ({"outputFacets": _facet("outputStatistics", **_statistics(made))} if made else {})


def _described(uri: str, kind: Kind, dataset: Dataset | None) -> Json:
    namespace, name = dataset_name(uri)
    columns = [{"name": field.name, "type": str(field.type)} for field in SCHEMAS[kind]]
    facets = _facet("schema", fields=columns)
    facets |= _facet("dataSource", name=namespace, uri=f"file://{name}" if namespace == "file" else uri)
    if dataset is not None:
        facets |= _facet("version", datasetVersion=dataset.digest())
    return {"namespace": namespace, "name": name, "facets": facets}


def _statistics(dataset: Dataset) -> Json:
    files = dataset.snapshot.files
    return {"rowCount": dataset.snapshot.rows, "size": sum(one.bytes for one in files), "fileCount": len(files)}
