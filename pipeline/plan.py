"""The plan of a synthesis: one row for each image to be made, known in full before any is made.

It is computed from the source manifest, the generator and the settings alone, so it is the same on any
machine and with any number of workers; shards are cut from it at fixed places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from manifests.dataset import Dataset
from manifests.errors import UserError
from manifests.rows import index_rows
from manifests.soft_labels import ClassMap
from pipeline.digests import content_id, content_seed, plan_digest, settings_sha256
from pipeline.images import ImageFormat
from pipeline.settings import JobSettings

RECIPE_VERSION = "1.0"
_SOURCE_COLUMNS = ("image_id", "image_sha256", "identity", "camera", "split", "role")


class SynthesisSettings(JobSettings):
    """What decides the bytes of a synthetic data set, beside its inputs and its generator."""

    per_image: int = Field(1, ge=1, description="images for each source image; draws after the first crop and flip it")
    seed: int = Field(0, ge=0, description="the run's seed")
    splits: list[Literal["train", "query", "gallery"]] = Field(["train"], description="source splits to use")
    label_rule: Literal["one_hot", "lsr"] = Field("lsr", description="label rule of the rows")
    label_epsilon: float = Field(0.1, ge=0, le=1, description="epsilon of lsr (CamStyle, CVPR 2018, section 4.2)")
    shard_size: int = Field(1000, ge=1, description="rows in a shard: the unit of commit and of resume")
    batch_size: int = Field(16, ge=1, description="images in a generator's batch; its shape never changes")
    height: int | None = Field(
        None, ge=16, multiple_of=4, description="height of the images in pixels; as the generator was trained"
    )
    width: int | None = Field(
        None, ge=16, multiple_of=4, description="width of the images in pixels; as the generator was trained"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="arithmetic of the generator")
    image_format: ImageFormat = Field("jpeg", description="encoding of the images (JPEG is written 4:4:4)")
    quality: int = Field(95, ge=1, le=101, description="JPEG or WebP quality")
    limit: int | None = Field(None, ge=1, description="use only the first N source images")


@dataclass(frozen=True)
class SynthesisPlan:
    """``rows``: sample_id, image_id, image_sha256, identity, camera, split, hard_label, draw, seed, file, row.

    ``file`` and ``row`` say where the source row lies. Rows are sorted by (identity, sample_id).
    """

    plan_id: str
    settings_sha256: str
    rows: pa.Table
    classes: ClassMap
    shard_size: int

    @property
    def shards(self) -> Mapping[int, pa.Table]:
        """Shard number -> its rows."""
        starts = range(0, self.rows.num_rows, self.shard_size)
        return {start // self.shard_size: self.rows.slice(start, self.shard_size) for start in starts}


def plan_translation(
    source: Dataset,
    settings: SynthesisSettings,
    recipe: str,
    checkpoint_sha256s: list[str],
    decisive: Mapping[str, Any],
) -> SynthesisPlan:
    """Every labelled person of the chosen splits of ``source``, ``per_image`` times, through one generator.

    ``decisive`` holds whatever else decides a row (resolved size and precision, digests of other inputs).

    Raises:
        UserError: ``source`` has no labelled person in these splits.
    """
    people = select_people(source, settings)
    identities = people.column("identity").to_pylist()
    classes = ClassMap.of(identities)
    digest = settings_sha256({**settings.model_dump(mode="json", exclude={"limit", "shard_size"}), **decisive})
    samples: list[dict[str, Any]] = []
    for person in people.to_pylist():
        for draw in range(settings.per_image):
            key = (recipe, RECIPE_VERSION, digest, *checkpoint_sha256s, person["image_id"], draw)
            place = {name: person[name] for name in ("image_id", "image_sha256", "identity", "camera", "split")}
            place |= {"file": person["file"], "row": person["row"], "draw": draw}
            place |= {"hard_label": classes.number(person["identity"])}
            place |= {"sample_id": content_id("sample", *key), "seed": content_seed("draw", settings.seed, *key)}
            samples.append(place)
    rows = pa.Table.from_pylist(samples, schema=_PLAN_SCHEMA).sort_by(
        [("identity", "ascending"), ("sample_id", "ascending")]
    )
    names = ["shard_size", str(settings.shard_size), *rows.column("sample_id").to_pylist()]
    return SynthesisPlan(plan_digest("synthesize", {"rows": digest}, names), digest, rows, classes, settings.shard_size)


_PLAN_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("sample_id", "image_id", "image_sha256", "identity", "split")),
        *((name, pa.int32()) for name in ("camera", "hard_label", "draw", "file", "row")),
        ("seed", pa.int64()),
    ]
)


def select_people(source: Dataset, settings: SynthesisSettings) -> pa.Table:
    """The source rows that a plan uses, without images: labelled persons of the chosen splits, in their order.

    Raises:
        UserError: there is none, or ``source`` is no source manifest.
    """
    if source.kind != "source":
        raise UserError(f"{source.uri} is a data set of kind {source.kind!r}; a source manifest is needed")
    rows = index_rows(source, _SOURCE_COLUMNS)
    if rows.num_rows:
        labelled = pc.and_(pc.equal(rows["role"], "person"), pc.is_valid(rows["identity"]))
        rows = rows.filter(pc.and_(labelled, pc.is_in(rows["split"], pa.array(list(settings.splits)))))
    if not rows.num_rows:
        raise UserError(
            f"{source.uri} has no person with an identity in split {', '.join(settings.splits)}; "
            "name others with --splits, or see `python -m manifests show`"
        )
    return rows.slice(0, settings.limit) if settings.limit else rows


def expected_bytes(sizes: np.ndarray, rows: int) -> int:
    """Estimated size of a data set of ``rows`` from the encoded sizes of a few of its images, in bytes."""
    beside_image = 900  # mask, keypoints, provenance: 896 bytes a row, compressed, measured on the demo's 456 rows
    return int(rows * (float(sizes.mean()) + beside_image))
