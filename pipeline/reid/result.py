"""What a finished ReID training leaves: the weights, measured if asked, and the card that says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from manifests.errors import UserError
from pipeline.fingerprint import environment
from pipeline.reid.data import LabelledImages, stream_people
from pipeline.reid.evaluation import Features, Numbers, Retrieval, evaluate
from pipeline.reid.model import FILE_NAME, ReidModel, load_reid, save_reid
from pipeline.reid.training import ReidTraining

CARD = "reid.json"


def evaluate_on(model: ReidModel, uri: str) -> Retrieval:
    """``model`` on the query and gallery splits of the source manifest at ``uri``.

    Raises:
        UserError: there is no such manifest, a split is empty, or no query has an answer.
    """
    found: dict[str, list[tuple[Features, Numbers, Numbers]]] = {"query": [], "gallery": []}
    for split, people in stream_people(uri, tuple(found), model.height, model.width):
        found[split].append((model.embed(people.images), people.identities, people.cameras))
    try:
        return evaluate(*_joined(found["query"]), *_joined(found["gallery"]))
    except ValueError as error:
        raise UserError(f"{uri} cannot be measured on: {error}") from None


def _joined(parts: list[tuple[Features, Numbers, Numbers]]) -> tuple[Features, Numbers, Numbers]:
    features, identities, cameras = zip(*parts, strict=True)
    return np.concatenate(features), np.concatenate(identities), np.concatenate(cameras)


def write_reid(training: ReidTraining, data: Mapping[str, LabelledImages], output: Path) -> ReidModel:
    """Write the trained network to ``output`` and load it again as whoever uses it will."""
    first = next(iter(data.values()))
    height, width = first.images.shape[1:3]
    save_reid(output / FILE_NAME, training.network, height, width, first.classes)
    return load_reid(output, training.device)


def write_card(
    training: ReidTraining,
    data: Mapping[str, LabelledImages],
    model: ReidModel,
    metrics: Mapping[str, float | str],
    output: Path,
) -> Path:
    """Write the card beside the weights; ``data`` are the training sets by name, ``metrics`` what was measured."""
    licences = sorted({name for part in data.values() for name in part.provenance.get("licences", [])})
    card = {
        "network": model.network.settings.model_dump(mode="json"),
        "height": model.height,
        "width": model.width,
        "num_classes": model.network.classes,
        "training": training.settings.model_dump(mode="json"),
        "steps": training.step,
        "losses": training.losses,
        "data": {name: {**part.provenance, "arrays_sha256": part.digest()} for name, part in data.items()},
        "metrics": dict(metrics),
        "sha256": model.sha256,
        "licence": "; ".join(licences) or "as the training data allow",
        "environment": environment(training.settings.device),
    }
    temporary = output / f".{CARD}.tmp"
    temporary.write_text(json.dumps(card, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return temporary.replace(output / CARD)
