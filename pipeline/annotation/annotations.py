"""Masks and poses of source images: what is still to be annotated, one shard of it, and the finished rows.

A row is keyed by the image's digest and by the digests of both models (the keypoints prompt the segmenter, so
a mask belongs to the pair). What a data set of annotations already holds is never computed again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from manifests.disk.claims import CLAIMS
from manifests.disk.run_record import load_run
from manifests.disk.snapshots import Snapshot
from manifests.errors import UserError
from manifests.format.annotation_values import (
    check_joints,
    check_mask_quality,
    check_places,
    joints_of,
    nothing_wrong,
    read_keypoints,
    read_mask,
    read_plain_mask,
)
from manifests.format.schema import ANNOTATION_SCHEMA, REJECT_SCHEMA
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.inputs import open_input
from manifests.reading.rows import fetch_rows, index_rows
from manifests.reading.shard_check import check_shards
from manifests.storage.entry import TEMPORARY
from manifests.storage.whole_files import open_storage
from manifests.writing.run import ShardSink
from pipeline.common.digests import plan_digest
from pipeline.common.images import BoolMask, ImageError, RgbImage, encode_mask
from pipeline.common.row_images import PICTURE, decode_row
from pipeline.common.settings import Advanced, JobSettings, Output, Run

if TYPE_CHECKING:
    from pipeline.annotation.masks import Foreground

STAGE = "annotate"
PLAN_COLUMNS = ("image_id", "image_sha256")


COLUMNS = ["image_sha256", "mask", "mask_quality", "keypoints", "height", "width"]
"""What `Annotations` reads of a row."""


class AnnotationSettings(JobSettings):
    """Which models annotate, and how the work is cut."""

    group = "recipe"
    segmenter: str = Field("sam_tiny", description="Segment Anything checkpoint: a name or a path")
    pose: str = Field("pose_tiny", description="mmpose checkpoint: a name or a path")
    shard_size: Advanced[Output[int]] = Field(
        256, ge=1, description="images in a shard: the unit of commit and resume; 1000 at scale"
    )
    batch_size: Advanced[Run[int]] = Field(64, ge=1, description="images handed to the models at a time")
    device: Run[Literal["cpu", "cuda"]] = Field("cpu", description="where the models run")


@dataclass(frozen=True)
class AnnotationPlan:
    """What is to be annotated: shard number -> rows of (image_id, image_sha256, file, row)."""

    plan_id: str
    shards: Mapping[int, pa.Table]
    images: int
    already_done: int
    model_sha256s: tuple[str, str]
    """Of the segmenter and of the pose model."""


def plan_annotations(
    source: Dataset,
    annotated: Dataset | None,
    settings: AnnotationSettings,
    limit: int | None = None,
    only: frozenset[str] | None = None,
) -> AnnotationPlan:
    """The images of ``source`` that ``annotated`` does not hold for these two models, cut into shards.

    Bytes that occur several times are annotated once. ``limit`` takes the first images, ``only`` those with these
    digests. The digests of both models are part of the plan's id.
    """
    segmenter_sha256, pose_sha256 = model_digests(settings)
    rows = index_rows(source, PLAN_COLUMNS)
    digests = np.asarray(rows.column("image_sha256").to_pylist(), dtype=object)
    _, first = np.unique(digests.astype(str), return_index=True)
    rows = rows.take(pa.array(np.sort(first)[:limit]))
    done = _done(annotated, segmenter_sha256, pose_sha256)
    if only is not None:
        rows = rows.filter(pa.array([digest in only for digest in rows.column("image_sha256").to_pylist()]))
    fresh = [digest not in done for digest in rows.column("image_sha256").to_pylist()]
    to_do = rows.filter(pa.array(fresh))
    decisive = {"segmenter": segmenter_sha256, "pose": pose_sha256, "shard_size": settings.shard_size}
    decisive |= {"batch_size": settings.batch_size}
    size = settings.shard_size
    shards = {start // size: to_do.slice(start, size) for start in range(0, to_do.num_rows, size)}
    plan_id = plan_digest(STAGE, decisive, to_do.column("image_id").to_pylist())
    models = segmenter_sha256, pose_sha256
    return AnnotationPlan(plan_id, shards, to_do.num_rows, rows.num_rows - to_do.num_rows, models)


def model_digests(settings: AnnotationSettings) -> tuple[str, str]:
    """SHA-256 of the segmenter's and of the pose model's checkpoint, fetched and verified if need be."""
    from pipeline.checkpoints import file_sha256, resolve

    return file_sha256(resolve(settings.segmenter)), file_sha256(resolve(settings.pose))


def _done(annotated: Dataset | None, segmenter_sha256: str, pose_sha256: str) -> set[str]:
    if annotated is None:
        return set()
    table = annotated.read(["image_sha256", "segmenter_sha256", "pose_sha256"])
    pairs = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    return {image for image, segmenter, pose in pairs if (segmenter, pose) == (segmenter_sha256, pose_sha256)}


class AnnotationWorker:
    """Holds both models and the source; annotates and commits one shard at a time."""

    def __init__(self, source_uri: str, sink: ShardSink, settings: AnnotationSettings) -> None:
        import torch

        from pipeline.annotation.masks import load_segmenter
        from pipeline.annotation.poses import load_pose_estimator

        if settings.device == "cpu":
            torch.set_num_threads(1)  # a row must not depend on how many actors share the machine
        self.settings = settings
        self.sink = sink
        self.source = open_dataset(source_uri)
        self.pose = load_pose_estimator(settings.pose, settings.device)
        self.segmenter = load_segmenter(settings.segmenter, settings.device)
        self.known_keypoints = _known_keypoints(sink.uri, self.pose.sha256)

    def run(self, shard: int, plan: pa.Table) -> Iterator[int]:
        """Annotate the plan's rows in batches that are always cut the same way; yield images done."""
        started = time.perf_counter()
        rows: list[dict[str, Any]] = []
        rejects: list[dict[str, Any]] = []
        for start in range(0, plan.num_rows, self.settings.batch_size):
            part = plan.slice(start, self.settings.batch_size)
            rows += self._annotate(part, rejects)
            yield part.num_rows
        seconds = time.perf_counter() - started
        self.sink.commit(
            shard,
            pa.Table.from_pylist(rows, schema=ANNOTATION_SCHEMA),
            pa.Table.from_pylist(rejects, schema=REJECT_SCHEMA),
            {"seconds": round(seconds, 3)},
        )

    def _annotate(self, part: pa.Table, rejects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        check_shards(self.source, part.column("file").to_pylist())
        fetched = fetch_rows(self.source, part, ["image_id", *PICTURE, "relative_path"])
        readable: list[tuple[dict[str, Any], RgbImage]] = []
        for planned, row in zip(part.column("image_sha256").to_pylist(), fetched.to_pylist(), strict=True):
            try:
                row["image_sha256"] = planned  # the bytes must be those of the image that the plan names
                readable.append((row, decode_row(row)))
            except ImageError as error:
                rejects.append(reject_row(row, row["image_id"], "decode", error))
        if not readable:
            return []
        images = [image for _, image in readable]
        keypoints = self._keypoints([row["image_sha256"] for row, _ in readable], images)
        people = self.segmenter.segment(images, list(keypoints))
        found = list(zip(readable, people, keypoints, strict=True))
        rejects += [_not_finite(row) for (row, _), person, points in found if not _finite(person, points)]
        return [
            {
                "image_id": row["image_id"],
                "image_sha256": row["image_sha256"],
                "width": image.shape[1],
                "height": image.shape[0],
                "mask": encode_mask(person.mask),
                "mask_quality": person.quality,
                "segmenter": self.segmenter.name,
                "segmenter_sha256": self.segmenter.sha256,
                "keypoints": keypoint_structs(points),
                "pose_model": self.pose.name,
                "pose_sha256": self.pose.sha256,
            }
            for (row, image), person, points in found
            if _finite(person, points)
        ]

    def _keypoints(self, digests: list[str], images: list[RgbImage]) -> NDArray[np.float32]:
        """Keypoints (N, 17, 3), taken from earlier rows of the same pose model where there are any."""
        if all(digest in self.known_keypoints for digest in digests):
            return np.stack([self.known_keypoints[digest] for digest in digests])
        return self.pose.estimate(images)


def _finite(person: Foreground, points: NDArray[np.float32]) -> bool:
    return bool(np.isfinite(person.quality) and np.isfinite(points).all())


def _not_finite(row: Mapping[str, Any]) -> dict[str, Any]:
    error = ImageError("not_finite", "the models answered with a mask or keypoints that are not finite")
    return reject_row(row, row["image_id"], STAGE, error)


def _known_keypoints(uri: str, pose_sha256: str) -> dict[str, NDArray[np.float32]]:
    """Usable keypoints by image digest from a closed data set of annotations at ``uri``; empty where there is none."""
    dataset = open_annotations(uri)
    known = {}
    for row in dataset.read(["image_sha256", "keypoints", "pose_sha256"]).to_pylist() if dataset else ():
        if row["pose_sha256"] == pose_sha256 and row["keypoints"]:
            with suppress(ValueError):  # found anew
                known[row["image_sha256"]] = read_keypoints(row["keypoints"])
    return known


def open_annotations(uri: str, flag: str = "") -> Dataset | None:
    """The closed data set of annotations at ``uri``, None where there is none yet; ``flag`` is what named it.

    Raises:
        UserError: another kind of data set is there, or one that cannot be used.
    """
    if Snapshot.newest(open_storage(uri)) is None:
        return None
    return open_input(uri, "annotation", flag=flag)


def check_free(uri: str, flag: str) -> None:
    """Whether annotations can be made at ``uri``, where `open_annotations` found none; ``flag`` is what named it.

    Raises:
        UserError: something else lies there, so that another place was surely meant.
    """
    storage = open_storage(uri)
    begun = load_run(storage)
    if begun is not None and begun.get("kind") != "annotation":
        raise UserError(f"{flag} {uri} holds an unfinished run of {begun.get('kind')} rows, and no annotations")
    begins = re.compile(rf"{TEMPORARY.pattern}|^{CLAIMS}/")  # all that a run may have left that was stopped at once
    if begun is None and not all(begins.search(file.path) for file in storage.list()):
        raise UserError(f"{flag} {uri} holds files and no annotations: name those there are, or a new place")


def check_belonging(annotations: Dataset, source: Dataset) -> None:
    """Refuse annotations of other images than those of ``source``.

    Raises:
        UserError: there are some, and not one is of an image there.
    """
    column = ["image_sha256"]
    there = pa.chunked_array([chunk for part in source.shards(column) for chunk in part.column(0).chunks], pa.string())
    annotated = (part.column(0) for part in annotations.shards(column))
    if annotations.snapshot.rows and not any(pc.any(pc.is_in(part, value_set=there)).as_py() for part in annotated):
        count = len(set(annotations.read(column).column(0).to_pylist()))
        raise UserError(f"{annotations.uri} holds annotations of other images: none of the {count} is in {source.uri}")


@dataclass(frozen=True)
class Annotation:
    """Mask ``(H, W)`` bool, the segmenter's own quality, keypoints ``(17, 3)`` in pixels; None where unknown."""

    mask: BoolMask | None
    mask_quality: float | None
    keypoints: NDArray[np.float32] | None
    size: tuple[int, int] | None = None
    """Height and width of the image in pixels."""
    png: bytes | None = None
    """The bytes of the mask, where they are such as `encode_mask` writes."""

    def keypoints_at(self, height: int, width: int) -> NDArray[np.float32]:
        """The keypoints in pixels of the image at another size.

        Raises:
            ValueError: they, or the image's size, are not known.
        """
        if self.keypoints is None or self.size is None:
            raise ValueError("nobody said where the joints are on this image, and of what size it is")
        return self.keypoints * np.array([width / self.size[1], height / self.size[0], 1.0], np.float32)


class Annotations:
    """Finished annotations by image digest."""

    def __init__(self, dataset: Dataset, rows: pa.Table | None = None) -> None:
        """All of ``dataset``, or those ``rows``. Raises UserError where a file is not the one that was written."""
        self.dataset = dataset
        if rows is None:
            check_shards(dataset)
            rows = dataset.read(COLUMNS)
        self._table = rows
        # Where several pairs of models annotated an image, the latest wins.
        self._rows = {digest: row for row, digest in enumerate(self._table.column("image_sha256").to_pylist())}
        sizes = [np.asarray(self._table.column(name), np.int64) for name in ("height", "width")]
        self._sizes = list(zip(*(side.tolist() for side in sizes), strict=True))
        self._qualities = self._table.column("mask_quality").to_pylist()
        self._masks = self._table.column("mask")
        self._points, self._starts = joints_of(self._table.column("keypoints"))
        self._known = np.asarray(self._table.column("keypoints").is_valid())
        self._right = nothing_wrong(self._points, self._starts, *sizes)

    def __len__(self) -> int:
        return len(self._rows)

    def holds(self, image_sha256: str, *values: str) -> bool:
        """Whether the image's annotation has all of ``values`` (mask, keypoints), be they good or bad."""
        row = self._rows.get(image_sha256)
        return row is not None and all(self._table.column(name)[row].is_valid for name in values)

    def get(self, image_sha256: str, size: tuple[int, int] | None = None) -> Annotation | None:
        """The annotation of an image, None where it has none; ``size`` is the image's own (height, width), if known.

        Raises:
            ImageError: ``bad_annotation``: a mask that is none or of another size, keypoints that are not 17 finite
                ones near the image, a score or quality out of range, another size than the image's.
        """
        row = self._rows.get(image_sha256)
        if row is None:
            return None
        try:
            return self._annotation(row, size)
        except ValueError as error:
            raise ImageError("bad_annotation", f"annotation of {image_sha256[:12]}: {error}") from None

    def _annotation(self, row: int, size: tuple[int, int] | None) -> Annotation:
        """That of an image of ``size`` in a row; raises ValueError where it cannot be."""
        (height, width), quality = self._sizes[row], self._qualities[row]
        if min(height, width) < 1:
            raise ValueError(f"it is of a picture of {width} x {height} pixels, which no picture has")
        if size is not None and (height, width) != size:
            raise ValueError(f"it is of a picture of {width} x {height} pixels, the picture is {size[1]} x {size[0]}")
        check_mask_quality(quality)
        png = self._masks[row].as_py()
        plain = read_plain_mask(png, height, width) if png is not None else None
        mask = read_mask(png, height, width) if png is not None and plain is None else plain
        keypoints = self._points[self._starts[row] : self._starts[row + 1]] if self._known[row] else None
        if keypoints is not None and not self._right[row]:
            check_places(check_joints(keypoints), height, width)
        return Annotation(mask, quality, keypoints, (height, width), None if plain is None else png)


def keypoint_structs(points: NDArray[np.float32]) -> list[dict[str, float]]:
    """``(17, 3)`` x, y, score as the rows of a manifest hold them."""
    return [{"x": float(x), "y": float(y), "score": float(score)} for x, y, score in points]


def keypoint_array(structs: list[dict[str, float]]) -> NDArray[np.float32]:
    """``(17, 3)`` float32 from what `keypoint_structs` made."""
    return np.array([[point["x"], point["y"], point["score"]] for point in structs], dtype=np.float32)


def reject_row(source: Mapping[str, Any] | None, item_id: str, stage: str, error: ImageError) -> dict[str, Any]:
    """A row of the rejects table for a source row that could not be used, or for what was to be made out of noise."""
    return {
        "item_id": item_id,
        "stage": stage,
        "reason": error.reason,
        "message": str(error),
        "source_sha256": source and source["image_sha256"],
        "relative_path": source and source["relative_path"],
    }
