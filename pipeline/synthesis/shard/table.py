"""Finished rows of the synthetic manifest: gathered a batch at a time, made into columns a shard at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.format.schema import IMAGE, POSE, SYNTHETIC_SCHEMA, TARGET
from manifests.format.soft_labels import LabelColumns
from pipeline.common.digests import subject_key
from pipeline.common.images import BoolMask, RgbImage, encode, encode_mask, pixel_sha256, sha256
from pipeline.generators.trained import Generator
from pipeline.synthesis.labelling import Labeller
from pipeline.synthesis.plan import RECIPE_VERSION, SynthesisSettings
from pipeline.synthesis.row_inputs import View
from pipeline.synthesis.shard.batches import Batch
from pipeline.synthesis.shard.scores import Scores, quality

_PLANNED = ("sample_id", "identity", "camera", "split", "seed", "draw", "licence", "consent_basis")
"""Columns that the plan has as they are."""
_LISTED = ("image_sha256", "pixel_sha256", "mask", "sources", "subject_keys")
"""Columns of plain values."""
_TYPES = {one.name: one.type for one in SYNTHETIC_SCHEMA}


@dataclass(frozen=True)
class Part:
    """The finished rows of one batch, as they wait for the rest of their shard."""

    plan: pa.Table
    labels: LabelColumns
    """Those that a teacher gave; empty where none looks."""
    pictures: pa.Array[Any]
    """The encoded images: in Arrow's memory, for among Python's they would lie where the next are to be decoded."""
    values: dict[str, Sequence[Any]]
    """All else that differs from row to row, by name: a value for each row."""
    size: tuple[int, int]
    """Height and width of the images, pixels."""


@dataclass(frozen=True)
class RowMaker:
    """What all rows of a run have in common."""

    settings: SynthesisSettings
    plan_id: str
    settings_sha256: str
    domain: str
    target_domain: str | None
    masks_asked: bool
    """Whether the generator is given the mask of the pose that is asked for."""

    def part(self, batch: Batch, scores: Scores) -> Part:
        """The rows of ``batch``, their images encoded: nothing in it holds a pixel."""
        views = batch.views
        masks, keypoints = zip(*map(self._shown, views), strict=True)
        sources, people = zip(*map(provenance, views), strict=True)
        data, digests = zip(*map(self._encoded, batch.images), strict=True)
        values: dict[str, Sequence[Any]] = {
            "image_sha256": [sha256(one) for one in data],
            "pixel_sha256": digests,
            "mask": masks,
            "keypoints": keypoints,
            "sources": sources,
            "subject_keys": people,
            "pose": [target_pose(view.plan) for view in views],
            **scores,
        }
        return Part(batch.rows, batch.labels, pa.array(data, pa.binary()), values, batch.images.shape[1:3])

    def table(self, parts: Sequence[Part], generator: Generator, labeller: Labeller) -> pa.Table:
        """All rows of a shard, whose images ``generator`` made: made into columns at once, as that costs a batch of few
        rows what it costs a shard."""
        if not parts:
            return SYNTHETIC_SCHEMA.empty_table()
        plan = pa.concat_tables([part.plan for part in parts]).combine_chunks()
        count, (height, width) = plan.num_rows, parts[0].size
        values = {name: list(chain.from_iterable(part.values[name] for part in parts)) for name in parts[0].values}
        columns = {
            **{name: plan.column(name) for name in _PLANNED},
            **_labels(parts, plan, labeller),
            **{name: pa.array(values[name], _TYPES[name]) for name in _LISTED},
            "image": self._images([part.pictures for part in parts], plan.column("sample_id").to_pylist()),
            "target": self._targets(plan, values["pose"]),
            "keypoints": _keypoint_lists(values["keypoints"]),
            "quality": quality(values, count),
        }
        shared = {
            "height": height,
            "width": width,
            "domain": self.domain,
            "recipe": generator.recipe,
            "recipe_version": RECIPE_VERSION,
            "settings_sha256": self.settings_sha256,
            "plan_id": self.plan_id,
            "checkpoint_sha256s": (generator.sha256,),
            "digital_source_type": generator.source_type,
        }
        columns |= {name: pa.repeat(pa.scalar(value, _TYPES[name]), count) for name, value in shared.items()}
        return pa.Table.from_arrays([columns[name] for name in _TYPES], schema=SYNTHETIC_SCHEMA)

    def _images(self, pictures: Sequence[pa.Array[Any]], names: Sequence[str]) -> pa.StructArray:
        form = self.settings.image_format
        paths = [f"{name}.{'jpg' if form == 'jpeg' else form}" for name in names]
        return pa.StructArray.from_arrays([pa.concat_arrays(pictures), pa.array(paths)], fields=list(IMAGE))

    def _encoded(self, image: RgbImage) -> tuple[bytes, str]:
        """A picture's bytes and the digest of its pixels, together: a core's cache still has them."""
        return encode(image, self.settings.image_format, self.settings.quality), pixel_sha256(image)

    def _shown(self, view: View) -> tuple[bytes | None, NDArray[np.float32] | None]:
        """Mask, as PNG, and joints on the image: known where they stayed as in the source, or were asked for."""
        if view.pose is None:
            return view.mask_png or _png(view.mask), view.keypoints
        return _png(view.pose.mask) if self.masks_asked else None, view.pose.keypoints

    def _targets(self, plan: pa.Table, poses: Sequence[str | None]) -> pa.StructArray:
        domains = pa.array([self.target_domain] * plan.num_rows, pa.string())
        cameras = plan.column("target_camera").combine_chunks()
        return pa.StructArray.from_arrays([cameras, domains, pa.array(poses, pa.string())], fields=list(TARGET))


def _labels(parts: Sequence[Part], plan: pa.Table, labeller: Labeller) -> LabelColumns:
    if not labeller.looks:
        return labeller.columns(plan.column("hard_label").to_numpy())
    return {name: pa.concat_arrays([part.labels[name] for part in parts]) for name in parts[0].labels}


def _png(mask: BoolMask | None) -> bytes | None:
    return encode_mask(mask) if mask is not None else None


def _keypoint_lists(points: Sequence[NDArray[np.float32] | None]) -> pa.ListArray:
    """The column of that name, of ``(17, 3)`` x, y, score for each row that has them."""
    lengths = np.array([0 if one is None else len(one) for one in points])
    values = np.concatenate([np.empty((0, 3), np.float32), *(one for one in points if one is not None)])
    axes = [pa.array(np.ascontiguousarray(axis, np.float32)) for axis in values.T]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    missing = np.array([*(one is None for one in points), False])
    return pa.ListArray.from_arrays(
        pa.array(starts, mask=missing), pa.StructArray.from_arrays(axes, fields=list(POSE.value_type))
    )


def provenance(view: View) -> tuple[list[dict[str, str]], list[str]]:
    """``sources`` by role and the keys of the people on them; both empty where the image was made from noise alone."""
    plan, source = view.plan, view.source
    sources, people = [], []
    if source is not None:
        sources.append({"sha256": source["image_sha256"], "role": "content", "dataset_id": source["dataset_id"]})
        people.append(subject_key(source["dataset_id"], plan["identity"]))
    if plan["pose_sha256"] is not None:
        sources.append({"sha256": plan["pose_sha256"], "role": "pose", "dataset_id": plan["pose_dataset_id"]})
        people.append(subject_key(plan["pose_dataset_id"], plan["pose_identity"]))
    return sources, list(dict.fromkeys(people))


def target_pose(plan: Mapping[str, Any]) -> str | None:
    """The pose that a row asks for: ``class N``, or the digest of the image that has it; None if it asks for none."""
    return plan["pose_sha256"] if plan["pose_class"] is None else f"class {plan['pose_class']}"
