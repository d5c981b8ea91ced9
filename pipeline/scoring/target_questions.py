"""What generated rows may be asked for, as classes that real rows have too: cameras of a domain, domains, poses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.annotation_values import read_keypoints
from manifests.reading.dataset import Dataset
from pipeline.annotation.annotations import Annotations
from pipeline.annotation.canonical_poses import fit_canonical_poses, pose_classes
from pipeline.common.images import ImageError

Kind = Literal["camera", "domain", "pose"]
Keypoints = NDArray[np.float32]
_POSE_CLASS = "class "
"""What the names of canonical poses begin with; all others are digests of the image whose pose is asked for."""


class Unanswerable(Exception):  # noqa: N818 - a reason, and no fault
    """Why nobody can say whether rows reached a target of this ``kind``."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True)
class Question:
    """One kind of target: the name of the class that a generated row asks for (over the columns of `row_facts`) and
    that a real row is of (over those of a source manifest), null where it is none."""

    kind: Kind
    made: pl.Expr
    real: pl.Expr
    remedy: str
    """What to do where real rows are of one class alone."""
    flip: float = 0.5
    """Share of images to mirror in training: a mirrored pose is another."""
    across_domains: bool = False
    """Whether classes of other domains than the rows' are answers too."""

    def answered(self, real: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
        """The rows of ``real`` that are of a ``class`` (a column more), of the domains that the rows asking are of."""
        rows = real.with_columns(self.real.alias("class")).drop_nulls("class")
        if self.across_domains:
            return rows
        asking = facts.filter(self.made.is_not_null()).select("domain").unique()
        return rows.join(asking, "domain", "semi", nulls_equal=True, maintain_order="left")


class Asking(NamedTuple):
    """What questions are made of: the generated rows and all that they say (`row_facts`), the rows of the sources, the
    annotations of these, and the size (height, width) at which poses are compared."""

    dataset: Dataset
    facts: pl.DataFrame
    real: pl.DataFrame
    annotations: Sequence[Dataset]
    size: tuple[int, int]


def cameras(asking: Asking) -> Question | None:
    """Which camera of the rows' domain; None where no row asks for one."""
    asked = _camera(pl.col("target").struct.field("camera"))
    if not asking.facts.select(asked.is_not_null().any()).item():
        return None
    return Question("camera", asked, _camera(pl.col("camera")), remedy="there is nothing to tell it from")


def _camera(number: pl.Expr) -> pl.Expr:
    return pl.format("{}, camera {}", pl.col("domain").fill_null("unknown"), number)


def domains(asking: Asking) -> Question | None:
    """Which domain; None where no row asks for one."""
    asked = pl.col("target").struct.field("domain")
    if not asking.facts.select(asked.is_not_null().any()).item():
        return None
    remedy = "name the target's manifest with --source too"
    return Question("domain", asked, pl.col("domain"), remedy, across_domains=True)


def poses(asking: Asking) -> Question | None:
    """Which of a few poses is nearest: of the canonical ones where these are asked for, else of the centres of all
    real poses; None where no row asks for a pose.

    Raises:
        Unanswerable: no pose of a real image is known, too few to find centres, or none of those asked for.
    """
    asked = pl.col("target").struct.field("pose")
    named = asking.facts.select(asked).to_series().drop_nulls().unique().sort().to_list()
    if not named:
        return None
    known = _real_poses(asking.real["image_sha256"].to_list(), asking.annotations, asking.size)
    if not known:
        raise Unanswerable("pose", "no poses of the sources are known: name their annotations with --annotations")
    canonical = _canonical(asking.dataset, [name for name in named if name.startswith(_POSE_CLASS)])
    keypoints = np.stack(list(known.values()))
    try:
        centres = np.stack(list(canonical.values())) if canonical else fit_canonical_poses(keypoints, *asking.size)
    except UserError as error:
        raise Unanswerable("pose", str(error)) from None
    names = [f"pose {number}" for number in range(len(centres))]
    nearest = pose_classes(keypoints, centres, *asking.size)
    real = {digest: names[number] for digest, number in zip(known, nearest, strict=True) if number >= 0}
    made = {name: real[name] for name in named if name in real} | dict(zip(canonical, names, strict=False))
    if not made:
        raise Unanswerable("pose", "of no pose that was asked for is known what it looks like")
    found = (_renamed(asked, made), _renamed(pl.col("image_sha256"), real))
    return Question("pose", *found, remedy="there is nothing to tell it from", flip=0.0)


def _renamed(column: pl.Expr, names: Mapping[str, str]) -> pl.Expr:
    return column.replace_strict(names, default=None, return_dtype=pl.String)


def _real_poses(images: Sequence[str], annotations: Sequence[Dataset], size: tuple[int, int]) -> dict[str, Keypoints]:
    """Keypoints (17, 3) in pixels of ``size`` by the digest of the image, of those whose pose is known."""
    found: dict[str, Keypoints] = {}
    for known in map(Annotations, annotations):
        for digest in images:
            try:
                annotation = known.get(digest) if digest not in found else None
            except ImageError:
                continue
            if annotation is not None and annotation.keypoints is not None:
                found[digest] = annotation.keypoints_at(*size)
    return found


def _canonical(dataset: Dataset, names: Sequence[str]) -> dict[str, Keypoints]:
    """By name, the canonical poses (17, 2) in shares of width and height, as the first row that asks for one has it."""
    if not names:
        return {}
    columns = "sample_id", "keypoints", "width", "height", pl.col("target").struct.field("pose").alias("pose")
    rows = dataset.scan().select(*columns).filter(pl.col("pose").is_in(list(names))).drop_nulls("keypoints")
    firsts = rows.collect().sort("pose", "sample_id").unique("pose", keep="first", maintain_order=True).to_dicts()
    try:
        return {row["pose"]: read_keypoints(row["keypoints"])[:, :2] / (row["width"], row["height"]) for row in firsts}
    except ValueError as error:
        raise UserError(f"{dataset.uri}: a pose that is asked for is none: {error}") from None
