"""The plan of a synthesis: one row for each image to be made, known in full before any is made.

It is computed from the source manifest, the generators and the settings alone, so it is the same on any
machine and with any number of workers; shards are cut from it at fixed places. What is to be made differs by
kind and is said in `pipeline.synthesis.plan_kinds`; here samples get their names, seeds and places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from manifests.format.soft_labels import ClassMap
from manifests.format.terms import Terms, combined
from pipeline.common.digests import content_hash, id_part, settings_sha256
from pipeline.common.images import JPEG_QUALITY, LARGEST_SIDE, ImageFormat
from pipeline.common.lazily import Lazily
from pipeline.common.precision import Precision
from pipeline.common.progress import Progress
from pipeline.common.settings import Advanced, Input, Output
from pipeline.generators.convolutions import Convolutions
from pipeline.generators.generation_choices import Background, FlowSteps
from pipeline.generators.trained_set import GeneratorSet
from pipeline.sources.files import Split
from pipeline.synthesis.gates import Conditions
from pipeline.synthesis.labelling import LabelSettings
from pipeline.synthesis.samples import AT_A_TIME, Naming, Samples, id_parts, nullable, sorted_numbers

GENERATION = ("flow_steps", "flow_start", "guidance", "background")
"""Settings by which a generator may be asked otherwise than it was trained to be (`Recipe.asked`)."""
RECIPE_VERSION = "1.2"
"""Of the code that makes rows: raised where the same row of a plan gets other pixels than before."""


class SynthesisSettings(LabelSettings):
    """What decides the bytes of a synthetic data set, beside its inputs and its generators."""

    group = "recipe"
    seed: int = Field(0, ge=0, description="the run's seed")
    splits: Input[list[Split]] = Field(["train"], description="source splits to use")
    shard_size: Advanced[Output[int]] = Field(
        1000, ge=1, description="rows in a shard: the unit of commit and of resume"
    )
    batch_size: Advanced[int] = Field(16, ge=1, description="images in a generator's batch; its shape never changes")
    convolutions: Advanced[Convolutions] = Field(
        "auto",
        description="how a generator computes them: channels_last (whole batches), planar (an image at a time) or "
        "winograd (as planar, residual blocks with fewer multiplications); auto: what a short trial finds fastest on "
        "this processor, where 2,000 rows or more are to be made",
    )
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

    flow_steps: Advanced[FlowSteps | None] = Field(
        None, description="of a personflow generator: evaluations an image, 1, 2, 4 or 8; by default as it says"
    )
    flow_start: Advanced[float | None] = Field(
        None,
        ge=0,
        lt=1,
        description="of a personflow generator: where between noise (0) and the source's own pixels (1) it begins; a "
        "multiple of 1 / --flow-steps",
    )

    guidance: Advanced[float | None] = Field(
        None,
        ge=0,
        le=10,
        description="of a personflow generator: weight of what it is told beyond 1, in twice the time; 1.5 makes "
        "people in other poses easier to find, and images a little less like real ones",
    )
    background: Advanced[Background | None] = Field(
        None,
        description="of a personflow generator, for other cameras: asked puts people, cut out by their masks, before "
        "real backgrounds of the camera; own leaves them where they are; by default as it was trained",
    )

    selecting: ClassVar[frozenset[str]] = frozenset({"shard_size", "reject_below"})
    """Settings that say which rows there are and how they are cut; what a row becomes does not depend on them."""

    def size(self, generators: GeneratorSet) -> tuple[int, int]:
        """Height and width of the images in pixels: those asked for, or as the generators were trained."""
        return self.height or generators.height, self.width or generators.width

    def deciding(self) -> dict[str, Any]:
        """The settings that a row's bytes depend on; the teacher counts by its digest, not by its path."""
        said = self.model_dump(mode="json", exclude={*self.selecting, "teacher", *GENERATION})
        return {**said, **self.generation}

    @property
    def generation(self) -> dict[str, Any]:
        """What is asked of the generator beside what its training says; nothing of most recipes."""
        return {name: getattr(self, name) for name in GENERATION if getattr(self, name) is not None}


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


@dataclass(frozen=True)
class ShardPlan:
    """The rows of a shard on their way to where they are made: without names and seeds, which `table` computes."""

    rows: pa.Table
    naming: Naming

    @property
    def num_rows(self) -> int:
        return int(self.rows.num_rows)

    def table(self) -> pa.Table:
        """The rows as in `PLAN_SCHEMA`."""
        names = pa.array([name.hex() for name in self.naming.names(self.rows)], pa.string())
        seeds = pa.array(self.naming.seeds(self.rows))
        whole = self.rows.append_column("sample_id", names).append_column("seed", seeds)
        return whole.select(PLAN_SCHEMA.names).cast(PLAN_SCHEMA)


@dataclass(frozen=True)
class PlanHead:
    """What every worker knows of a plan."""

    plan_id: str
    settings_sha256: str
    classes: ClassMap


@dataclass(frozen=True)
class SynthesisPlan:
    """All rows in their order, by (generator, identity, sample_id), in four bytes each: the number of its sample."""

    head: PlanHead
    samples: Samples
    numbers: NDArray[np.uint32]
    by_generator: Mapping[str, int]
    """How many rows each generator makes, in their order; only those that make some."""
    naming: Naming
    terms: Mapping[str, Terms]
    shard_size: int

    @property
    def plan_id(self) -> str:
        return self.head.plan_id

    @property
    def settings_sha256(self) -> str:
        return self.head.settings_sha256

    @property
    def classes(self) -> ClassMap:
        return self.head.classes

    @property
    def num_rows(self) -> int:
        return len(self.numbers)

    def images(self) -> int:
        """How many source images something is made from."""
        used = np.zeros(len(self.samples.people) + 1, np.bool_)  # NOBODY is the last place
        for _, columns in self.samples.chunks():
            used[columns.content] = True
        return int(used[:-1].sum())

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        """Where each shard begins, and where the last one ends."""
        ends = np.cumsum([0, *self.by_generator.values()])
        return np.concatenate([*(np.arange(*cut, self.shard_size) for cut in pairwise(ends)), ends[-1:]])

    @property
    def shard_rows(self) -> dict[int, int]:
        """How many rows each shard has."""
        return dict(enumerate(np.diff(self._starts).tolist()))

    @property
    def shards(self) -> Lazily[ShardPlan]:
        """By number: of one generator each, so that a worker holds one, sorted by (identity, id). Each is cut when it
        is asked for."""
        return Lazily(range(len(self._starts) - 1), self._shard)

    def _shard(self, number: int) -> ShardPlan:
        start, end = self._starts[number : number + 2]
        samples, people = self.samples, self.samples.people
        columns = samples.columns(self.numbers[start:end].astype(np.int64))
        content, pose, shown = map(people.lines, (columns.content, columns.pose_of, columns.shown))
        target = nullable(columns.target_camera)
        rows = samples.named_by(columns)
        added = {
            **{name: content.column(name) for name in ("image_sha256", "file", "row")},
            **{
                f"pose_{name.removeprefix('image_')}": pose.column(name)
                for name in ("image_sha256", "dataset_id", "identity")
            },
            "identity": shown.column("identity"),
            "split": shown.column("split").cast(pa.string()).fill_null("train"),
            "camera": pc.coalesce(target, content.column("camera")),
            "hard_label": pa.array(self._labels[people.ranks[columns.shown]]),
            **self._terms_of(rows.column("generator"), content, pose),
        }
        for name, column in added.items():
            rows = rows.append_column(name, column)
        return ShardPlan(rows.combine_chunks(), self.naming)

    @cached_property
    def _labels(self) -> NDArray[np.int32]:
        """The class of each identity of the people, and that of nobody."""
        return self.classes.numbers([*self.samples.people.identities, None])

    def _terms_of(self, generator: pa.ChunkedArray[Any], *images: pa.Table) -> dict[str, pa.Array[Any]]:
        """What comes of the terms of all that goes into each row: of its ``generator``, and of the ``images``."""
        stated = [
            (one.column("image_id").is_valid(), one.column("licence"), one.column("consent_basis")) for one in images
        ]
        columns = [generator, *(column for one in stated for column in one)]
        rows = list(zip(*(_plain(column).to_pylist() for column in columns), strict=True))
        found = {
            (member, *rest): combined(
                [self.terms[member], *(Terms.of(*one[1:]) for one in (rest[:3], rest[3:]) if one[0])]
            )
            for member, *rest in set(rows)
        }
        return {name: pa.array([getattr(found[row], name) for row in rows], pa.string()) for name in Terms._fields}


def _plain(column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Without a dictionary: Python's values of one are made tenfold slower."""
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def make_plan(
    samples: Samples,
    settings: SynthesisSettings,
    generators: GeneratorSet,
    classes: ClassMap,
    decisive: Mapping[str, Any],
    terms: Mapping[str, Terms],
) -> SynthesisPlan:
    """Name and sort ``samples``; ``classes`` is what their labels are over.

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
    naming = Naming(common, settings.seed)
    progress = Progress("plan", 2 * samples.count, "names")  # each twice: to sort them, and for the plan's id
    numbers, sizes = sorted_numbers(samples, naming, progress)
    made = {member: size for member, size in zip(samples.members, sizes.tolist(), strict=True) if size}
    plan_id = content_hash("synthesize", settings_sha256({"rows": digest}), "shard_size", str(settings.shard_size))
    for start in range(0, len(numbers), AT_A_TIME):
        columns = samples.columns(numbers[start : start + AT_A_TIME].astype(np.int64))
        names = naming.names(samples.named_by(columns))
        plan_id.update(id_parts(names))
        progress.advance(len(names))
    beside = [f"rejected: {condition}" for condition in settings.reject_below]
    beside += [f"{member}: {licence}, {basis}" for member, (licence, basis) in sorted(terms.items())]
    plan_id.update(b"".join(map(id_part, beside)))
    head = PlanHead(plan_id.hexdigest(), digest, classes)
    return SynthesisPlan(head, samples, numbers, made, naming, dict(terms), settings.shard_size)


def expected_bytes(sizes: np.ndarray, rows: int) -> int:
    """Estimated size of a data set of ``rows`` from the encoded sizes of a few of its images, in bytes."""
    beside_image = 900  # mask, keypoints, provenance: 896 bytes a row, compressed, measured on the demo's 456 rows
    return int(rows * (float(sizes.mean()) + beside_image))
