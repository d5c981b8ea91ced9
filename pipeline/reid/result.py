"""What a finished ReID training leaves: the weights, and the card that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.common.json_text import write_json
from pipeline.checkpoints.cards import training_sets
from pipeline.common.environment import environment
from pipeline.reid.model import FILE_NAME, ReidModel, load_reid, save_reid
from pipeline.reid.sets import TrainingSets
from pipeline.reid.training import ReidTraining

CARD = "reid.json"


def write_reid(training: ReidTraining, sets: TrainingSets, output: Path) -> ReidModel:
    """Write the trained network to ``output`` and load it again as whoever uses it will."""
    height, width = sets.images.images.shape[1:3]
    save_reid(output / FILE_NAME, training.network, height, width, sets.classes)
    return load_reid(output, training.device)


def write_card(
    training: ReidTraining, sets: TrainingSets, model: ReidModel, metrics: Mapping[str, float | str], output: Path
) -> Path:
    """Write the card beside the weights, with what ``sets`` were trained on and ``metrics`` measured."""
    data = {**_learned_before(training.others), **{uri: dict(part) for uri, part in sets.provenance.items()}}
    licences = sorted({name for part in data.values() for name in part.get("licences", ())})
    card = {
        "network": model.network.settings.model_dump(mode="json"),
        "height": model.height,
        "width": model.width,
        "num_classes": model.network.classes,
        "training": {
            **training.settings.model_dump(mode="json"),
            **training.triplet.model_dump(),
            **training.others,
        },
        "workers": training.workers.count,
        "steps": training.step,
        "losses": training.losses,
        "data": data,
        "arrays_sha256": training.data_sha256,
        "metrics": dict(metrics),
        "sha256": model.sha256,
        "licence": "; ".join(licences) or "as the training data allow",
        "environment": environment(training.settings.device),
    }
    return write_json(output / CARD, card, sort_keys=True)


def _learned_before(others: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the network that a training started from had learned from: its people are in the new one's weights too.

    By names of their own: the same data set may have lost people since. One part that says nothing where no card does.
    """
    if "start_from" not in others:
        return {}
    sha256 = str(others["start_from_sha256"])
    sets = training_sets(str(others["start_from"]), sha256) or {"unknown": {}}
    return {f"{name} by {sha256[:12]}": part for name, part in sets.items()}
