"""Queries and gallery of a manifest as features; with those of their generated poses, as PN-GAN compares them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from pipeline.common.finite import naming
from pipeline.common.progress import Progress
from pipeline.reid.data import Labels, count_posed, stream_people, stream_posed
from pipeline.reid.evaluation import Features
from pipeline.reid.fusion import Fusion, fuse_poses, unit_rows
from pipeline.reid.model import Images, ReidModel

SPLITS = ("query", "gallery")
_CANONICAL = re.compile(r"class \d+")

FeatureKind = Literal["neck", "pooled", "parts"]
"""Behind the neck, which is what a network is trained to be compared by; before it, where nothing is negative; or by
local max pooling."""


@dataclass(frozen=True)
class Embedded(Labels):
    """The images of one split: ``features`` (N, D), rows of Euclidean length 1."""

    features: Features

    def where(self, chosen: NDArray[np.bool_]) -> Embedded:
        """Those that are ``chosen`` (N,)."""
        digests = tuple(digest for digest, kept in zip(self.digests, chosen, strict=True) if kept)
        return Embedded(self.identities[chosen], self.cameras[chosen], digests, self.features[chosen])


@dataclass(frozen=True)
class PoseFeatures:
    """Features of generated poses by the digest of the image that they were made of, and the name of the pose."""

    by_image: Mapping[str, Mapping[str, Features]]
    names: tuple[str, ...]


def fused_features(how: Fusion) -> FeatureKind:
    """Which features are fused so: the largest is taken of pooled ones, which are never negative."""
    return "pooled" if how == "max" else "neck"


def embed_people(uri: str, model: ReidModel, kind: FeatureKind = "neck") -> dict[str, Embedded]:
    """The query and gallery splits of the source manifest at ``uri``.

    Raises:
        UserError: no such data set, of another kind, a split that is empty, a broken image, features that are not
            finite.
    """
    known = open_dataset(uri).read(["split"]).column("split").to_pylist()
    parts: dict[str, list[Embedded]] = {split: [] for split in SPLITS}
    with Progress(f"features of {uri}", sum(split in SPLITS for split in known)) as progress:
        for split, people in stream_people(uri, SPLITS, model.height, model.width):
            with naming(uri):
                features = _embed(model, kind)(people.images)
            parts[split].append(Embedded(people.identities, people.cameras, people.digests, features))
            progress.advance(len(features))
    return {split: _joined(some) for split, some in parts.items()}


def embed_poses(
    uri: str, people: Mapping[str, Embedded], model: ReidModel, kind: FeatureKind = "pooled"
) -> PoseFeatures:
    """What was generated at ``uri`` of the images of ``people``, by ``model`` (PN-GAN's network B).

    A canonical pose keeps its name; poses of other images are numbered within each image.

    Raises:
        UserError: no such data set, of another kind, nothing in it of these images, one pose twice of an image,
            features that are not finite.
    """
    wanted = {digest for part in people.values() for digest in part.digests}
    found: dict[str, dict[str, Features]] = {}
    with Progress(f"features of {uri}", count_posed(uri, wanted)) as progress:
        for posed in stream_posed(uri, wanted, model.height, model.width):
            with naming(uri):
                features = _embed(model, kind)(posed.images)
            for content, pose, feature in zip(posed.contents, posed.poses, features, strict=True):
                own = found.setdefault(content, {})
                name = pose if pose and _CANONICAL.fullmatch(pose) else f"pose {len(own)}"
                if name in own:
                    raise UserError(f"{uri} has image {content[:12]} in {name} more than once: give one set of poses")
                own[name] = feature
            progress.advance(len(features))
    if not found:
        raise UserError(f"nothing in {uri} was made of these queries and gallery: make it with --splits query,gallery")
    return PoseFeatures(found, tuple(sorted({name for own in found.values() for name in own})))


def with_poses(
    part: Embedded, unposed: Embedded, poses: PoseFeatures, how: Fusion, pose_weight: float | None = None
) -> tuple[Embedded, NDArray[np.bool_]]:
    """``part`` with each image's feature fused with those of its poses, and which images (N,) lacked one or more.

    ``unposed`` are the same images by the network of the poses. That feature stands in for a pose that was not made:
    distractors and junk have none at all. With no poses but those it is two networks without a generated image.

    Raises:
        UserError: poses that are not the same for all images are to be concatenated.
        ValueError: the two networks give features of different lengths.
    """
    if how == "concatenation" and not all(map(_CANONICAL.fullmatch, poses.names)):
        raise UserError("concatenation holds pose against pose and needs canonical ones: take --fusion max or mean")
    stacked = np.repeat(unposed.features[:, None], len(poses.names), axis=1)
    lacking = np.zeros(len(part.digests), np.bool_)
    for row, digest in enumerate(part.digests):
        own = poses.by_image.get(digest, {})
        lacking[row] = len(own) < len(poses.names)
        for place, name in enumerate(poses.names):
            if name in own:
                stacked[row, place] = own[name]
    return replace(part, features=fuse_poses(part.features, stacked, how, pose_weight)), lacking


def check_alike(model: ReidModel, pose_model: ReidModel) -> None:
    """Raises UserError where features of the two cannot be fused: those of the poses' network are of another length."""
    own, posed = (one.network.num_features for one in (model, pose_model))
    if own != posed:
        raise UserError(
            f"the network of the poses gives {posed} numbers for an image, that of the images {own}: take networks of "
            "one kind"
        )


def _embed(model: ReidModel, kind: FeatureKind) -> Callable[[Images], Features]:
    if kind == "pooled":
        return lambda images: unit_rows(model.pooled(images))
    return model.embed_parts if kind == "parts" else model.embed


def _joined(parts: list[Embedded]) -> Embedded:
    features, identities, cameras = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "identities", "cameras")
    )
    return Embedded(identities, cameras, tuple(digest for part in parts for digest in part.digests), features)
