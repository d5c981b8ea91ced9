"""What of its source a synthetic data set shows: its cameras, and the ways in which people face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.format.skeleton import KEYPOINT_NAMES, KEYPOINTS, LEAST_SCORE
from manifests.reading.dataset import Dataset
from manifests.reading.frames import frame_of
from manifests.reading.origins import Origins

FACINGS = ("towards the camera", "to the left", "to the right", "away from it")
_FULL = 0.5
"""Width of the shoulders over the height of the torso, from which on somebody faces the camera or away from it. The
widest are 0.7 to 0.8 (95% of drawn people are below 0.81); turned by 45 degrees that is 0.5."""
_NOSE, _SHOULDERS, _HIPS = (
    KEYPOINT_NAMES.index("nose"),
    [KEYPOINT_NAMES.index(f"{side}_shoulder") for side in ("left", "right")],
    [KEYPOINT_NAMES.index(f"{side}_hip") for side in ("left", "right")],
)


class Line(NamedTuple):
    """One value: rows of the source and generated ones, each with its share of all that are known, in [0, 1]."""

    value: str
    source: int
    source_share: float
    made: int
    made_share: float


@dataclass(frozen=True)
class Coverage:
    """One thing that is compared, and how many of either are not known."""

    title: str
    lines: list[Line]
    unknown: tuple[int, int]

    @property
    def most(self) -> float:
        """The greatest share, which the longest bar stands for."""
        return max(max(line.source_share, line.made_share) for line in self.lines)

    @property
    def missing(self) -> list[str]:
        """What the source shows and no generated row does."""
        return [line.value for line in self.lines if line.source and not line.made]


def coverages(dataset: Dataset, origins: Origins) -> list[Coverage]:
    """Cameras and facings of the rows beside those of the people of their source, in the same splits; none of what
    nobody knows of either."""
    rows = dataset.scan().select("camera", "split", "sources").collect()
    homes = rows.explode("sources").unnest("sources").filter(role="content")["dataset_id"].unique().to_list()
    columns = ["image_sha256", "camera", "split", "role", "dataset_id"]
    frames = [frame_of(one.read(columns)) for one in origins.sources]
    people = pl.concat([frame.clear() for frame in frames[:1]] + frames) if frames else pl.DataFrame()
    if not people.height or not rows.height:
        return []
    shown = pl.col("dataset_id").is_in(homes) if homes else pl.lit(True)
    people = people.filter(pl.col("role") == "person", pl.col("split").is_in(rows["split"].unique().to_list()), shown)
    wanted = pa.array(people["image_sha256"].unique().to_list(), pa.string())
    found = [
        compared("Cameras", people["camera"].to_list(), rows["camera"].to_list()),
        compared("People face", _facings_of(origins.annotations, wanted), _facings_of([dataset]), FACINGS),
    ]
    return [one for one in found if any(line.source for line in one.lines) and any(line.made for line in one.lines)]


def compared(title: str, source: Sequence[object], made: Sequence[object], order: Sequence[str] = ()) -> Coverage:
    """How often each value is there, None for what is not known; in ``order``, or as the values sort."""
    counts = [pl.Series(values, strict=False).drop_nulls().value_counts() for values in (source, made)]
    rows = [dict(one.iter_rows()) if one.height else {} for one in counts]
    values = list(order) or sorted({*rows[0], *rows[1]})
    totals = [max(1, sum(one.values())) for one in rows]
    lines = []
    for value in values:
        there, here = (one.get(value, 0) for one in rows)
        lines.append(Line(str(value), there, there / totals[0], here, here / totals[1]))
    unknown = [sum(value is None for value in values) for values in (source, made)]
    return Coverage(title, lines, (unknown[0], unknown[1]))


def _facings_of(datasets: Sequence[Dataset], wanted: pa.Array | None = None) -> list[str | None]:
    """Of the rows, of those images that are ``wanted`` once each."""
    found: dict[str, str | None] = {}
    every: list[str | None] = []
    for dataset in datasets:
        for table in dataset.shards(["image_sha256", "keypoints"]):
            rows = table if wanted is None else table.filter(pc.is_in(table["image_sha256"], value_set=wanted))
            told = facings(rows["keypoints"].combine_chunks())
            every += told
            found |= dict(zip(rows["image_sha256"].to_pylist(), told, strict=True))
    return every if wanted is None else list(found.values())


def facings(keypoints: pa.Array) -> list[str | None]:
    """Which of `FACINGS` each pose (17 keypoints; null where there is none) is; None where shoulders, hips or, of a
    side view, the nose were not seen. Left and right are those of the picture."""
    told: list[str | None] = [None] * len(keypoints)
    whole = np.flatnonzero(pc.fill_null(pc.equal(pc.list_value_length(keypoints), KEYPOINTS), False).to_numpy(False))
    if not len(whole):
        return told
    points = keypoints.take(pa.array(whole)).flatten()
    x, y, score = (
        points.field(name).to_numpy(zero_copy_only=False).reshape(-1, KEYPOINTS) for name in ("x", "y", "score")
    )
    for place, facing in zip(whole.tolist(), _facing(x, y, score >= LEAST_SCORE), strict=True):
        told[place] = FACINGS[facing] if facing >= 0 else None
    return told


def _facing(x: NDArray[np.float64], y: NDArray[np.float64], seen: NDArray[np.bool_]) -> list[int]:
    """Numbers of `FACINGS`, -1 where it cannot be told, of poses (N, 17)."""
    torso = y[:, _HIPS].mean(axis=1) - y[:, _SHOULDERS].mean(axis=1)
    wide = x[:, _SHOULDERS[0]] - x[:, _SHOULDERS[1]]
    left = x[:, _NOSE] < x[:, _SHOULDERS].mean(axis=1)
    known = seen[:, [*_SHOULDERS, *_HIPS]].all(axis=1) & (torso > 0)
    ways = [known & (wide >= _FULL * torso), known & (wide <= -_FULL * torso), known & seen[:, _NOSE] & left]
    return np.select([*ways, known & seen[:, _NOSE]], [0, 3, 1, 2], default=-1).tolist()
