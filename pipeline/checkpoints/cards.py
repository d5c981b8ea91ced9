"""What is known of a model beside its weights: its terms and what it learned from, by the card written with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from manifests.errors import UserError
from manifests.format.names import GENERATOR_CARD, REID_CARD
from pipeline.checkpoints.table import CHECKPOINTS

_BACK = "generator_back"
"""What a card calls the weights that lead from the target to the source."""


def describe_model(name_or_path: str, sha256: str) -> dict[str, Any]:
    """What a run record says of a model: ``uri``, ``sha256``, ``licence`` and ``trained_on``.

    ``trained_on`` is a sentence for a named checkpoint, the training sets by role for one of ours; both it and the
    licence are None where no card of these very weights says it. The people it learned from are on that card alone,
    here only by their common digest: whoever is erased from a data set must not stay in its run record.
    """
    described = {"uri": absolute(name_or_path), "sha256": sha256, "licence": None, "trained_on": None}
    if name_or_path in CHECKPOINTS:
        known = CHECKPOINTS[name_or_path]
        return described | {"licence": known.licence, "trained_on": known.trained_on}
    card = _card_of(Path(name_or_path).expanduser(), sha256)
    if card is None:
        return described
    trained_on = {role: part.model_dump(exclude={"subjects"}, exclude_unset=True) for role, part in card.data.items()}
    return described | {"licence": card.licence, "trained_on": trained_on}


def training_sets(name_or_path: str, sha256: str) -> dict[str, dict[str, Any]]:
    """What a model of ours learned from, by role, people included; nothing where no card of these weights says it."""
    card = _card_of(Path(name_or_path).expanduser(), sha256)
    return {} if card is None else {role: part.model_dump(exclude_unset=True) for role, part in card.data.items()}


def learned_look(name_or_path: str, sha256: str) -> list[str]:
    """Names of the domains whose look a generator of ours gives, by its card: those of its target, or, where it leads
    back, of its source. None where no card of these weights says it."""
    card = None if name_or_path in CHECKPOINTS else _card_of(Path(name_or_path).expanduser(), sha256)
    if card is None:
        return []
    back = isinstance(card.sha256, dict) and card.sha256.get(_BACK) == sha256
    learned = card.data.get("source" if back else "target")
    return [] if learned is None else learned.domains


def absolute(name_or_path: str) -> str:
    """A path that other processes find too; names and URLs as they are."""
    path = Path(name_or_path).expanduser()
    return str(path.absolute()) if name_or_path not in CHECKPOINTS and path.exists() else name_or_path


class _TrainingSet(BaseModel):
    """One of the sets that a model learned from: what terms, erasures and rows go by, and whatever else its card
    says."""

    model_config = ConfigDict(extra="allow", strict=True)

    dataset_ids: list[str] = []
    licences: list[str] = []
    consent_bases: list[str] = []
    domains: list[str] = []


class _Card(BaseModel):
    """What is read of a card; trainings write more."""

    model_config = ConfigDict(extra="ignore", strict=True)

    sha256: str | dict[str, str] = ""
    licence: str | None = None
    data: dict[str, _TrainingSet] = {}


def _card_of(path: Path, sha256: str) -> _Card | None:
    """The card beside the weights at ``path`` (a file, or the folder that holds them), if it is about ``sha256``."""
    folder = path if path.is_dir() else path.parent
    for name in (GENERATOR_CARD, REID_CARD):
        try:
            card = _Card.model_validate_json((folder / name).read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"cannot read the card {folder / name}: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "JSON"
            raise UserError(f"cannot read the card {folder / name}: {where}: {first['msg']}") from None
        if sha256 in (card.sha256.values() if isinstance(card.sha256, dict) else [card.sha256]):
            return card
    return None
