"""How well a generator moved images into another domain: was the person kept, did the place take the target's look.

Needs masks. The judge of places is trained on the real images of both domains with the people painted over, so it
can answer only for what lies around them.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.common.finite import NotFiniteError, first_not_finite
from pipeline.common.images import BoolMask, RgbImage
from pipeline.common.tensors import to_signed
from pipeline.generators.networks.blocks import initialize
from pipeline.measures.images import masked_change, structure_similarity
from pipeline.measures.sets import frechet_distance
from pipeline.training.data import DomainData
from pipeline.training.randomness import JudgeStream, random_generator

_GREY = np.uint8(127)


@dataclass(frozen=True)
class TransferQuality:
    """Means over images; changes are shares of the full range, in [0, 1]."""

    foreground_change: float
    """mean absolute change under the person's mask: lower keeps the person better"""
    background_change: float
    """the same outside of the mask"""
    foreground_structure: float
    """correlation of luminance gradients under the mask, in [-1, 1]"""
    target_share: float
    """share of places that the judge takes for the target domain's"""
    judge_distance: float
    """Fréchet distance of the judge's features of places, generated to real target"""
    judge_move: float
    """1 - that distance / the source's own: 0 not moved, 1 as near as can be"""
    color_move: float
    """the same for CIELAB means and deviations of the places"""

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


class PlaceJudge(nn.Module):
    """A small convolutional classifier of places: source (0) or target (1). It has no normalisation layers: they
    would hide exposure and tint, which are what style is made of."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        self.layers = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(widths)
                for layer in (nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.1))
            )
        )
        self.answer = nn.Linear(widths[-1], 1)

    def features(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, 96)."""
        pooled: Tensor = self.layers(images).mean(dim=(2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N,) logit of being from the target domain."""
        answers: Tensor = self.answer(self.features(images)).squeeze(1)
        return answers


def train_judge(source: DomainData, target: DomainData, seed: int = 0, steps: int = 200, batch: int = 16) -> PlaceJudge:
    """A judge of the places of two domains, from real images and their masks."""
    judge = PlaceJudge()
    initialize(judge, torch.Generator().manual_seed(seed), deviation=0.08)
    optimizer = torch.optim.Adam(judge.parameters(), 1e-3)
    places = [hide_people(domain) for domain in (source, target)]
    for step in range(steps):
        rng = random_generator(seed, JudgeStream.PLACES, step)
        drawn = [images[rng.integers(len(images), size=batch)] for images in places]
        images = to_signed(np.concatenate(drawn)[:, :, :: 1 if rng.random() < 0.5 else -1].copy())
        truth = torch.cat([torch.zeros(batch), torch.ones(batch)])
        loss = F.binary_cross_entropy_with_logits(judge(images), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    if (wrong := first_not_finite(judge.state_dict())) is not None:
        raise NotFiniteError(f"the judge of places did not learn: its {wrong} is not finite")
    return judge.eval().requires_grad_(False)


def measure_transfer(
    source: DomainData, generated: NDArray[np.uint8], target: DomainData, judge: PlaceJudge
) -> TransferQuality:
    """``generated`` (N, H, W, 3) uint8 are the images of ``source`` restyled; ``target`` real images; both have masks.

    Raises:
        ValueError: masks are missing, or sizes differ.
    """
    if source.masks is None or target.masks is None or generated.shape != source.images.shape:
        raise ValueError("measuring a transfer needs masks and generated images of the source's size")
    triples = list(zip(source.images, generated, source.masks, strict=True))
    places = [hide_people(source), _paint_over(generated, source.masks), hide_people(target)]
    features = [_judge_features(judge, images) for images in places]
    colors = [
        np.array([place_colors(image, mask) for image, mask in zip(images, masks, strict=True)])
        for images, masks in (
            (source.images, source.masks),
            (generated, source.masks),
            (target.images, target.masks),
        )
    ]
    distance = frechet_distance(features[1], features[2])
    return TransferQuality(
        foreground_change=_mean([masked_change(a, b, mask) for a, b, mask in triples]),
        background_change=_mean([masked_change(a, b, ~mask) for a, b, mask in triples]),
        foreground_structure=_mean([structure_similarity(a, b, mask) for a, b, mask in triples]),
        target_share=target_share(judge, places[1]),
        judge_distance=distance,
        judge_move=1.0 - distance / frechet_distance(features[0], features[2]),
        color_move=1.0 - frechet_distance(colors[1], colors[2]) / frechet_distance(colors[0], colors[2]),
    )


def hide_people(domain: DomainData) -> NDArray[np.uint8]:
    """The images of ``domain`` with everybody painted grey."""
    if domain.masks is None:
        raise ValueError("people cannot be hidden without masks")
    return _paint_over(domain.images, domain.masks)


def target_share(judge: PlaceJudge, places: NDArray[np.uint8]) -> float:
    """Share of ``places`` (N, H, W, 3), people hidden, that the judge takes for the target domain's."""
    with torch.inference_mode():
        answers = [judge(to_signed(places[start : start + 64])) for start in range(0, len(places), 64)]
    return float((torch.cat(answers) > 0).float().mean())


def place_colors(image: RgbImage, mask: BoolMask) -> NDArray[np.float64]:
    """Six numbers of the pixels outside ``mask``: means of L, a, b (CIELAB), then their standard deviations."""
    lab = cv2.cvtColor(image.astype(np.float32) / np.float32(255.0), cv2.COLOR_RGB2LAB)
    pixels = lab[~mask] if not mask.all() else lab.reshape(-1, 3)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0)]).astype(np.float64)


def _judge_features(judge: PlaceJudge, places: NDArray[np.uint8]) -> NDArray[np.float64]:
    with torch.inference_mode():
        parts = [judge.features(to_signed(places[start : start + 64])) for start in range(0, len(places), 64)]
    return np.asarray(torch.cat(parts).numpy(), dtype=np.float64)


def _paint_over(images: NDArray[np.uint8], masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(masks[..., None], _GREY, images)


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")
