"""What ``run.json`` says of a data set's making, in the order and words of the report; whatever is odd is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Input:
    """A data set that went in, with its terms; empty where the record says nothing."""

    id: str
    role: str
    licence: str
    consent: str
    digest: str
    uri: str
    rows: int | None


@dataclass(frozen=True)
class Model:
    """A trained model whose work is in the rows; empty where the record says nothing."""

    name: str
    role: str
    recipe: str
    licence: str
    trained_on: str
    sha256: str


@dataclass(frozen=True)
class RunRecord:
    """One run: what it was told, what it used, where it ran. Names are those of the record."""

    job: str
    started: str
    settings: Pairs
    environment: Pairs
    inputs: list[Input]
    models: list[Model]
    annotations_uri: str
    figures: dict[str, float]
    """Figures of the whole set (FID, say) where a job recorded them as ``scores``."""


def run_records(state: Mapping[str, Any]) -> list[RunRecord]:
    """Every run whose rows are in the data set, the first one first; ``state`` is ``run.json``."""
    states = [*_mappings(state.get("earlier_runs")), state]
    return [_record(one, one["run"]) for one in states if isinstance(one.get("run"), Mapping) and one["run"]]


def _record(state: Mapping[str, Any], run: Mapping[str, Any]) -> RunRecord:
    annotations = run["annotations"] if isinstance(run.get("annotations"), Mapping) else {}
    return RunRecord(
        job=str(run.get("job") or "run"),
        started=str(state.get("started") or ""),
        settings=_pairs(run.get("settings")),
        environment=_pairs(run.get("environment")),
        inputs=[_input(one) for one in _mappings(run.get("inputs"))],
        models=[_model(one) for one in (*_mappings(run.get("checkpoints")), *_annotators(annotations))],
        annotations_uri=_text(annotations, "uri"),
        figures={name: float(value) for name, value in _items(run.get("scores")) if _is_number(value)},
    )


def _input(one: Mapping[str, Any]) -> Input:
    texts = {name: _text(one, name) for name in ("id", "role", "licence", "consent", "digest", "uri")}
    return Input(**texts, rows=one["rows"] if isinstance(one.get("rows"), int) else None)


def _model(one: Mapping[str, Any]) -> Model:
    return Model(**{name: _text(one, name) for name in ("name", "role", "recipe", "licence", "trained_on", "sha256")})


def _text(value: Mapping[str, Any], name: str) -> str:
    return str(value[name]) if value.get(name) is not None else ""


def _annotators(annotations: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The models that found masks and poses, in the form of the other models."""
    for pair in _mappings(annotations.get("models")):
        for role, digest in (("segmenter", "segmenter_sha256"), ("pose_model", "pose_sha256")):
            if pair.get(role):
                yield {"role": role.replace("_", " "), "name": pair[role], "sha256": pair.get(digest)}


def _pairs(value: Any) -> Pairs:
    """Names and values as text; a mapping is listed in one line."""
    return [
        (name, ", ".join(f"{below} {_plain(text)}" for below, text in _items(inner)) or _plain(inner))
        for name, inner in _items(value)
    ]


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _items(value: Any) -> list[tuple[str, Any]]:
    return [(str(name), inner) for name, inner in value.items()] if isinstance(value, Mapping) else []


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [dict(one) for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
