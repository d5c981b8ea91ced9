"""Which models learned from a person, as far as run records and the cards beside the weights tell.

Rows can be taken out of a data set; what a model learned cannot be taken out of its weights. So whoever erases a
person is told which of the models behind the rows have to be trained again without them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from manifests.common.strict_json import parse_json
from manifests.format.names import GENERATOR_CARD, REID_CARD
from manifests.format.schema import NOISE_RECIPES
from manifests.reading.dataset import Dataset
from manifests.reading.runs import TrainedOn, training_sets

Learned = Literal["yes", "no", "perhaps", "unknown"]


@dataclass(frozen=True)
class Model:
    """A model behind some rows: whether it learned from the person, and what says so."""

    sha256: str
    name: str
    recipe: str
    learned: Learned
    because: str
    rows: int
    """Rows of the data sets that it made or labelled, the remaining ones."""

    @property
    def from_noise(self) -> bool:
        """Whether its rows carry nobody's key, so that erasing a person leaves them all."""
        return self.recipe in NOISE_RECIPES


def models_behind(datasets: Iterable[Dataset], subjects: frozenset[str], ids: set[str]) -> list[Model]:
    """The models behind the rows of ``datasets``, each with whether it learned from the people of these keys.

    ``ids`` are the data sets that these people are of: where only the training's data sets are known, it says so.
    """
    rows: dict[str, int] = {}
    recipes: dict[str, str] = {}
    known: dict[str, dict[str, Any]] = {}
    for dataset in datasets:
        if dataset.kind == "synthetic":
            used = dataset.scan().select("recipe", sha256=pl.col("checkpoint_sha256s")).explode("sha256")
            for recipe, sha256, count in used.group_by("recipe", "sha256").len().sort("sha256").collect().iter_rows():
                rows[sha256] = rows.get(sha256, 0) + count
                recipes.setdefault(sha256, recipe)
        known |= {one["sha256"]: one for one in _recorded(dataset.run)}
    return [
        _judge(sha256, known.get(sha256, {}), recipes.get(sha256), rows.get(sha256, 0), subjects, ids)
        for sha256 in sorted(rows.keys() | known.keys())
    ]


def _recorded(state: Any) -> Iterator[Mapping[str, Any]]:
    """Every model that a run record describes, earlier and merged runs included."""
    if isinstance(state, dict):
        models = state.get("checkpoints")
        named = (one for one in models if isinstance(one, dict)) if isinstance(models, list) else ()
        yield from (one for one in named if isinstance(one.get("sha256"), str) and one["sha256"])
        for key, value in state.items():
            if key != "checkpoints":
                yield from _recorded(value)
    elif isinstance(state, list):
        for value in state:
            yield from _recorded(value)


def _judge(
    sha256: str, described: Mapping[str, Any], recipe: str | None, rows: int, subjects: frozenset[str], ids: set[str]
) -> Model:
    name = str(described.get("name") or "")
    recipe = str(recipe or described.get("recipe") or "")
    card = _find_card(str(described.get("uri") or described.get("name") or ""), sha256)
    trained_on = card[1] if card else described.get("trained_on")
    learned, because = _learned(training_sets(trained_on), subjects, ids)
    return Model(sha256, name, recipe, learned, f"{because} ({card[0] if card else 'run.json'})", rows)


def _learned(trained_on: TrainedOn, subjects: frozenset[str], ids: set[str]) -> tuple[Learned, str]:
    """Whether a training on these sets saw the people, and what tells it."""
    if isinstance(trained_on, str):
        return "unknown", f"trained on: {trained_on}"
    if trained_on is None:
        return "unknown", "nothing says what it was trained on"
    parts = list(trained_on.values())
    if all("subjects" in part for part in parts):
        seen = not subjects.isdisjoint(key for part in parts for key in part["subjects"])
        return ("yes", "they are among its training subjects") if seen else ("no", "they are not among its subjects")
    names = sorted({one for part in parts for one in part.get("dataset_ids") or ()})
    if not names:
        return "unknown", "its training data sets are not named"
    shared = [one for one in names if one in ids]
    return ("perhaps", f"trained on {', '.join(shared)}") if shared else ("no", f"trained on {', '.join(names)} only")


def _find_card(uri: str, sha256: str) -> tuple[str, Any] | None:
    """Path and training sets of the card about the weights ``sha256``, if it lies where the weights were."""
    for file in _cards(uri):
        try:
            card = parse_json(file.read_bytes())
            digests = card.get("sha256")
            if sha256 in (digests.values() if isinstance(digests, dict) else [digests]) and "data" in card:
                return str(file), card["data"]
        except (OSError, ValueError, AttributeError):
            continue  # not there, or no card
    return None


def _cards(uri: str) -> list[Path]:
    """Where cards about the weights at ``uri`` may lie; nowhere if that is no place."""
    try:
        path = Path(uri).expanduser()
        folders = [path, *sorted(path.glob("*/"))] if uri and path.is_dir() else [path.parent] if uri else []
    except (OSError, ValueError, RuntimeError):  # a name too long, not a name, a home of nobody
        return []
    return [folder / card for folder in folders for card in (GENERATOR_CARD, REID_CARD)]
