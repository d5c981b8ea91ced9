"""How well a ReID model finds people: on the query and gallery splits of a manifest, as the papers measure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from pipeline.common.settings import JobSettings
from pipeline.reid.evaluation import DISTRACTOR, Retrieval, measure, similarities
from pipeline.reid.features import (
    Embedded,
    FeatureKind,
    PoseFeatures,
    check_alike,
    embed_people,
    embed_poses,
    with_poses,
)
from pipeline.reid.fusion import Fusion
from pipeline.reid.model import ReidModel
from pipeline.reid.reranking import Reranking, reranked


class RetrievalSettings(JobSettings):
    """What is compared, and how it is counted."""

    protocol: Literal["market1501", "cuhk03_new"] = Field(
        default="market1501",
        description="both count alike; cuhk03_new first checks that the split is one of Zhong et al. (CVPR 2017)",
    )
    lmp: bool = Field(default=False, description="local max pooling in 6 parts (SPGAN, CVPR 2018, section 4.1)")
    poses: str | None = Field(
        default=None, description="URI of generated poses of query and gallery, to be fused in (PN-GAN, ECCV 2018)"
    )
    fusion: Fusion = Field(
        default="max",
        description="with --poses: how an image's features become one. max: of pooled features, never negative ones "
        "(PN-GAN); mean: own + --pose-weight x mean of the poses (Pose2ID); concatenation: side by side",
    )
    pose_weight: float | None = Field(
        default=None, gt=0, description="with --fusion mean: of the poses' mean; by default their number: a plain mean"
    )
    rerank: bool = Field(default=False, description="k-reciprocal re-ranking (Zhong et al., CVPR 2017)")
    k1: int = Field(default=20, ge=1, description="with --rerank: nearest images that may be reciprocal neighbours")
    k2: int = Field(default=6, ge=1, description="with --rerank: nearest images whose encodings are averaged")
    rerank_lambda: float = Field(default=0.3, ge=0, le=1, description="with --rerank: share of the original distance")

    @model_validator(mode="after")
    def _encodings_of_neighbours(self) -> RetrievalSettings:
        if self.k2 > self.k1 + 1:
            raise UserError(f"--k2 {self.k2} of the --k1 {self.k1} nearest and the image itself: at most {self.k1 + 1}")
        return self

    @model_validator(mode="after")
    def _no_setting_says_nothing(self) -> RetrievalSettings:
        if self.pose_weight is not None and (self.poses is None or self.fusion != "mean"):
            raise UserError("--pose-weight belongs to --poses with --fusion mean")
        given = {name for name, field in RetrievalSettings.model_fields.items() if getattr(self, name) != field.default}
        if "fusion" in given and self.poses is None:
            raise UserError("--fusion is of an image and its generated poses: name those with --poses")
        for name in ("k1", "k2", "rerank_lambda"):
            if name in given and not self.rerank:
                raise UserError(f"--{name.replace('_', '-')} is of re-ranking: add --rerank")
        return self

    @property
    def features(self) -> FeatureKind:
        """What is compared of an image."""
        if self.lmp:
            return "parts"
        return "pooled" if self.poses is not None and self.fusion == "max" else "neck"


@dataclass(frozen=True)
class Measured:
    """The result on one data set."""

    uri: str
    manifest_sha256: str
    retrieval: Retrieval
    gallery: int
    """Images in the gallery."""
    without_poses: int | None
    """Images that lacked one or more of their generated poses; None where none were asked for."""
    controls: Mapping[str, Retrieval] = field(default_factory=dict)
    """With poses, what comes without a generated image, by the same features: ``one_network``, that of the images twice
    and so alone; ``two_networks``, the poses' on the same real images, fused alike. What goes beyond the second is owed
    to the images."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {"eval": self.uri, "manifest_sha256": self.manifest_sha256, "gallery": self.gallery}
        controls = {name: one.as_dict() for name, one in self.controls.items()}
        return found | {"without_poses": self.without_poses, "controls": controls} | self.retrieval.as_dict()


def evaluate_on(model: ReidModel, uri: str) -> Retrieval:
    """``model`` on the query and gallery splits of the source manifest at ``uri``, by its features alone.

    Raises:
        UserError: as `measure_on`.
    """
    return measure_on(uri, model, RetrievalSettings()).retrieval


def measure_on(
    uri: str, model: ReidModel, settings: RetrievalSettings, pose_model: ReidModel | None = None
) -> Measured:
    """``model`` on the source manifest at ``uri``; ``pose_model`` reads the generated poses, by default ``model`` too.

    Raises:
        UserError: there is no such manifest, a split is empty or not of the protocol, no query has an answer, or the
            two models' features cannot be fused.
    """
    dataset = open_dataset(uri)
    if pose_model is not None:
        check_alike(model, pose_model)
    people = embed_people(uri, model, settings.features)
    if settings.protocol == "cuhk03_new":
        _check_cuhk03(uri, people["query"], people["gallery"])
    compared, lacking = {"": people}, None
    if settings.poses is not None:
        poses = embed_poses(settings.poses, people, pose_model or model, settings.features)
        compared, lacking = _fused(uri, people, poses, pose_model, settings)
    try:
        found = {name: _measured(one["query"], one["gallery"], settings) for name, one in compared.items()}
    except ValueError as error:
        raise UserError(f"{uri} cannot be measured on: {error}") from None
    return Measured(uri, dataset.digest(), found.pop(""), len(people["gallery"].digests), lacking, found)


_Splits = dict[str, Embedded]


def _fused(
    uri: str, people: _Splits, poses: PoseFeatures, pose_model: ReidModel | None, settings: RetrievalSettings
) -> tuple[dict[str, _Splits], int]:
    """``people`` with their poses, by no name, and the controls beside it by theirs; how many lacked poses."""
    unposed = people if pose_model is None else embed_people(uri, pose_model, settings.features)
    compared: dict[str, _Splits] = {"": {}, "one_network": people}
    none, lacking = replace(poses, by_image={}), 0
    for split, part in people.items():
        compared[""][split], few = with_poses(part, unposed[split], poses, settings.fusion, settings.pose_weight)
        lacking += few
        if pose_model is not None:
            both = with_poses(part, unposed[split], none, settings.fusion, settings.pose_weight)[0]
            compared.setdefault("two_networks", {})[split] = both
    return compared, lacking


def _measured(query: Embedded, gallery: Embedded, settings: RetrievalSettings) -> Retrieval:
    rows = similarities(query.features, gallery.features)
    if settings.rerank:
        reranking = Reranking(settings.k1, settings.k2, settings.rerank_lambda)
        rows = reranked(query.features, gallery.features, reranking)
    return measure(rows, query.identities, query.cameras, gallery.identities, gallery.cameras)


def _check_cuhk03(uri: str, query: Embedded, gallery: Embedded) -> None:
    """Zhong et al., CVPR 2017, section 4.1: one query of each person by each of two cameras, the rest is gallery."""
    pairs = np.column_stack([query.identities, query.cameras])
    cameras = set(query.cameras.tolist()) | set(gallery.cameras.tolist())
    reason = None
    if len(cameras) != 2:
        reason = f"it has {len(cameras)} cameras, not 2"
    elif len(np.unique(pairs, axis=0)) != len(pairs):
        reason = "somebody has several queries by one camera"
    elif (query.identities <= DISTRACTOR).any() or (gallery.identities <= DISTRACTOR).any():
        reason = "it has images of nobody"
    if reason:
        raise UserError(f"{uri} is no split of CUHK03's new protocol: {reason}; leave --protocol out")
