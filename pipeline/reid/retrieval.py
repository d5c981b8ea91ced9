"""How well a ReID model finds people: on the query and gallery splits of a manifest, as the papers measure it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from pipeline.common.settings import Advanced, Input, JobSettings
from pipeline.reid.data import check_answers, passed_over
from pipeline.reid.evaluation import DISTRACTOR, Retrieval, measure, similarities
from pipeline.reid.features import (
    Embedded,
    FeatureKind,
    PoseFeatures,
    check_alike,
    embed_people,
    embed_poses,
    fused_features,
    with_poses,
)
from pipeline.reid.fusion import Fusion
from pipeline.reid.model import ReidModel
from pipeline.reid.reranking import Reranking, reranked

_Splits = dict[str, Embedded]
_FUSED = "fused"


class RetrievalSettings(JobSettings):
    """What is compared, and how it is counted."""

    group = "measure"
    protocol: Advanced[Literal["market1501", "cuhk03_new"]] = Field(
        default="market1501",
        description="both count alike; cuhk03_new first checks that the split is one of Zhong et al. (CVPR 2017)",
    )
    count_same_camera: bool = Field(
        default=False,
        description="images by the query's own camera are answers too, but copies of its picture: for sets without "
        "cameras, or with one; figures compare only with others counted so",
    )
    lmp: bool = Field(default=False, description="local max pooling in 6 parts (SPGAN, CVPR 2018, section 4.1)")
    poses: Input[str | None] = Field(
        default=None, description="URI of generated poses of query and gallery, to be fused in (PN-GAN, ECCV 2018)"
    )
    fusion: Advanced[Fusion] = Field(
        default="max",
        description="with --poses: how an image's features become one. max: of pooled features, never negative ones "
        "(PN-GAN); mean: own + --pose-weight x mean of the poses (Pose2ID); concatenation: side by side",
    )
    pose_weight: Advanced[float | None] = Field(
        default=None, gt=0, description="with --fusion mean: of the poses' mean; by default their number: a plain mean"
    )
    rerank: bool = Field(default=False, description="k-reciprocal re-ranking (Zhong et al., CVPR 2017)")
    k1: Advanced[int] = Field(
        default=20, ge=1, description="with --rerank: nearest images that may be reciprocal neighbours"
    )
    k2: Advanced[int] = Field(default=6, ge=1, description="with --rerank: nearest images whose encodings are averaged")
    rerank_lambda: Advanced[float] = Field(
        default=0.3, ge=0, le=1, description="with --rerank: share of the original distance"
    )

    @model_validator(mode="after")
    def _encodings_of_neighbours(self) -> RetrievalSettings:
        if self.k2 > self.k1 + 1:
            raise UserError(f"--k2 {self.k2} of the --k1 {self.k1} nearest and the image itself: at most {self.k1 + 1}")
        return self

    @model_validator(mode="after")
    def _protocol_says_who_counts(self) -> RetrievalSettings:
        if self.count_same_camera and self.protocol == "cuhk03_new":
            raise UserError("--protocol cuhk03_new passes over the query's own camera: leave --count-same-camera out")
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
        return "neck" if self.poses is None else fused_features(self.fusion)


@dataclass(frozen=True)
class Measured:
    """The result on one data set."""

    uri: str
    manifest_sha256: str
    retrieval: Retrieval
    gallery: int
    """Images in the gallery."""
    left_out: Mapping[str, int]
    """Queries without an answer in the gallery, by cause."""
    without_poses: int | None
    """Images of people that lacked one or more of their generated poses; None where none were asked for."""
    distractors_without_poses: int | None
    """The same of distractors."""
    controls: Mapping[str, Retrieval] = field(default_factory=dict)
    """With poses, what comes without a generated image, by the same features: ``one_network``, that of the images twice
    and so alone; ``two_networks``, the poses' on the same real images, fused alike. What goes beyond the second is owed
    to the images."""
    people_alone: Mapping[str, Retrieval] = field(default_factory=dict)
    """Where distractors lack poses, which tells them from people: what is ``fused``, and the controls, in a gallery
    without them."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = asdict(self) | {"eval": self.uri} | self.retrieval.as_dict()
        return {name: value for name, value in found.items() if name not in ("uri", "retrieval")}


def evaluate_on(model: ReidModel, uri: str, count_same_camera: bool = False) -> Retrieval:
    """``model`` on the query and gallery splits of the source manifest at ``uri``, by its features alone.

    Raises:
        UserError: as `measure_on`.
    """
    return measure_on(uri, model, RetrievalSettings(count_same_camera=count_same_camera)).retrieval


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
    *_, causes = passed_over(people["query"], people["gallery"], settings.count_same_camera)
    check_answers(uri, people["query"], causes)
    compared, lacking = {_FUSED: people}, None
    if settings.poses is not None:
        poses = embed_poses(settings.poses, people, pose_model or model, settings.features)
        compared, lacking = _fused(uri, people, poses, pose_model, settings)
    try:
        found = _each(compared, settings)
        apart = compared if lacking and lacking[1] else {}
        alone = _each({name: _without_distractors(one) for name, one in apart.items()}, settings)
    except ValueError as error:
        raise UserError(f"{uri} cannot be measured on: {error}") from None
    gallery, (some, others) = len(people["gallery"].digests), lacking or (None, None)
    return Measured(uri, dataset.digest(), found.pop(_FUSED), gallery, causes, some, others, found, alone)


def _each(compared: Mapping[str, _Splits], settings: RetrievalSettings) -> dict[str, Retrieval]:
    return {name: _measured(one["query"], one["gallery"], settings) for name, one in compared.items()}


def _without_distractors(people: _Splits) -> _Splits:
    return {split: part.where(part.identities != DISTRACTOR) for split, part in people.items()}


def _fused(
    uri: str, people: _Splits, poses: PoseFeatures, pose_model: ReidModel | None, settings: RetrievalSettings
) -> tuple[dict[str, _Splits], tuple[int, int]]:
    """``people`` with their poses, and the controls, by name; how many images of people and of distractors lacked
    poses."""
    unposed = people if pose_model is None else embed_people(uri, pose_model, settings.features)
    compared: dict[str, _Splits] = {_FUSED: {}, "one_network": people}
    none, lacking = replace(poses, by_image={}), np.zeros(2, np.int64)
    for split, part in people.items():
        compared[_FUSED][split], few = with_poses(part, unposed[split], poses, settings.fusion, settings.pose_weight)
        identities = part.identities[few]
        lacking += (identities > DISTRACTOR).sum(), (identities == DISTRACTOR).sum()
        if pose_model is not None:
            both = with_poses(part, unposed[split], none, settings.fusion, settings.pose_weight)[0]
            compared.setdefault("two_networks", {})[split] = both
    return compared, (int(lacking[0]), int(lacking[1]))


def _measured(query: Embedded, gallery: Embedded, settings: RetrievalSettings) -> Retrieval:
    rows = similarities(query.features, gallery.features)
    if settings.rerank:
        reranking = Reranking(settings.k1, settings.k2, settings.rerank_lambda)
        rows = reranked(query.features, gallery.features, reranking)
    asked_by, seen_by, _ = passed_over(query, gallery, settings.count_same_camera)
    return measure(rows, query.identities, asked_by, gallery.identities, seen_by)


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
