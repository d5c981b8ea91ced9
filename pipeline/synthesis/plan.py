"""The plan of a synthesis: one row for each image to be made, known in full before any is made.

It is computed from the source manifest, the generators and the settings alone, so it is the same on any
machine and with any number of workers; shards are cut from it at fixed places. What is to be made differs by
kind and is said in `pipeline.synthesis.plan_kinds`; here samples get their names, seeds and places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from manifests.format.terms import Terms, combined
from manifests.reading.dataset import Dataset
from manifests.reading.rows import index_rows
from pipeline.common.digests import content_id, content_seed, plan_digest, settings_sha256
from pipeline.common.images import JPEG_QUALITY, LARGEST_SIDE, ImageFormat
from pipeline.common.precision import Precision
from pipeline.common.settings import Advanced, Input, Output
from pipeline.generators.trained_set import SINGLE, GeneratorSet
from pipeline.sources.files import Split
from pipeline.synthesis.gates import Conditions
from pipeline.synthesis.labelling import LabelSettings

RECIPE_VERSION = "1.1"
"""Of the code that makes rows: raised where the same row of a plan gets other pixels than before."""
_SOURCE_COLUMNS = (
    *("image_id", "image_sha256", "identity", "camera", "split", "role", "dataset_id"),
    *("licence", "consent_basis"),
)


class SynthesisSettings(LabelSettings):
    """What decides the bytes of a synthetic data set, beside its inputs and its generators."""

    group = "recipe"
    seed: int = Field(0, ge=0, description="the run's seed")
    splits: Input[list[Split]] = Field(["train"], description="source splits to use")
    shard_size: Advanced[Output[int]] = Field(
        1000, ge=1, description="rows in a shard: the unit of commit and of resume"
    )
    batch_size: Advanced[int] = Field(16, ge=1, description="images in a generator's batch; its shape never changes")
    height: int | None = Field(
        None,
        ge=16,
        le=LARGEST_SIDE,
        multiple_of=4,
        description="height of the images in pixels; as the generator was trained",
    )
    width: int | None = Field(
        None,
        ge=16,
        le=LARGEST_SIDE,
        multiple_of=4,
        description="width of the images in pixels; as the generator was trained",
    )
    precision: Advanced[Precision] = Field("auto", description="arithmetic of the generator")
    image_format: Output[ImageFormat] = Field("jpeg", description="encoding of the images (JPEG is written 4:4:4)")
    quality: Advanced[Output[int]] = Field(
        JPEG_QUALITY, ge=1, le=101, description="JPEG or WebP quality; JPEGs below 96 are coarser"
    )
    reject_below: Advanced[Output[Conditions]] = Field(
        [],
        description="rows to reject by their own scores, as 'quality.style_shift < 0'; < or >, repeatable; a row "
        "without the score is rejected too",
    )

    selecting: ClassVar[frozenset[str]] = frozenset({"shard_size", "reject_below"})
    """Settings that say which rows there are and how they are cut; what a row becomes does not depend on them."""

    def size(self, generators: GeneratorSet) -> tuple[int, int]:
        """Height and width of the images in pixels: those asked for, or as the generators were trained."""
        return self.height or generators.height, self.width or generators.width

    def deciding(self) -> dict[str, Any]:
        """The settings that a row's bytes depend on; the teacher counts by its digest, not by its path."""
        return self.model_dump(mode="json", exclude={*self.selecting, "teacher"})


@dataclass(frozen=True)
class Person:
    """A labelled source image: who, by which camera, and where its row lies (``file`` and ``row``)."""

    image_id: str
    image_sha256: str
    identity: str
    camera: int | None
    split: str
    dataset_id: str
    file: int
    row: int
    licence: str | None = None
    consent_basis: str | None = None

    @property
    def terms(self) -> Terms:
        return Terms.of(self.licence, self.consent_basis)


@dataclass(frozen=True)
class Sample:
    """One image to be made, before it has a name. What a kind does not ask for stays None."""

    draw: int
    content: Person | None = None
    """Whose image is changed. Without one, the image shows whose pose it has, or nobody."""
    target_camera: int | None = None
    pose_class: int | None = None
    """Number of a canonical pose, or of a class of poses."""
    pose_of: Person | None = None
    """Whose pose is asked for."""
    generator: str = SINGLE
    """Member of the generator set."""


@dataclass(frozen=True)
class SynthesisPlan:
    """``rows`` as in `PLAN_SCHEMA`, sorted by (generator, identity, sample_id)."""

    plan_id: str
    settings_sha256: str
    rows: pa.Table
    classes: ClassMap
    shard_size: int

    @property
    def shards(self) -> Mapping[int, pa.Table]:
        """Shard number -> its rows: of one generator each, so that a worker holds one, sorted by (identity, id)."""
        names = self.rows.column("generator").to_numpy(zero_copy_only=False)
        changes = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(names)]
        cuts = [
            (start, min(start + self.shard_size, end))
            for begin, end in pairwise(changes)
            for start in range(begin, end, self.shard_size)
        ]
        return {shard: self.rows.slice(start, end - start) for shard, (start, end) in enumerate(cuts)}


PLAN_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("sample_id", "image_id", "image_sha256", "identity", "split")),
        *((name, pa.int32()) for name in ("camera", "hard_label", "draw", "file", "row")),
        ("seed", pa.int64()),
        *((name, pa.int32()) for name in ("target_camera", "pose_class")),
        *((name, pa.string()) for name in ("pose_sha256", "pose_dataset_id", "pose_identity", "generator")),
        *((name, pa.string()) for name in ("licence", "consent_basis")),
    ]
)
"""``image_*``, ``file`` and ``row`` are null where no image goes in, ``identity`` where nobody is shown; ``camera`` is
whose style the image has, ``target_camera`` the one that was asked for; ``licence`` and ``consent_basis`` are those of
all that goes in."""


def make_plan(
    samples: Iterable[Sample],
    settings: SynthesisSettings,
    generators: GeneratorSet,
    classes: ClassMap,
    decisive: Mapping[str, Any],
    terms: Mapping[str, Terms],
) -> SynthesisPlan:
    """Name, seed and sort ``samples``; ``classes`` is what their labels are over.

    ``decisive`` holds whatever else decides a row (digests of the inputs, the domain, a teacher). A sample's name
    and seed follow from that, the settings that decide, the digest of its own generator, and the sample itself.
    ``terms`` are those that each member of the generators brings to its rows beside the terms of their images. They
    decide no name and no pixel, but with other terms it is another plan.
    """
    digest = settings_sha256({**settings.deciding(), **decisive})
    common = {
        member: (generators.recipe.name, RECIPE_VERSION, digest, entry.sha256)
        for member, entry in generators.members.items()
    }
    planned = [
        _planned(sample, common[sample.generator], settings.seed, classes) | _terms(sample, terms[sample.generator])
        for sample in samples
    ]
    rows = pa.Table.from_pylist(planned, schema=PLAN_SCHEMA).sort_by(
        [(name, "ascending") for name in ("generator", "identity", "sample_id")]
    )
    names = ["shard_size", str(settings.shard_size), *rows.column("sample_id").to_pylist()]
    names += [f"rejected: {condition}" for condition in settings.reject_below]
    names += [f"{member}: {licence}, {basis}" for member, (licence, basis) in sorted(terms.items())]
    return SynthesisPlan(plan_digest("synthesize", {"rows": digest}, names), digest, rows, classes, settings.shard_size)


def _terms(sample: Sample, brought: Terms) -> dict[str, str]:
    """What comes of the terms of all that goes into ``sample``."""
    images = [person.terms for person in (sample.content, sample.pose_of) if person is not None]
    return combined([brought, *images])._asdict()


def _planned(sample: Sample, common: tuple[str, ...], seed: int, classes: ClassMap) -> dict[str, Any]:
    content, pose = sample.content, sample.pose_of
    asked = (sample.target_camera, sample.pose_class, pose.image_id if pose else None)
    made_from = content.image_id if content else "noise"
    key = (*common, made_from, *("" if one is None else one for one in asked), sample.draw)
    shown = content or pose
    identity = shown.identity if shown else None
    row = {name: value for name, value in asdict(content).items() if name != "dataset_id"} if content else {}
    return row | {
        "split": shown.split if shown else "train",
        "identity": identity,
        "camera": sample.target_camera if sample.target_camera is not None or not content else content.camera,
        "draw": sample.draw,
        "hard_label": classes.number(identity),
        "sample_id": content_id("sample", *key),
        "seed": content_seed("draw", seed, *key),
        "target_camera": sample.target_camera,
        "pose_class": sample.pose_class,
        "pose_sha256": pose.image_sha256 if pose else None,
        "pose_dataset_id": pose.dataset_id if pose else None,
        "pose_identity": pose.identity if pose else None,
        "generator": sample.generator,
    }


def select_people(source: Dataset, settings: SynthesisSettings) -> list[Person]:
    """The labelled persons of the chosen splits of ``source``, in their order there.

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
    return [Person(**row) for row in rows.drop_columns(["role"]).to_pylist()]


def expected_bytes(sizes: np.ndarray, rows: int) -> int:
    """Estimated size of a data set of ``rows`` from the encoded sizes of a few of its images, in bytes."""
    beside_image = 900  # mask, keypoints, provenance: 896 bytes a row, compressed, measured on the demo's 456 rows
    return int(rows * (float(sizes.mean()) + beside_image))
