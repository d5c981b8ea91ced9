"""Shard in, shard out: decode, generate, score, label, encode, commit. No engine in it.

A shard's bytes are a function of its plan rows and the inputs named in the run: batches are cut the same way every
time, padded to one shape and finished in their order, and no time, thread, run or machine is written into a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from manifests.format.schema import REJECT_SCHEMA
from manifests.format.soft_labels import NO_LABEL
from manifests.reading.dataset import open_dataset
from manifests.reading.rows import fetch_rows
from manifests.reading.shard_check import check_shards
from manifests.writing.run import Dataset
from pipeline.annotation.annotated_images import AnnotatedImages
from pipeline.annotation.annotations import Annotations, reject_row
from pipeline.common.images import ImageError, RgbImage
from pipeline.common.row_images import PICTURE, decode_row
from pipeline.generators.trained import Generator
from pipeline.generators.trained_set import GeneratorSet
from pipeline.measures.images import StyleStatistics
from pipeline.synthesis.labelling import NEEDS_IDENTITY, Labeller
from pipeline.synthesis.plan import PlanHead, SynthesisSettings
from pipeline.synthesis.row_inputs import NO_ANNOTATION, Pose, View, asked_pose, check_movable, fit_view, input_columns
from pipeline.synthesis.shard.batches import Batch
from pipeline.synthesis.shard.scores import condemned, count, score
from pipeline.synthesis.shard.stages import StageClock, ahead, one_behind, stage_threads
from pipeline.synthesis.shard.table import Part, RowMaker

if TYPE_CHECKING:
    from pipeline.annotation.poses import PoseEstimator

STAGE = "synthesize"
_SOURCE_COLUMNS = (*PICTURE, "dataset_id", "relative_path")
_FETCHED = 512
"""Rows whose sources are read together: 5 to 20 MB of pictures, and a file's row group is read twice at most."""


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
    """That read, decode, score and encode while the generator runs; on a processor it computes with as many."""


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
        cv2.setNumThreads(1)  # the threads are ours, and each has a whole batch in hand
        self.num_classes = len(plan.classes)
        self.rows = RowMaker(
            settings,
            plan.plan_id,
            plan.settings_sha256,
            inputs.domain,
            inputs.target_domain,
            masks_asked="mask" in inputs.generators.recipe.inputs,
        )
        self.annotated = AnnotatedImages(open_dataset(inputs.annotations_uri)) if inputs.annotations_uri else None
        self.annotations: Annotations | None = None
        """Of the images of the shard in hand."""
        self.counts_there = torch.device(inputs.device).type == "cuda"
        """Whether the device counts what scores are told from: a processor does it in a tenth of the time by OpenCV."""
        self._loaded: tuple[str, Generator] | None = None

    def generator(self, member: str) -> Generator:
        """The member in hand, loaded by the worker that uses it; the one before it is let go."""
        if self._loaded is None or self._loaded[0] != member:
            self._loaded = None
            settings = self.settings
            arithmetic = settings.precision, settings.batch_size, settings.convolutions
            self._loaded = (
                member,
                self.inputs.generators.load(member, self.inputs.device, *arithmetic, settings.generation),
            )
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
        """Make the plan's rows batch by batch; yield how many were finished; commit at the end.

        The models run in the caller's thread, one batch after the other; `SynthesisInputs.threads` others meanwhile
        read and decode the next batches, and score and encode the last ones.
        """
        clock = StageClock()
        if self.settings.label_rule not in NEEDS_IDENTITY:
            plan = _of_nobody_unless_shown(plan)
        with clock.measure("load"):
            generator = self.generator(plan.column("generator")[0].as_py())
            _ = self.labeller, self.pose_estimator
            if self.annotated is not None:
                digests = [*plan.column("image_sha256").chunks, *plan.column("pose_sha256").chunks]
                self.annotations = self.annotated.of(pa.chunked_array(digests, pa.string()))
        parts: list[Part] = []
        rejects: list[dict[str, Any]] = []
        depth = self.inputs.threads
        with stage_threads(depth) as threads:
            fetched = ahead(threads, clock.timed("fetch", self._fetch), self._cut(plan), 1)
            ready = ahead(threads, clock.timed("decode", self._prepare), chain.from_iterable(fetched), depth)
            begun = map(clock.timed("generate", partial(self._begin, generator)), ready)
            made = map(clock.timed("generate", partial(self._take, generator)), one_behind(begun))
            for batch, part in ahead(threads, clock.timed("finish", self._finish), made, depth):
                rejects += batch.rejects
                parts += [] if part is None else [part]
                yield batch.plan.num_rows
        with clock.measure("commit"):
            rejected = pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA)
            rows = self.rows.table(parts, generator, self.labeller)
        self.sink.commit(shard, rows, rejected, clock.rounded())

    def _cut(self, plan: pa.Table) -> list[pa.Table]:
        """Rows whose sources are fetched together: whole batches."""
        rows = max(1, _FETCHED // self.settings.batch_size) * self.settings.batch_size
        return [plan.slice(start, rows) for start in range(0, plan.num_rows, rows)]

    def _fetch(self, part: pa.Table) -> list[tuple[pa.Table, pa.Table | None]]:
        """The batches of some rows, each with its sources, where it has any.

        They stay Arrow's until their turn comes: 512 pictures made Python's at once would hold the interpreter's lock
        for milliseconds, and lie in memory that no cache has.
        """
        sources = None
        if not part.column("file").null_count:
            check_shards(self.source, part.column("file").unique().to_pylist())
            sources = fetch_rows(self.source, part, _SOURCE_COLUMNS)
        size = self.settings.batch_size
        starts = range(0, part.num_rows, size)
        return [(part.slice(start, size), None if sources is None else sources.slice(start, size)) for start in starts]

    def _prepare(self, fetched: tuple[pa.Table, pa.Table | None]) -> Batch:
        """What the rows of one batch are made from; what cannot be read is rejected."""
        plan, rows = fetched
        sources: list[Any] = [None] * plan.num_rows if rows is None else rows.to_pylist()
        batch = Batch(plan, [], [], [])
        pictures = np.empty((plan.num_rows, *self.size, 3), np.uint8)
        for place, (source, row) in enumerate(zip(sources, plan.to_pylist(), strict=True)):
            laid_out = pictures[len(batch.views)]
            view = self._view(source, row, laid_out)
            if not isinstance(view, View):
                batch.rejects.append(view)
                continue
            if view.image is not None and view.image is not laid_out:
                laid_out[:] = view.image
                view.image = laid_out
            batch.views.append(view)
            batch.places.append(place)
        if batch.views:
            pictures = pictures[: len(batch.views)]
            batch.columns = input_columns(batch.views, pictures, self.inputs.generators, self.size)
        return batch

    def _view(self, source: dict[str, Any] | None, plan: dict[str, Any], laid_out: RgbImage) -> View | dict[str, Any]:
        """What one row is made from, an image at the generator's size, or the reject that it became; ``laid_out`` is
        where the image should be, and is if nothing but decoding it was to be done."""
        try:
            view = View(plan) if source is None else self._image(source, plan, laid_out)
            view.pose = self._asked_pose(plan)
            if view.pose and self.inputs.generators.recipe.moves_joints:
                check_movable(view)
        except ImageError as error:
            made_from = source or {"image_sha256": plan["pose_sha256"], "relative_path": None}
            return reject_row(made_from, plan["sample_id"], "decode", error)
        return view

    def _image(self, source: dict[str, Any], plan: dict[str, Any], laid_out: RgbImage) -> View:
        source["image_sha256"] = plan["image_sha256"]  # the bytes must be those of the image that the plan names
        image = decode_row(source, laid_out)
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

    def _begin(self, generator: Generator, batch: Batch) -> Batch:
        """Hand the batch to the generator, which need not be finished with it afterwards."""
        if batch.views:
            batch.making = generator.begin(batch.columns)
        if self.counts_there:
            batch.counting = count(batch, self.inputs.device)
        return batch

    def _take(self, generator: Generator, batch: Batch) -> Batch:
        """Wait for what the generator made; ask the other models about it."""
        batch.take(ImageError("not_finite", f"the generator {generator.name} made pixels that are not finite"))
        if batch.views and self.labeller.looks:
            batch.labels = self.labeller.columns([view.plan["hard_label"] for view in batch.views], batch.images)
        if batch.views and self.pose_estimator is not None:
            batch.found = self.pose_estimator.estimate(list(batch.images))
        return batch

    def _finish(self, batch: Batch) -> tuple[Batch, Part | None]:
        """The finished rows, None where none is left; those with too low scores are rejected."""
        scores = score(batch, self.inputs.styles)
        errors = condemned(self.settings.reject_below, scores, len(batch.views))
        batch.drop(errors, "score")
        if not batch.views:
            return batch, None
        kept = {
            name: [value for row, value in enumerate(values) if row not in errors] for name, values in scores.items()
        }
        return batch, self.rows.part(batch, kept)


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
