"""What a finished ReID training leaves: the weights, and the card that says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.fingerprint import environment
from pipeline.reid.data import LabelledImages
from pipeline.reid.model import FILE_NAME, ReidModel, load_reid, save_reid
from pipeline.reid.training import ReidTraining

CARD = "reid.json"


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
