"""Shard in, shard out: decode, generate, score, label, encode, commit. No engine in it.

A shard's bytes are a function of its plan rows and the inputs named in the run: batches are cut the same way
every time and padded to one shape, and no time, run or machine is written into a row.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from manifests.format.schema import QUALITY_SCORES, REJECT_SCHEMA, SYNTHETIC_SCHEMA, TRAINED_ALGORITHMIC_MEDIA
from manifests.format.soft_labels import NO_LABEL, LabelColumns
from manifests.reading.dataset import open_dataset
from manifests.reading.rows import fetch_rows
from manifests.reading.shard_check import check_shards
from manifests.writing.run import Dataset
from pipeline.annotation.annotated_images import AnnotatedImages
from pipeline.annotation.annotations import Annotations, keypoint_structs, reject_row
from pipeline.common.digests import subject_key
from pipeline.common.images import ImageError, RgbImage, encode, encode_mask, pixel_sha256, sha256
from pipeline.common.row_images import PICTURE, decode_row
from pipeline.generators.trained import Generator
from pipeline.generators.trained_set import GeneratorSet
from pipeline.measures.images import StyleStatistics, masked_change, pose_error, structure_similarity, style_shift
from pipeline.synthesis.gates import rejected_by
from pipeline.synthesis.labelling import NEEDS_IDENTITY, Labeller
from pipeline.synthesis.plan import RECIPE_VERSION, PlanHead, SynthesisSettings
from pipeline.synthesis.row_inputs import NO_ANNOTATION, Pose, View, asked_pose, fit_view, input_columns

if TYPE_CHECKING:
    from pipeline.annotation.poses import PoseEstimator

STAGE = "synthesize"
Each = Callable[..., Iterator[Any]]
Rejects = list[dict[str, Any]]
_SOURCE_COLUMNS = (*PICTURE, "dataset_id", "relative_path")


@dataclass(frozen=True)
class SynthesisInputs:
    """What every worker opens for itself; small, picklable."""

    source_uri: str
    annotations_uri: str | None
    generators: GeneratorSet
    domain: str
    target_domain: str | None = None
    """The domain asked for, where that is what the generators change."""
    styles: Mapping[int | None, StyleStatistics] = field(default_factory=dict)
    """What a restyled image is measured against, by target camera; under None the target domain's."""
    pose_model: str | None = None
    """Estimator that looks for the asked pose in what was made."""
    device: str = "cpu"
    threads: int = 1


@dataclass
class StageClock:
    """Seconds spent in each part of a shard."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - started

    def rounded(self) -> dict[str, float]:
        return {f"{part}_seconds": round(value, 4) for part, value in self.seconds.items()}


class Sink(Protocol):
    """Where finished shards go: `manifests.writing.run.ShardSink` for a data set that is written."""

    def commit(self, shard: int, rows: pa.Table, rejects: pa.Table, stats: Mapping[str, float], /) -> object: ...


class SynthesisWorker:
    """Holds one generator and the inputs; makes and commits one shard at a time."""

    def __init__(self, inputs: SynthesisInputs, plan: PlanHead, settings: SynthesisSettings, sink: Sink) -> None:
        """``settings`` are resolved: size, precision and label rule are said."""
        self.inputs, self.settings, self.sink = inputs, settings, sink
        if inputs.device == "cpu":
            torch.set_num_threads(inputs.threads)
        self.plan_id, self.settings_sha256 = plan.plan_id, plan.settings_sha256
        self.num_classes = len(plan.classes)
        self.annotated = AnnotatedImages(open_dataset(inputs.annotations_uri)) if inputs.annotations_uri else None
        self.annotations: Annotations | None = None
        """Of the images of the shard in hand."""
        self._loaded: tuple[str, Generator] | None = None

    def generator(self, member: str) -> Generator:
        """The member in hand, loaded by the worker that uses it; the one before it is let go."""
        if self._loaded is None or self._loaded[0] != member:
            self._loaded = None
            settings = self.settings
            loaded = self.inputs.generators.load(member, self.inputs.device, settings.precision, settings.batch_size)
            self._loaded = member, loaded
        return self._loaded[1]

    @cached_property
    def source(self) -> Dataset:
        """Not opened where everything is made from noise."""
        return open_dataset(self.inputs.source_uri)

    @cached_property
    def labeller(self) -> Labeller:
        return Labeller(self.settings, self.num_classes, self.inputs.device, self.settings.batch_size)

    @cached_property
    def pose_estimator(self) -> PoseEstimator | None:
        """Loaded only where a score asks for it: mmpose takes long to import."""
        if self.inputs.pose_model is None:
            return None
        from pipeline.annotation.poses import load_pose_estimator

        return load_pose_estimator(self.inputs.pose_model, self.inputs.device)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return self.settings.size(self.inputs.generators)

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        """Make the plan's rows batch by batch; yield how many were finished; commit at the end."""
        clock = StageClock()
        if self.settings.label_rule not in NEEDS_IDENTITY:
            plan = _of_nobody_unless_shown(plan)
        with clock.measure("load"):
            generator = self.generator(plan.column("generator")[0].as_py())
            _ = self.labeller, self.pose_estimator
            if self.annotated is not None:
                digests = [*plan.column("image_sha256").chunks, *plan.column("pose_sha256").chunks]
                self.annotations = self.annotated.of(pa.chunked_array(digests, pa.string()))
        tables: list[pa.Table] = [SYNTHETIC_SCHEMA.empty_table()]
        rejects: Rejects = []
        with ThreadPoolExecutor(self.inputs.threads) as threads:
            for start in range(0, plan.num_rows, self.settings.batch_size):
                part = plan.slice(start, self.settings.batch_size)
                with clock.measure("decode"):
                    views = self._views(part, rejects, threads.map)
                if views:
                    tables.append(self._make_batch(views, generator, clock, threads.map, rejects))
                yield part.num_rows
        with clock.measure("commit"):
            rejected = pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA)
            self.sink.commit(shard, pa.concat_tables(tables).combine_chunks(), rejected, clock.rounded())

    def _views(self, part: pa.Table, rejects: Rejects, each: Each) -> list[View]:
        """What the rows of one batch are made from; what cannot be read goes to ``rejects``."""
        plan = part.to_pylist()
        sources: list[dict[str, Any] | None] = [None] * len(plan)
        if not part.column("file").null_count:
            check_shards(self.source, part.column("file").to_pylist())
            sources = fetch_rows(self.source, part, _SOURCE_COLUMNS).to_pylist()
        made = list(each(self._view, sources, plan))
        rejects += [reject for reject in made if not isinstance(reject, View)]
        return [view for view in made if isinstance(view, View)]

    def _view(self, source: dict[str, Any] | None, plan: dict[str, Any]) -> View | dict[str, Any]:
        """What one row is made from, an image at the generator's size, or the reject that it became."""
        try:
            view = View(plan) if source is None else self._image(source, plan)
            view.pose = self._asked_pose(plan)
        except ImageError as error:
            made_from = source or {"image_sha256": plan["pose_sha256"], "relative_path": None}
            return reject_row(made_from, plan["sample_id"], "decode", error)
        return view

    def _image(self, source: dict[str, Any], plan: dict[str, Any]) -> View:
        source["image_sha256"] = plan["image_sha256"]  # the bytes must be those of the image that the plan names
        image = decode_row(source)
        known = None
        if self.annotations and self.inputs.generators.keeps_geometry:
            known = self.annotations.get(plan["image_sha256"], image.shape[:2])
        return fit_view(source, plan, image, known or NO_ANNOTATION, self.size, self.settings.seed)

    def _asked_pose(self, plan: dict[str, Any]) -> Pose | None:
        asked = plan["pose_sha256"]
        donor = self.annotations.get(asked) if self.annotations and asked else None
        if asked and (donor is None or donor.keypoints is None):
            raise ImageError("bad_annotation", f"no pose of image {asked[:12]} is known")
        return asked_pose(plan, donor, self.inputs.generators, self.size)

    def _generate(
        self, views: list[View], generator: Generator, rejects: Rejects
    ) -> tuple[list[View], NDArray[np.uint8]]:
        """Those of ``views`` whose pixels are finite, and the pixels."""
        images, finite = generator.attempt(input_columns(views, self.inputs.generators, self.size))
        error = ImageError("not_finite", f"the generator {generator.name} made pixels that are not finite")
        lost = compress(views, ~finite)
        rejects += [reject_row(view.source, view.plan["sample_id"], "generate", error) for view in lost]
        return list(compress(views, finite)), images[finite]

    def _make_batch(
        self, views: list[View], generator: Generator, clock: StageClock, each: Each, rejects: Rejects
    ) -> pa.Table:
        """The finished rows of one batch; what has no finite pixels, or too low scores, goes to ``rejects``."""
        with clock.measure("generate"):
            views, images = self._generate(views, generator, rejects)
        with clock.measure("score"):
            scores = list(each(self._score, views, images))
            self._score_poses(views, images, scores)
        with clock.measure("label"):
            labels = self.labeller.columns([view.plan["hard_label"] for view in views], images)
        with clock.measure("encode"):
            rows = list(each(lambda *one: self._row(generator, *one), views, images, scores))
            table = _table(rows, labels)
            return table.filter(self._kept(views, scores, rejects)) if self.settings.reject_below else table

    def _kept(self, views: list[View], scores: list[dict[str, float | None]], rejects: Rejects) -> pa.Array:
        """Which of ``views`` pass the conditions on their scores; the others go to ``rejects``."""
        reasons = [rejected_by(self.settings.reject_below, one) for one in scores]
        for view, reason in zip(views, reasons, strict=True):
            if reason is not None:
                error = ImageError("low_quality", reason)
                rejects.append(reject_row(view.source, view.plan["sample_id"], "score", error))
        return pa.array([reason is None for reason in reasons], pa.bool_())

    def _score(self, view: View, image: RgbImage) -> dict[str, float | None]:
        return score(view, image, self.inputs.styles.get(view.plan["target_camera"]))

    def _score_poses(
        self, views: Sequence[View], images: NDArray[np.uint8], scores: list[dict[str, float | None]]
    ) -> None:
        """How far the poses found in ``images`` are from those asked for."""
        if self.pose_estimator is None:
            return
        found = self.pose_estimator.estimate(list(images))
        for view, points, one in zip(views, found, scores, strict=True):
            if view.pose is not None:
                one["pose_error"] = pose_error(view.pose.keypoints, points, self.size[0])

    def _row(
        self, generator: Generator, view: View, image: RgbImage, scores: dict[str, float | None]
    ) -> dict[str, Any]:
        """One row of the synthetic manifest, all but its label columns."""
        plan = view.plan
        data = encode(image, self.settings.image_format, self.settings.quality)
        suffix = {"jpeg": "jpg"}.get(self.settings.image_format, self.settings.image_format)
        # Mask and joints are known where they stayed as in the source, or were asked for.
        mask, keypoints = view.mask, view.keypoints
        if view.pose is not None:
            keypoints = view.pose.keypoints
            mask = view.pose.mask if "mask" in self.inputs.generators.recipe.inputs else None
        return {
            "sample_id": plan["sample_id"],
            "image": {"bytes": data, "path": f"{plan['sample_id']}.{suffix}"},
            "image_sha256": sha256(data),
            "pixel_sha256": pixel_sha256(image),
            "width": image.shape[1],
            "height": image.shape[0],
            "identity": plan["identity"],
            "camera": plan["camera"],
            "domain": self.inputs.domain,
            "split": plan["split"],
            **provenance(view),
            "recipe": generator.recipe,
            "recipe_version": RECIPE_VERSION,
            "settings_sha256": self.settings_sha256,
            "seed": plan["seed"],
            "draw": plan["draw"],
            "plan_id": self.plan_id,
            "checkpoint_sha256s": [generator.sha256],
            "target": {
                "camera": plan["target_camera"],
                "domain": self.inputs.target_domain,
                "pose": target_pose(plan),
            },
            "mask": encode_mask(mask) if mask is not None else None,
            "keypoints": keypoint_structs(keypoints) if keypoints is not None else None,
            "quality": {name: scores.get(name) for name in QUALITY_SCORES},
            "digital_source_type": TRAINED_ALGORITHMIC_MEDIA,
            "licence": plan["licence"],
            "consent_basis": plan["consent_basis"],
        }


def _of_nobody_unless_shown(plan: pa.Table) -> pa.Table:
    """``plan`` without the names of those of whom a pose alone goes in, sorted as rows are.

    What is made wears nobody's clothes, and is theirs only by a label that says so.
    """
    nobody = pc.is_null(plan.column("image_sha256"))
    for name, none in (("identity", None), ("hard_label", NO_LABEL)):
        column = plan.column(name)
        kept = pc.if_else(nobody, pa.scalar(none, column.type), column)
        plan = plan.set_column(plan.schema.get_field_index(name), plan.schema.field(name), kept)
    return plan.sort_by([("identity", "ascending"), ("sample_id", "ascending")])


def _table(rows: list[dict[str, Any]], labels: LabelColumns) -> pa.Table:
    """The rows with their label columns, in the schema's order."""
    names = [name for name in SYNTHETIC_SCHEMA.names if name not in labels]
    bare = pa.schema([SYNTHETIC_SCHEMA.field(name) for name in names])
    columns = dict(zip(names, pa.Table.from_pylist(rows, schema=bare).columns, strict=True)) | labels
    return pa.table({name: columns[name] for name in SYNTHETIC_SCHEMA.names}).cast(SYNTHETIC_SCHEMA)


def provenance(view: View) -> dict[str, Any]:
    """``sources`` by role and the keys of the people on them; both empty where the image was made from noise alone."""
    plan, source = view.plan, view.source
    sources, people = [], []
    if source is not None:
        sources.append({"sha256": source["image_sha256"], "role": "content", "dataset_id": source["dataset_id"]})
        people.append(subject_key(source["dataset_id"], plan["identity"]))
    if plan["pose_sha256"] is not None:
        sources.append({"sha256": plan["pose_sha256"], "role": "pose", "dataset_id": plan["pose_dataset_id"]})
        people.append(subject_key(plan["pose_dataset_id"], plan["pose_identity"]))
    return {"sources": sources, "subject_keys": list(dict.fromkeys(people))}


def target_pose(plan: Mapping[str, Any]) -> str | None:
    """The pose that a row asks for: ``class N``, or the digest of the image that has it; None if it asks for none."""
    return plan["pose_sha256"] if plan["pose_class"] is None else f"class {plan['pose_class']}"


def score(view: View, image: RgbImage, target_style: StyleStatistics | None) -> dict[str, float | None]:
    """Quality of one generated image against the view that it was made from; None where it cannot be told.

    Pixels are compared in place, so a person in another pose than the source's gets none of these scores.
    """
    scores: dict[str, float | None] = {}
    if view.image is None or view.pose is not None:
        return scores
    if view.mask is not None:
        scores["foreground_change"] = masked_change(view.image, image, view.mask)
        scores["foreground_fidelity"] = structure_similarity(view.image, image, view.mask)
        scores["background_change"] = masked_change(view.image, image, ~view.mask)
    if target_style is not None:
        scores["style_shift"] = style_shift(view.image, image, target_style)
    return scores
