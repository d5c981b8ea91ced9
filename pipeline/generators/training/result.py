"""What a finished training leaves: weights that say how to build them, and the card that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from manifests.common.json_text import write_json
from manifests.format.names import GENERATOR_CARD
from pipeline.common.environment import environment
from pipeline.generators.trained import save_generator
from pipeline.generators.training.loop import Training
from pipeline.training.data import DomainData


def write_result(
    training: Training, domains: Mapping[str, DomainData], metrics: Mapping[str, float], licence: str | None = None
) -> Path:
    """Write every export of ``training`` as ``<stem>.safetensors`` and the card, whose path is returned; card last.

    Raises:
        NotFiniteError: what the networks make is not finite; nothing is written.

    ``domains`` are the training sets by role (source, target); their provenance and digests go into the card.
    ``licence`` is that of the generator; by default the card lists what its data says.
    """
    training.check_result()
    settings, output = training.settings, training.output
    weights = {
        stem: save_generator(output / f"{stem}.safetensors", network, training.recipe, settings.height, settings.width)
        for stem, network in training.exported().items()
    }
    data = {
        role: {**(domain.provenance or {"images": len(domain)}), "arrays_sha256": training.data_sha256[role]}
        for role, domain in domains.items()
    }
    licences = sorted({name for part in data.values() for name in part.get("licences", [])})
    card = {
        "recipe": training.recipe.name,
        "paper": training.recipe.paper,
        "label_rule": training.recipe.label_rule,
        "settings": training.recipe.settings.model_dump(mode="json"),
        "training": settings.model_dump(mode="json"),
        "steps": training.step,
        "data": data,
        "losses": training.losses,
        "metrics": dict(metrics),
        "sha256": weights,
        "licence": licence or "; ".join(licences) or "as the training data allow",
        "environment": environment(settings.device),
    }
    return write_json(output / GENERATOR_CARD, card, sort_keys=True)
