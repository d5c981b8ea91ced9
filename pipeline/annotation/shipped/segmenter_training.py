"""Training of the small Segment Anything: prompts drawn anew for every sample, the paper's losses.

Kirillov et al., "Segment Anything", ICCV 2023, section 3 and appendix A: 20 x focal + dice + mean squared
error of the predicted IoU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.ops import sigmoid_focal_loss

from manifests.format.skeleton import KEYPOINTS
from pipeline.annotation.masks import predict_masks
from pipeline.annotation.sam_tiny import CANVAS, build_sam_tiny
from pipeline.common.keypoints import COCO_MIRROR
from pipeline.common.precision import resolve_precision
from pipeline.common.progress import Progress
from pipeline.training.log import LossTerms, ProgressLog, StepLog
from pipeline.training.loop import Stepwise
from pipeline.training.optimizers import set_learning_rate
from pipeline.training.randomness import random_generator
from pipeline.training.state import StateFile

STATE = "state.pt"


@dataclass(frozen=True)
class SegmentationData:
    """``images`` (N, H, W, 3) uint8, ``masks`` (N, H, W) bool, ``keypoints`` (N, 17, 3) x, y, known (> 0).

    ``chances`` (N,): how often training draws each; None: all alike.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    keypoints: NDArray[np.float32]
    chances: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class SegmenterTraining:
    """Settings of a training run."""

    steps: int = 2000
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    weight_decay: float = 0.01
    average_decay: float = 0.99
    real_share: float = 0.2
    seed: int = 0
    save_every: int = 200


def train_segmenter(
    toy: SegmentationData,
    real: SegmentationData | None,
    settings: SegmenterTraining,
    folder: Path,
    first: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Train from ``first`` or from drawn weights, or take up again from ``folder``; returns averaged weights.

    Raises:
        UserError: a step is not finite.
        Stopped: a signal came; the state is saved.
    """
    trainer = SegmenterTrainer(toy, real, settings, first)
    folder.mkdir(parents=True, exist_ok=True)
    trainer.run_steps(StateFile(folder / STATE), settings.save_every)
    return trainer.weights()


class SegmenterTrainer(Stepwise):
    """Model, its moving average, optimizers and where they are in the run."""

    def __init__(
        self,
        toy: SegmentationData,
        real: SegmentationData | None,
        settings: SegmenterTraining,
        first: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Begins with the weights ``first``, or with drawn ones."""
        super().__init__(settings.steps)
        self.toy, self.real, self.settings = toy, real, settings
        torch.manual_seed(settings.seed)
        self.model = build_sam_tiny().train()
        if first is not None:
            drawn = self.model.state_dict()
            self.model.load_state_dict(drawn | {name: tensor.float() for name, tensor in first.items()})
        self.model.image_encoder.patch_embed.to(memory_format=torch.channels_last)
        self.optimizers = _optimizers(self.model, settings)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.average_decay))
        self._dtype = resolve_precision("auto", "cpu")

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights."""
        return {name: tensor.detach().clone() for name, tensor in self.average.module.state_dict().items()}

    def train_step(self) -> dict[str, Tensor]:
        """As `Stepwise.train_step`."""
        set_learning_rate(self.optimizers, self.learning_rate())
        batch = draw_batch(self.toy, self.real, self.settings, self.step)
        with torch.autocast("cpu", self._dtype, self._dtype != torch.float32):
            prompts = batch["points"], batch["labels"], batch["boxes"]
            logits, quality = predict_masks(self.model, batch["canvases"], *prompts)
        loss = segmentation_loss(logits.float(), quality.float(), batch["masks"])
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.watch.check_step(self.step + 1, "segmenter", {"masks": loss}, length)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return {"masks": loss}

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to a fiftieth."""
        settings = self.settings
        if self.step < settings.warmup:
            return settings.learning_rate * ((self.step + 1) / settings.warmup)
        done = (self.step - settings.warmup) / max(1, settings.steps - settings.warmup)
        return settings.learning_rate * float(0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))

    def state(self) -> dict[str, Any]:
        """Model, average and optimizers."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """As `Stepwise.load_state`."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)

    def open_log(self, output: Path) -> StepLog:
        """A progress line, and the loss with each state that is kept."""
        return _SegmenterLog(self.step, self.steps)


class _SegmenterLog(ProgressLog):
    def __init__(self, first_step: int, steps: int) -> None:
        progress = Progress("train sam_tiny", steps, "steps", 15)
        progress.advance(first_step)
        super().__init__(progress)
        self._running, self._weight = 0.0, 0.0

    def add(self, step: int, terms: LossTerms, learning_rate: float) -> None:
        self._running = 0.98 * self._running + 0.02 * float(terms["masks"].detach())
        self._weight = 0.98 * self._weight + 0.02
        super().add(step, terms, learning_rate)

    def kept(self, step: int) -> None:
        print(f"step {step} loss {self._running / self._weight:.4f}", flush=True)


def _optimizers(model: torch.nn.Module, settings: SegmenterTraining) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for the matrices of the transformers, with steps as long as AdamW's (Liu et al., "Muon is scalable for
    LLM training", 2025, section 2.2), AdamW for all else."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        inner = parameter.ndim == 2 and "embed" not in name and "token" not in name
        (matrices if inner else others).append(parameter)
    decay = settings.weight_decay
    return (
        torch.optim.Muon(matrices, settings.learning_rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, settings.learning_rate, weight_decay=decay),
    )


def segmentation_loss(logits: Tensor, quality: Tensor, masks: Tensor) -> Tensor:
    """20 x focal + dice + squared error of the predicted IoU.

    Args:
        logits: (N, S, S); masks: (N, S, S), the covered share of each pixel, 0 to 1; quality: (N,).
    """
    focal = sigmoid_focal_loss(logits, masks, alpha=-1.0, reduction="mean")
    chance = logits.sigmoid()
    overlap = (chance * masks).sum((1, 2))
    dice = 1 - (2 * overlap + 1) / (chance.sum((1, 2)) + masks.sum((1, 2)) + 1)
    with torch.no_grad():
        made, true = logits > 0, masks > 0.5
        iou = (made & true).sum((1, 2)) / (made | true).sum((1, 2)).clamp(min=1)
    return 20 * focal + dice.mean() + functional.mse_loss(quality, iou)


def draw_batch(
    toy: SegmentationData, real: SegmentationData | None, settings: SegmenterTraining, step: int
) -> dict[str, Tensor]:
    """Canvases, prompts and target masks of one step; everything drawn from (seed, step)."""
    rng = random_generator(settings.seed, step)
    rows = []
    for _ in range(settings.batch_size):
        data = real if real is not None and rng.random() < settings.real_share else toy
        rows.append(_augment(data, int(rng.choice(len(data.images), p=data.chances)), rng))
    canvases, masks, points, labels, boxes = (np.stack(column) for column in zip(*rows, strict=True))
    low = functional.interpolate(torch.from_numpy(masks)[:, None], (CANVAS // 2, CANVAS // 2), mode="area")
    return {
        "canvases": torch.from_numpy(canvases).permute(0, 3, 1, 2).float(),
        "masks": low[:, 0],
        "points": torch.from_numpy(points),
        "labels": torch.from_numpy(labels),
        "boxes": torch.from_numpy(boxes),
    }


def _augment(data: SegmentationData, row: int, rng: np.random.Generator) -> tuple[NDArray[Any], ...]:
    """One sample on its canvas, with a random affine map, colour change and prompts."""
    height, width = data.images.shape[1:3]
    scale = np.array([CANVAS / width, CANVAS / height]) * rng.uniform(0.94, 1.16, 2)
    shift = np.array([CANVAS, CANVAS]) / 2 - scale * np.array([width, height]) / 2 + rng.uniform(-5, 5, 2)
    points = data.keypoints[row].astype(np.float64)
    known = points[:, 2] > 0
    affine = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    if rng.random() < 0.5:
        affine[0] = (-affine[0, 0], 0, CANVAS - 1 - affine[0, 2])
        points, known = points[COCO_MIRROR], known[COCO_MIRROR]
    mode = cv2.BORDER_REFLECT_101
    image: NDArray[Any] = cv2.warpAffine(data.images[row], affine, (CANVAS, CANVAS), borderMode=mode)
    mask = cv2.warpAffine(data.masks[row].astype(np.float32), affine, (CANVAS, CANVAS), borderMode=mode)
    moved = points[:, :2] @ np.diag([affine[0, 0], affine[1, 1]]) + affine[:, 2]
    noise = rng.normal(0, rng.uniform(0, 4), (KEYPOINTS, 2))
    inside = ((moved >= 0) & (moved < CANVAS)).all(axis=1)
    used = known & inside & (rng.random(KEYPOINTS) > rng.uniform(0, 0.5))
    labels = np.where(used & (rng.random() > 0.2), 1, -1).astype(np.int64)
    box = np.array([0, 0, CANVAS, CANVAS], np.float32)
    return _recolor(image, rng), mask, (moved + noise).astype(np.float32), labels, box


def _recolor(image: NDArray[Any], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Brightness, contrast, tint, and at times blur or noise."""
    pixels: NDArray[Any] = image.astype(np.float32)
    pixels = (pixels - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-25, 25) + rng.uniform(-8, 8, 3)
    if rng.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.15:
        pixels = pixels + rng.normal(0, rng.uniform(2, 14), pixels.shape)
    return np.asarray(np.clip(pixels, 0, 255), dtype=np.uint8)
