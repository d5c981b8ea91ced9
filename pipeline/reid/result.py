"""What a finished ReID training leaves: the weights, and the card that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from manifests.common.json_text import write_json
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
    licences = sorted({name for part in sets.provenance.values() for name in part["licences"]})
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
        "data": {uri: dict(part) for uri, part in sets.provenance.items()},
        "arrays_sha256": training.data_sha256,
        "metrics": dict(metrics),
        "sha256": model.sha256,
        "licence": "; ".join(licences) or "as the training data allow",
        "environment": environment(training.settings.device),
    }
    return write_json(output / CARD, card, sort_keys=True)
