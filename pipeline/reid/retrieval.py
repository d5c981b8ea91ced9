"""How well a ReID model finds people: on the query and gallery splits of a manifest, as the papers measure it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from pipeline.common.settings import JobSettings
from pipeline.reid.evaluation import DISTRACTOR, Retrieval, measure, similarities
from pipeline.reid.features import Embedded, embed_people, embed_poses, with_poses
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
    fusion: Fusion = Field(default="max", description="with --poses: how an image's features become one")
    rerank: bool = Field(default=False, description="k-reciprocal re-ranking (Zhong et al., CVPR 2017)")
    k1: int = Field(default=20, ge=1, description="with --rerank: nearest images that may be reciprocal neighbours")
    k2: int = Field(default=6, ge=1, description="with --rerank: nearest images whose encodings are averaged")
    rerank_lambda: float = Field(default=0.3, ge=0, le=1, description="with --rerank: share of the original distance")

    @model_validator(mode="after")
    def _encodings_of_neighbours(self) -> RetrievalSettings:
        if self.k2 > self.k1 + 1:
            raise UserError(f"--k2 {self.k2} of the --k1 {self.k1} nearest and the image itself: at most {self.k1 + 1}")
        return self


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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {"eval": self.uri, "manifest_sha256": self.manifest_sha256, "gallery": self.gallery}
        return found | {"without_poses": self.without_poses} | self.retrieval.as_dict()


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
        UserError: there is no such manifest, a split is empty or not of the protocol, or no query has an answer.
    """
    dataset = open_dataset(uri)
    people = embed_people(uri, model, settings.lmp)
    if settings.protocol == "cuhk03_new":
        _check_cuhk03(uri, people["query"], people["gallery"])
    lacking = None
    if settings.poses is not None:
        poses = embed_poses(settings.poses, people, pose_model or model, settings.lmp)
        fused = {split: with_poses(part, poses, settings.fusion) for split, part in people.items()}
        people, lacking = {split: part for split, (part, _) in fused.items()}, sum(few for _, few in fused.values())
    try:
        found = _measured(people["query"], people["gallery"], settings)
    except ValueError as error:
        raise UserError(f"{uri} cannot be measured on: {error}") from None
    return Measured(uri, dataset.digest(), found, len(people["gallery"].digests), lacking)


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
