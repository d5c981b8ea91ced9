"""Images of what rows were asked to look like: a camera, a place, or a camera of a place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

import polars as pl

from manifests.reading.frames import frame_of
from manifests.reading.origins import Origins, find_images

_FEW = 6
"""So many of each target are shown in turn."""


class Target(NamedTuple):
    """What a row was asked to look like; both are None where only another pose was asked for."""

    camera: int | None
    domain: str | None

    @classmethod
    def of(cls, asked: Mapping[str, object] | None) -> Target:
        """Of a row's ``target``."""
        camera, domain = (asked or {}).get("camera"), (asked or {}).get("domain")
        return cls(camera if isinstance(camera, int) else None, domain if isinstance(domain, str) else None)

    def named(self) -> str:
        """In words."""
        camera = f"camera {self.camera}" if self.camera is not None else ""
        return " of ".join(part for part in (camera, self.domain or "") if part)


class TargetImages:
    """A few images of each target, by digest, and their bytes."""

    def __init__(self, origins: Origins, wanted: Iterable[Target]) -> None:
        kept = ["image_sha256", "camera", "domain", "role"]
        frames = [frame_of(one.read(kept)) for one in origins.sources if one.snapshot.rows]
        real = pl.concat(frames).filter(pl.col("role") == "person") if frames else None
        self._digests = {} if real is None else {one: _some_of(real, one) for one in set(wanted)}
        digests = {digest for some in self._digests.values() for digest in some}
        found = find_images(origins.sources, digests, ["image"]) if digests else {}
        self.images = {digest: (row["image"] or {}).get("bytes") for digest, row in found.items()}

    def digest(self, target: Target, row_id: str) -> str | None:
        """The image that stands beside a row, always the same; None where no image of its target is at hand."""
        some = self._digests.get(target)
        return some[crc32(row_id.encode("utf-8", "replace")) % len(some)] if some else None


def _some_of(real: pl.DataFrame, target: Target) -> list[str]:
    asked = [pl.col(name) == value for name, value in target._asdict().items() if value is not None]
    if not asked:
        return []
    fitting = real.filter(*asked).unique("image_sha256").sort("image_sha256")
    return fitting.head(_FEW)["image_sha256"].to_list()
