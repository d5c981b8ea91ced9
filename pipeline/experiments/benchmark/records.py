"""What came out of one arm with one seed, as a file that a later run finds and the tables are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.common.json_text import json_text, write_json
from manifests.errors import UserError

RECORD = "record.json"


@dataclass(frozen=True)
class ArmRecord:
    """``figures`` by part of the measured people and name (shares in [0, 1]); ``images`` by kind."""

    gap: str
    arm: str
    seed: int
    identity: Mapping[str, Any]
    """The settings behind the figures."""
    figures: Mapping[str, Mapping[str, float]]
    images: Mapping[str, int]
    recognised: float | None = None
    """Share of the generated images that the baseline gives to the person who they were made from; None where they
    show nobody in particular."""


def write_record(folder: Path, record: ArmRecord) -> None:
    """Leave the record in the arm's folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / RECORD, asdict(record))


def find_record(folder: Path, identity: Mapping[str, Any]) -> ArmRecord | None:
    """The record in an arm's folder, None if there is none yet.

    Raises:
        UserError: it was made with other settings than ``identity``.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    record = ArmRecord(**json.loads(path.read_text(encoding="utf-8")))
    if record.identity != json.loads(json_text(identity)):
        raise UserError(f"{path} was measured with other settings: choose another --output, or remove {folder}")
    return record
