"""Finished rows of the synthetic manifest, a batch at a time and column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.format.schema import IMAGE, POSE, SYNTHETIC_SCHEMA, TARGET, TRAINED_ALGORITHMIC_MEDIA
from pipeline.common.digests import subject_key
from pipeline.common.images import BoolMask, encode, encode_mask, pixel_sha256, sha256
from pipeline.generators.trained import Generator
from pipeline.synthesis.plan import RECIPE_VERSION, SynthesisSettings
from pipeline.synthesis.row_inputs import View
from pipeline.synthesis.shard.batches import Batch
from pipeline.synthesis.shard.scores import Scores, quality

_PLANNED = ("sample_id", "identity", "camera", "split", "seed", "draw", "licence", "consent_basis")
"""Columns that the plan has as they are."""
_TYPES = {one.name: one.type for one in SYNTHETIC_SCHEMA}


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

    def table(self, batch: Batch, scores: Scores, generator: Generator) -> pa.Table:
        """The rows of ``batch``, whose images ``generator`` made."""
        plan, views, count = batch.rows, batch.views, len(batch.views)
        masks, keypoints = zip(*map(self._shown, views), strict=True)
        columns = {
            **{name: plan.column(name) for name in _PLANNED},
            **batch.labels,
            **self._pictures(plan.column("sample_id").to_pylist(), batch.images),
            **_provenance(views),
            "target": self._targets(plan, views),
            "mask": list(masks),
            "keypoints": _keypoint_lists(keypoints),
            "quality": quality(scores, count),
        }
        shared = {
            "height": batch.images.shape[1],
            "width": batch.images.shape[2],
            "domain": self.domain,
            "recipe": generator.recipe,
            "recipe_version": RECIPE_VERSION,
            "settings_sha256": self.settings_sha256,
            "plan_id": self.plan_id,
            "checkpoint_sha256s": (generator.sha256,),
            "digital_source_type": TRAINED_ALGORITHMIC_MEDIA,
        }
        columns |= {name: _repeated(name, value, count) for name, value in shared.items()}
        arrays = [_typed(columns[name], type_) for name, type_ in _TYPES.items()]
        return pa.Table.from_arrays(arrays, schema=SYNTHETIC_SCHEMA)

    def _pictures(self, names: Sequence[str], images: NDArray[np.uint8]) -> dict[str, Any]:
        """The images, encoded, and the digests of their bytes and pixels."""
        form = self.settings.image_format
        data = [encode(image, form, self.settings.quality) for image in images]
        paths = [f"{name}.{'jpg' if form == 'jpeg' else form}" for name in names]
        return {
            "image": pa.StructArray.from_arrays([pa.array(data, pa.binary()), pa.array(paths)], fields=list(IMAGE)),
            "image_sha256": [sha256(one) for one in data],
            "pixel_sha256": [pixel_sha256(image) for image in images],
        }

    def _shown(self, view: View) -> tuple[bytes | None, NDArray[np.float32] | None]:
        """Mask, as PNG, and joints on the image: known where they stayed as in the source, or were asked for."""
        if view.pose is None:
            return view.mask_png or _png(view.mask), view.keypoints
        return _png(view.pose.mask) if self.masks_asked else None, view.pose.keypoints

    def _targets(self, plan: pa.Table, views: Sequence[View]) -> pa.StructArray:
        domains = pa.array([self.target_domain] * len(views), pa.string())
        poses = pa.array([target_pose(view.plan) for view in views], pa.string())
        cameras = plan.column("target_camera").combine_chunks()
        return pa.StructArray.from_arrays([cameras, domains, poses], fields=list(TARGET))


def _png(mask: BoolMask | None) -> bytes | None:
    return encode_mask(mask) if mask is not None else None


@lru_cache(maxsize=64)
def _repeated(name: str, value: Any, rows: int) -> pa.Array[Any]:
    """The column of that name where all rows have one value; most batches are of one size and share it."""
    return pa.repeat(pa.scalar(value, _TYPES[name]), rows)


def _typed(column: Any, type_: pa.DataType) -> Any:
    return pa.array(column, type_) if isinstance(column, list) else column


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


def _provenance(views: Sequence[View]) -> dict[str, list[Any]]:
    sources, people = zip(*map(provenance, views), strict=True)
    return {"sources": list(sources), "subject_keys": list(people)}


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
