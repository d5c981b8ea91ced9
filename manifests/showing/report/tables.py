"""What a data set holds, counted for the report: values of columns, cameras, identities, labels, rejected rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of

HEAT_LEVELS = 5
_VALUES_SHOWN = 8
_HEAT_COLUMNS = 60
_REJECTS_SHOWN = 20
_TITLES = {"dataset_id": "Data set", "consent_basis": "Consent"}
_UNKNOWN = "not known"


@dataclass(frozen=True)
class Counts:
    """Rows by the value of a column, most first: (value, rows, share of the largest); ``more`` are left out."""

    title: str
    values: list[tuple[str, int, float]]
    more: int
    more_rows: int

    @property
    def single(self) -> bool:
        """Whether all rows have the same value."""
        return len(self.values) == 1


def count_cards(counts: Mapping[str, Mapping[str, int]], sizes: Mapping[str, int]) -> list[Counts]:
    """A card for each column of the summary that tells something; cameras and labels have sections of their own."""
    told = {name: values for name, values in counts.items() if name not in ("camera", "label_rule", "num_classes")}
    known = {name: values for name, values in told.items() if set(values) - {"null"}}
    cards = [_counts(_TITLES.get(name, name.replace("_", " ").capitalize()), values) for name, values in known.items()]
    return [*cards, *([_counts("Size in pixels", sizes)] if sizes else [])]


def _counts(title: str, values: Mapping[str, int]) -> Counts:
    ordered = sorted(values.items(), key=lambda item: -item[1])
    most = ordered[0][1]
    shown = [(_UNKNOWN if value == "null" else value, rows, rows / most) for value, rows in ordered[:_VALUES_SHOWN]]
    return Counts(title, shown, len(ordered) - len(shown), sum(rows for _, rows in ordered[_VALUES_SHOWN:]))


@dataclass(frozen=True)
class Heat:
    """Rows by two columns: a line for each value ``down``, in it (rows, level) for each value ``across``.

    Levels are 0 for no rows and 1 to `HEAT_LEVELS` for shares of the largest cell.
    """

    across: list[str]
    lines: list[tuple[str, list[tuple[int, int]]]]


def heat(frame: pl.DataFrame, down: str, across: str) -> Heat | None:
    """The table of two columns; None where there are no rows, or more columns than anybody reads."""
    counted = frame.drop_nulls([down, across]).group_by(down, across).len()
    columns = counted.get_column(across).unique().sort().to_list()
    if not columns or len(columns) > _HEAT_COLUMNS:
        return None
    cells = {(one, other): rows for one, other, rows in counted.iter_rows()}
    most = max(cells.values())
    if len(set(cells.values())) == 1:
        most *= 2  # nothing stands out, so nothing is painted as if it did
    lines = []
    for one in counted.get_column(down).unique().sort().to_list():
        rows = [cells.get((one, other), 0) for other in columns]
        lines.append((str(one), [(count, math.ceil(HEAT_LEVELS * count / most)) for count in rows]))
    return Heat([str(other) for other in columns], lines)


@dataclass(frozen=True)
class CameraLine:
    """One camera: its rows, how many identities it sees, their rows by it (least, median, most)."""

    camera: str
    rows: int
    identities: int
    spread: tuple[int, float, int] | None


def camera_lines(frame: pl.DataFrame) -> list[CameraLine]:
    """A line for each camera, in order; rows of no camera come last."""
    lines = []
    for (camera,), rows in frame.sort("camera", nulls_last=True).group_by("camera", maintain_order=True):
        each = rows.drop_nulls("identity").group_by("identity").len().get_column("len")
        spread = (each.min(), each.median(), each.max()) if len(each) else None
        name = _UNKNOWN if camera is None else str(camera)
        lines.append(CameraLine(name, rows.height, len(each), spread))  # type: ignore[arg-type]
    return lines


def cameras_by_identity(frame: pl.DataFrame) -> list[tuple[int, int]]:
    """(cameras, identities that exactly so many cameras see), fewest cameras first."""
    seen = frame.drop_nulls(["identity", "camera"]).group_by("identity").agg(pl.col("camera").n_unique())
    return list(seen.group_by("camera").len().sort("camera").iter_rows())


_RULES = {
    "one_hot": "all weight on the row's own class",
    "lsr": "label smoothing: a share ε spread over all classes",
    "lsro": "the same weight for every class: the image shows nobody in particular",
    "teacher": "probabilities of a trained ReID model",
    "mprl": "weights by the rank that a ReID model gives each class",
}


@dataclass(frozen=True)
class LabelLine:
    """One label rule with its settings; ``labelled`` rows have a class of their own."""

    rule: str
    meaning: str
    epsilon: float | None
    classes: int
    rows: int
    labelled: int


def label_lines(frame: pl.DataFrame) -> list[LabelLine]:
    """A line for each way in which rows are labelled."""
    keys = ["label_rule", "label_epsilon", "num_classes"]
    counted = frame.group_by(keys).agg(rows=pl.len(), labelled=(pl.col("hard_label") >= 0).sum()).sort(keys)
    return [
        LabelLine(rule, _RULES.get(rule, ""), epsilon, classes, rows, labelled)
        for rule, epsilon, classes, rows, labelled in counted.iter_rows()
    ]


class RejectedRow(NamedTuple):
    """Something that could not be read or made."""

    item_id: str
    reason: str
    message: str | None
    relative_path: str | None


@dataclass(frozen=True)
class Rejects:
    """(stage, reason, rows) for each kind of rejection, most first, and a few of the rejected rows."""

    kinds: list[tuple[str, str, int]]
    examples: list[RejectedRow]


def rejects(dataset: Dataset) -> Rejects:
    """What could not be read or made."""
    frame = frame_of(dataset.rejects())
    kinds = frame.group_by("stage", "reason").len().sort("len", "stage", "reason", descending=[True, False, False])
    # A few of each kind tell more than many of the first.
    few = max(1, _REJECTS_SHOWN // max(1, kinds.height))
    examples = frame.group_by("stage", "reason", maintain_order=True).head(few).head(_REJECTS_SHOWN)
    shown = map(RejectedRow._make, examples.select(RejectedRow._fields).iter_rows())
    return Rejects(list(kinds.iter_rows()), list(shown))
