"""The toy world as a laboratory: people to train on, people kept apart, and instruments trained on real images."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.annotation.poses import PoseEstimator, load_pose_estimator
from pipeline.experiments.toyworld_data import WorldData, load_toyworld
from pipeline.experiments.transfer_quality import PlaceJudge, train_judge
from pipeline.experiments.transfer_trial import SOURCE, TARGET
from pipeline.measures.sets import CameraClassifier, train_camera_classifier
from pipeline.reid.batches import AugmentationSettings, LabelledBatches
from pipeline.reid.evaluation import retrieval_rate
from pipeline.reid.model import ReidModel, load_reid, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.sets import LabelledImages
from pipeline.reid.training import ReidTraining, ReidTrainingSettings

PEOPLE = 100
"""How many people a generated image's person is looked for among."""


class Laboratory:
    """One world at one size. ``train`` and ``test`` hold different people of both domains."""

    def __init__(self, world: Path, height: int, width: int, seed: int, reid_steps: int, keep: Path) -> None:
        """``keep``: folder for the ReID model, which takes a while. Raises UserError where there is no world."""
        roles = {"source": SOURCE, "target": TARGET}
        self.height, self.width, self.seed, self.reid_steps = height, width, seed, reid_steps
        self._reid_file = keep / f"reid_{height}x{width}_{seed}_{reid_steps}.safetensors"
        self.train = {role: self._load(world, name, "train") for role, name in roles.items()}
        self.test = {role: self._load(world, name, "query") for role, name in roles.items()}
        self.gallery = self._load(world, SOURCE, "gallery")

    def _load(self, world: Path, domain: str, split: str) -> WorldData:
        return load_toyworld(world, domain, [split]).resized(self.height, self.width)

    @cached_property
    def reid(self) -> ReidModel:
        """Knows the training people of both domains, who are different people, so it can look at either's style."""
        if self._reid_file.is_file():
            return load_reid(self._reid_file)
        parts, numbers, known = [], [], 0
        for data in self.train.values():
            parts.append(data.images)
            numbers.append(data.identities + known)
            known += int(data.identities.max()) + 1
        targets = np.eye(known, dtype=np.float32)[np.concatenate(numbers)]
        batches = LabelledBatches(LabelledImages(np.concatenate(parts), targets), self.seed, AugmentationSettings())
        network = build_network(NetworkSettings(), targets.shape[1], self.seed)
        ReidTraining(network, batches, ReidTrainingSettings(steps=self.reid_steps, seed=self.seed)).run()
        save_reid(self._reid_file, network, self.height, self.width)
        return load_reid(self._reid_file)

    @cached_property
    def camera_classifier(self) -> CameraClassifier:
        """Names the source domain's cameras; trained on the training people."""
        return train_camera_classifier(self.train["source"], self.seed, height=self.height, width=self.width)

    @cached_property
    def judge(self) -> PlaceJudge:
        """Tells the two domains' places apart."""
        return train_judge(self.train["source"], self.train["target"], self.seed)

    @cached_property
    def pose(self) -> PoseEstimator:
        return load_pose_estimator("pose_tiny")

    def tested(self, count: int, role: str = "source") -> WorldData:
        """``count`` images of test people, spread evenly over them."""
        data = self.test[role]
        return data.take(np.unique(np.linspace(0, len(data) - 1, count).astype(np.int64)))

    def retrieval(self, images: NDArray[np.uint8], of: WorldData) -> float:
        """How often the nearest of `PEOPLE` real images, one a person, is the person that ``images`` were made from.

        ``of`` are their sources, row by row; a person's gallery image is by another camera than the source.
        """
        people = np.unique(self.gallery.identities)[:PEOPLE]
        features, found = self.reid.embed(images), []
        shown = {camera: self._shown(people, camera) for camera in np.unique(of.cameras)}
        embedded = {camera: self.reid.embed(self.gallery.images[rows]) for camera, rows in shown.items()}
        for row in np.flatnonzero(np.isin(of.identities, people)):
            rows = shown[of.cameras[row]]
            one = features[row : row + 1], of.identities[row : row + 1]
            found.append(retrieval_rate(*one, embedded[of.cameras[row]], self.gallery.identities[rows]))
        return float(np.mean(found))

    def source_retrieval(self, images: NDArray[np.uint8], of: WorldData) -> float:
        """How often the nearest of `PEOPLE` sources, one a person, is the one that an image was made from."""
        rows = np.unique(of.identities, return_index=True)[1][:PEOPLE]
        made, sources = self.reid.embed(images[rows]), self.reid.embed(of.images[rows])
        return retrieval_rate(made, of.identities[rows], sources, of.identities[rows])

    def _shown(self, people: NDArray[np.int64], camera: int) -> NDArray[np.int64]:
        """One gallery row for each person, by another camera than this one."""
        rows = [
            np.flatnonzero((self.gallery.identities == person) & (self.gallery.cameras != camera)) for person in people
        ]
        return np.array([found[0] for found in rows if len(found)], np.int64)
