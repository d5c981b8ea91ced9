"""How good a set of generated images is as a set: like real ones, as varied, and seen by the camera it was asked for.

All features are a ReID network's own, so nothing is downloaded and figures compare only under one network
(`ReidModel.sha256`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.reid.batches import AugmentationSettings, LabelledBatches
from pipeline.reid.evaluation import Features, check_features
from pipeline.reid.model import ReidModel, as_model
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.sets import LabelledImages
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.training.data import DomainData
from pipeline.training.randomness import SetStream, random_generator

Images = NDArray[np.uint8]
LEAST_GENERATED, LEAST_REAL = 6, 12
"""Images of either kind that `measure_generation` needs."""


@dataclass(frozen=True)
class GenerationQuality:
    """Distances of sets of ``images`` images each, so that their biases are alike."""

    fid: float
    """Fréchet distance, generated to one half of the real images"""
    real_fid: float
    """the same between the two halves of the real images: the floor"""
    kid: float
    """kernel distance, generated to the same half; unbiased, so its floor is 0"""
    real_kid: float
    diversity: float
    """mean perceptual distance of two generated images; near 0: the generator makes one image"""
    real_diversity: float
    coverage: float
    """share of real images that have a generated one in their neighbourhood; low: few of the modes are made"""
    real_coverage: float
    images: int

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def measure_generation(model: ReidModel, generated: Images, real: Images, seed: int = 0) -> GenerationQuality:
    """``generated`` and ``real`` (N, H, W, 3) uint8, at least 6 and 12 images; which of them are used follows from
    ``seed`` where there are too many.

    A network knows the people that it was trained on: it sets their images apart from those of others. ``real`` should
    be images that the network and the generator stand to alike (neither was trained on them, or both were).

    Raises:
        ValueError: there are fewer images.
    """
    if len(generated) < LEAST_GENERATED or len(real) < LEAST_REAL:
        raise ValueError(
            f"{LEAST_GENERATED} generated and {LEAST_REAL} real images are needed, got {len(generated)} and {len(real)}"
        )
    rng = random_generator(seed, SetStream.HALVES)
    order = rng.permutation(len(real))
    count = min(len(real) // 2, len(generated))
    halves = [real[np.sort(order[start : start + count])] for start in (0, count)]
    made = generated[np.sort(rng.permutation(len(generated))[:count])]
    reference, other, features = (model.pooled(images) for images in (*halves, made))
    return GenerationQuality(
        fid=frechet_distance(reference, features),
        real_fid=frechet_distance(reference, other),
        kid=kernel_distance(reference, features),
        real_kid=kernel_distance(reference, other),
        diversity=diversity(model, made, seed=seed),
        real_diversity=diversity(model, halves[0], seed=seed),
        coverage=coverage(reference, features),
        real_coverage=coverage(reference, other),
        images=count,
    )


def frechet_distance(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]]) -> float:
    """Between the Gaussians of two sets of features (N, D) and (M, D) (FID: Heusel et al., NeurIPS 2017, equation 6).

    Biased upwards for few images: compare only distances of sets of equal size.

    Raises:
        ValueError: fewer than two features of either, or one is not finite.
    """
    _check(first, second)
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_Given(first.shape[1]))
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(first).double(), real=True)
    metric.update(torch.from_numpy(second).double(), real=False)
    return float(metric.compute())


def kernel_distance(first: Features, second: Features) -> float:
    """Squared maximum mean discrepancy of two sets of features (N, D) each under the kernel ``(x.y / D + 1)^3``
    (KID: Bińkowski et al., ICLR 2018, section 4): unbiased, for sets too small for a covariance. Negative values are
    chance.

    Raises:
        ValueError: fewer than two features of either, or one is not finite.
    """
    _check(first, second)
    from torchmetrics.image.kid import poly_mmd

    return float(poly_mmd(torch.from_numpy(first).double(), torch.from_numpy(second).double()))


def coverage(real: Features, generated: Features, neighbours: int = 5) -> float:
    """Share of ``real`` features (N, D) with one of ``generated`` (M, D) at most as far as their ``neighbours``-th
    real neighbour (Naeem et al., "Reliable Fidelity and Diversity Metrics", ICML 2020, equation 9). A generator of a
    few good pictures has a low distance to all and a low coverage.

    Raises:
        ValueError: there are not more real features than ``neighbours``, nothing generated, or one is not finite.
    """
    if len(real) <= neighbours or not len(generated):
        raise ValueError(f"coverage needs more than {neighbours} real features and one generated")
    check_features(real, generated)
    covered = 0
    everyone, made = torch.from_numpy(real).double(), torch.from_numpy(generated).double()
    for some in everyone.split(1024):
        # The nearest of all is the feature itself, at 0.
        radius = torch.cdist(some, everyone).kthvalue(neighbours + 1, dim=1).values
        covered += int((torch.cdist(some, made).amin(dim=1) <= radius).sum())
    return covered / len(real)


def _check(*sets: NDArray[np.floating[Any]]) -> None:
    """Two features or more in each set, so that they have a spread, and finite ones."""
    if min(len(features) for features in sets) < 2:
        raise ValueError(f"a distance needs two features of each set, got {[len(features) for features in sets]}")
    check_features(*sets)


class _Given(nn.Module):
    """Stands where torchmetrics wants a feature extractor: the features are computed already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features


def perceptual_distances(model: ReidModel, first: Images, second: Images) -> NDArray[np.float64]:
    """LPIPS-like distances (N,) of image pairs, in [0, 2]: the cosine distance of the activations at each pixel,
    averaged over the pixels of each stage of the network, then over the stages.

    It is LPIPS (Zhang et al., CVPR 2018, section 3.2, equation 1) with all channel weights equal and a network
    trained for ReID, halved: ``|a - b|^2 = 2 (1 - a.b)`` for ``a``, ``b`` of length 1.
    """
    found: list[NDArray[np.float64]] = []
    for start in range(0, len(first), 64):
        part = slice(start, start + 64)
        stages = [
            1.0 - (_unit(one) * _unit(other)).sum(axis=1).mean(axis=(1, 2), dtype=np.float64)
            for one, other in zip(model.activations(first[part]), model.activations(second[part]), strict=True)
        ]
        found.append(np.mean(stages, axis=0))
    return np.concatenate(found) if found else np.empty(0)


def diversity(model: ReidModel, images: Images, pairs: int = 500, seed: int = 0) -> float:
    """Mean perceptual distance of ``pairs`` random pairs of different images of the set (N, H, W, 3), N >= 2."""
    if len(images) < 2:
        raise ValueError("diversity needs at least two images")
    rng = random_generator(seed, SetStream.DIVERSITY_PAIRS)
    first = rng.integers(len(images), size=pairs)
    second = (first + rng.integers(1, len(images), size=pairs)) % len(images)
    return float(perceptual_distances(model, images[first], images[second]).mean())


@dataclass(frozen=True)
class CameraClassifier:
    """Names the camera that took an image, among ``cameras``."""

    cameras: tuple[int, ...]
    model: ReidModel

    def predict(self, images: Images) -> NDArray[np.int64]:
        """(N, H, W, 3) uint8 -> (N,) camera numbers, as the set numbers them."""
        return np.array(self.cameras, np.int64)[self.model.logits(images).argmax(axis=1)]


def train_camera_classifier(
    data: DomainData, seed: int = 0, steps: int = 200, height: int = 128, width: int = 64
) -> CameraClassifier:
    """A small network trained on whole real images and their cameras; images without a camera are left out.

    Raises:
        ValueError: fewer than two cameras are known.
    """
    taken_by = np.empty(0, np.int64) if data.cameras is None else data.cameras
    cameras, numbers = np.unique(taken_by[taken_by >= 0], return_inverse=True)
    if len(cameras) < 2:
        raise ValueError("a camera classifier needs images of at least two cameras")
    known = data.take(np.flatnonzero(taken_by >= 0)).resized(height, width)
    return CameraClassifier(tuple(cameras.tolist()), train_classifier(known.images, numbers, len(cameras), seed, steps))


def train_classifier(
    images: Images,
    classes: NDArray[np.int64],
    count: int,
    seed: int = 0,
    steps: int = 200,
    flip: float = 0.5,
    device: str = "cpu",
) -> ReidModel:
    """A small network that names the class, of ``count``, of images as they are: it learns from ``images``
    (N, H, W, 3) uint8 and their ``classes`` (N,), a share ``flip`` of them mirrored."""
    labelled = LabelledImages(images, np.eye(count, dtype=np.float32)[classes])
    batches = LabelledBatches(labelled, seed, AugmentationSettings(erasing=0.0, flip=flip))
    network = build_network(NetworkSettings(channels=16), count, seed)
    ReidTraining(network, batches, ReidTrainingSettings(steps=steps, seed=seed, device=device)).run()
    return as_model(network, *images.shape[1:3])


def camera_accuracy(classifier: CameraClassifier, images: Images, asked: Sequence[int] | NDArray[np.int64]) -> float:
    """Share of ``images`` (N, H, W, 3) that the classifier gives to the camera ``asked`` (N,) of each."""
    return float((classifier.predict(images) == np.asarray(asked)).mean())


def _unit(activations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each pixel's channels (N, C, h, w) scaled to length 1."""
    return activations / np.maximum(np.linalg.norm(activations, axis=1, keepdims=True), 1e-8)
