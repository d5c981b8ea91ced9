"""What is known of a model beside its weights: its terms and what it learned from, by the card written with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from manifests.errors import UserError
from pipeline.checkpoint_table import CHECKPOINTS

CARDS = ("generator.json", "reid.json")
"""Cards that trainings leave in the folder of their weights."""


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
    trained_on = {role: {key: part[key] for key in part if key != "subjects"} for role, part in card.data.items()}
    return described | {"licence": card.licence, "trained_on": trained_on}


def absolute(name_or_path: str) -> str:
    """A path that other processes find too; names and URLs as they are."""
    path = Path(name_or_path).expanduser()
    return str(path.absolute()) if name_or_path not in CHECKPOINTS and path.exists() else name_or_path


class _TrainingCard(BaseModel):
    """What is looked at of the cards that trainings leave."""

    sha256: str | dict[str, str] | None = None
    licence: str | None = None
    data: dict[str, dict[str, Any]] = {}


def _card_of(path: Path, sha256: str) -> _TrainingCard | None:
    """The card beside the weights at ``path`` (a file, or the folder that holds them), if it is about ``sha256``."""
    folder = path if path.is_dir() else path.parent
    for name in CARDS:
        try:
            card = _TrainingCard.model_validate_json((folder / name).read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UserError(f"cannot read the card {folder / name}: {error.strerror}") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "JSON"
            raise UserError(f"the card {folder / name} is not valid: {where}: {first['msg']}") from None
        digests = card.sha256
        if sha256 in (digests.values() if isinstance(digests, dict) else [digests]):
            return card
    return None
