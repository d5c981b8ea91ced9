"""What came out of one training of an arm, as a file that a later run finds and the tables are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from manifests.common.json_text import json_text
from manifests.common.replacing import write_whole
from manifests.errors import UserError
from pipeline.experiments.benchmark.gaps import Part
from pipeline.reid.evaluation import QueryScores

RECORD = "record.json"
Norm = Literal["as trained", "re-estimated"]
NORMS: tuple[Norm, ...] = ("as trained", "re-estimated")
_RANK1, _AP = 0, 3
_DIGITS = 5


@dataclass(frozen=True)
class Measurement:
    """A network on one part of the people, with its batch norm as it was trained or re-estimated on unlabelled images
    of the place."""

    part: Part
    norm: Norm
    figures: Mapping[str, float]
    """Shares in [0, 1], and how many ``queries``."""
    people: Sequence[int]
    """Who is searched for in each query."""
    rank1: Sequence[int]
    """Of each query, 1 or 0."""
    mean_ap: Sequence[float]
    """Of each query its AP."""

    @classmethod
    def of(cls, part: Part, norm: Norm, scores: QueryScores) -> Measurement:
        """What ``scores`` say."""
        rank1, precision = scores.scores[:, _RANK1], scores.scores[:, _AP].round(_DIGITS)
        figures = scores.means().as_dict()
        return cls(part, norm, figures, scores.identities.tolist(), rank1.astype(int).tolist(), precision.tolist())


@dataclass(frozen=True)
class ArmRecord:
    """``measured`` in both parts and norms; ``images`` trained on, by kind."""

    gap: str
    arm: str
    seed: int
    training: int
    against: str | None
    """The arm that it is held against; None for the plain baseline."""
    identity: Mapping[str, Any]
    """The settings behind the figures."""
    measured: Sequence[Measurement]
    images: Mapping[str, int]
    recognised: float | None = None
    """Share of the generated images that the baseline gives to the person who they were made from; None where they
    show nobody in particular."""
    moved: float | None = None
    """Share of them that classifiers taught by real images give to the camera, domain or pose asked for; None where
    nothing was asked for, or nobody can tell."""
    both: float | None = None
    """Share of those with a target in which the person is recognised and that have moved; None where either is."""

    @property
    def generates(self) -> bool:
        """Whether images were generated for it, be it to train on or to be fused."""
        return self.identity["arm"]["recipe"] is not None


def write_record(folder: Path, record: ArmRecord) -> None:
    """Leave the record in the training's folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / RECORD, (json_text(asdict(record)) + "\n").encode())


def find_record(folder: Path, identity: Mapping[str, Any]) -> ArmRecord | None:
    """The record in a training's folder, None if there is none yet.

    Raises:
        UserError: it was made with other settings than ``identity``.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    record = read_record(path)
    if record.identity != json.loads(json_text(identity)):
        raise UserError(f"{path} was measured with other settings: choose another --output, or remove {folder}")
    return record


def records_below(output: Path, settings: Mapping[str, Any]) -> list[ArmRecord]:
    """All that was ever measured in a benchmark's folder with its present ``settings``, arms of other calls included;
    baselines first."""
    found = [read_record(path) for path in sorted(output.glob(f"seed-*/*/arms/*/*/{RECORD}"))]
    kept = [record for record in found if record.identity["settings"] == settings]
    return sorted(kept, key=lambda record: (record.gap, record.generates, record.arm, record.seed))


def read_record(path: Path) -> ArmRecord:
    """The record of this file.

    Raises:
        UserError: it holds none, or one of an older version.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return ArmRecord(**found | {"measured": [Measurement(**one) for one in found["measured"]]})
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is no record of this version: choose another --output, or remove it") from None
