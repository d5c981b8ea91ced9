"""Training of `pose_tiny`: mmpose's codec makes the targets, the head's own loss compares, a moving average is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pipeline.annotation.mmpose_import import quiet_start
from pipeline.annotation.poses import build_model, find_config, normalized
from pipeline.annotation.shipped.pose_augmentation import augment
from pipeline.annotation.shipped.pose_data import ABSENT, HEIGHT, HIDDEN, WIDTH, PoseCrops
from pipeline.checkpoints import save_state
from pipeline.common.precision import resolve_precision
from pipeline.common.progress import Progress
from pipeline.training.log import LossTerms, ProgressLog, StepLog, total
from pipeline.training.loop import Stepwise
from pipeline.training.optimizers import decay_groups, set_learning_rate
from pipeline.training.state import Checkpoints, Kept

Keypoints = NDArray[np.float32]
CONFIG = "configs/pose_tiny.py"
WEIGHTS = "pose_tiny.safetensors"
_ABSENT_WEIGHT = 0.2


class PoseTrainingSettings(BaseModel):
    """How `pose_tiny` is trained."""

    group: ClassVar[str] = "training"

    steps: int = Field(6000, ge=1, description="optimizer steps")
    batch: int = Field(32, ge=2, description="crops a step")
    learning_rate: float = Field(2e-3, gt=0, description="peak of the cosine")
    weight_decay: float = Field(0.05, ge=0, description="of AdamW, on matrices and kernels only")
    warm_up: int = Field(100, ge=0, description="steps until the peak")
    real_share: float = Field(0.15, ge=0, le=1, description="share of real crops in a batch, where there are any")
    average: float = Field(0.99, gt=0, lt=1, description="decay of the moving average of the weights")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="of the forward pass")
    save_every: int = Field(250, ge=1, description="steps between checkpoints")
    seed: int = Field(0, ge=0, description="of first weights, order and augmentation")


class PoseTrainer(Stepwise):
    """Model, its moving average, optimizer and where they are in the run."""

    def __init__(self, settings: PoseTrainingSettings, toy: PoseCrops, real: PoseCrops | None) -> None:
        super().__init__(settings.steps)
        self.settings, self.toy, self.real = settings, toy, real
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.model = build_model(find_config(CONFIG)).to(memory_format=torch.channels_last)
            _small_weights(self.model)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(settings.average), use_buffers=True)
        groups = decay_groups(self.model.parameters(), settings.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self._dtype = resolve_precision(settings.precision, "cpu")

    def run(self, folder: Path, run: Mapping[str, Any]) -> None:
        """Train on to the last step, from the newest checkpoint in ``folder``.

        The averaged weights lie in ``folder`` as `WEIGHTS`, anew with each checkpoint.

        ``run`` is what a checkpoint must have been started with.

        Raises:
            UserError: it differs, or a step is not finite.
            Stopped: a signal came; the state is saved.
        """
        self.run_steps(Checkpoints(folder, run, inside="", key="run"), self.settings.save_every)

    def keep(self, kept: Kept) -> None:
        """The state, and the averaged weights as `WEIGHTS`."""
        super().keep(kept)
        save_state(self.weights(), kept.output / WEIGHTS, {"config": CONFIG})

    def open_log(self, output: Path) -> StepLog:
        """A progress line and the mean loss of each 50 steps."""
        return _PoseLog(self.steps - self.step, self.settings.batch)

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights as float16."""
        state = self.average.module.state_dict()
        return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}

    def train_step(self) -> dict[str, Tensor]:
        """As `Stepwise.train_step`."""
        images, keypoints = self._batch()
        set_learning_rate([self.optimizer], self.learning_rate())
        self.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            outputs, maps = forward_with_maps(self.model, normalized(self.model, images))
        terms = {"pose": pose_loss(self.model, outputs, keypoints), "map": map_loss(maps, keypoints)}
        self.optimizer.zero_grad(set_to_none=True)
        total(terms).backward()
        length = nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.watch.check_step(self.step + 1, "pose model", terms, length)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return terms

    def _batch(self) -> tuple[Tensor, Keypoints]:
        """The crops of this step: a function of the seed and the step alone."""
        rng = np.random.Generator(np.random.Philox(key=[self.settings.seed, self.step]))
        real = round(self.settings.batch * self.settings.real_share) if self.real is not None else 0
        parts = [augment(self.toy, rng.integers(0, len(self.toy), self.settings.batch - real), rng)]
        if self.real is not None and real:
            parts.append(augment(self.real, rng.integers(0, len(self.real), real), rng))
        images = np.concatenate([part.images for part in parts])
        return torch.from_numpy(images), np.concatenate([part.keypoints for part in parts])

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to a fiftieth."""
        settings = self.settings
        warm = min(1.0, (self.step + 1) / max(1, settings.warm_up))
        done = max(0, self.step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
        return settings.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))

    def state(self) -> dict[str, Any]:
        """Model, average and optimizer."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """As `Stepwise.load_state`."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


class _PoseLog(ProgressLog):
    def __init__(self, steps: int, batch: int) -> None:
        super().__init__(Progress("train pose_tiny", steps * batch, every_seconds=10), batch)
        self._running: list[float] = []

    def add(self, step: int, terms: LossTerms, learning_rate: float) -> None:
        self._running.append(float(total(terms).detach()))
        super().add(step, terms, learning_rate)
        if step % 50 == 0:
            print(f"train pose_tiny: step {step}, loss {np.mean(self._running):.4f}", flush=True)
            self._running.clear()


def pose_loss(model: nn.Module, outputs: tuple[Tensor, Tensor], keypoints: Keypoints) -> Tensor:
    """The head's loss, a mean over crops, for ``keypoints`` ``(N, 17, 3)`` with states.

    A joint outside of the picture has no place: its target is flat, with a small weight, so that its score falls.
    An unknown one weighs nothing.
    """
    head: Any = model.head
    state = keypoints[..., 2]
    targets = head.decoder.encode(keypoints[..., :2], (state >= HIDDEN).astype(np.float32))
    weights = np.where(state == ABSENT, _ABSENT_WEIGHT, targets["keypoint_weights"]).astype(np.float32)
    labels = tuple(torch.from_numpy(targets[f"keypoint_{axis}_labels"]) for axis in "xy")
    predicted = tuple(part.float() for part in outputs)
    loss: Tensor = head.loss_module(predicted, labels, torch.from_numpy(weights))
    return loss * (100 / len(keypoints))


def forward_with_maps(model: nn.Module, images: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """The network's output, and the coarse maps ``(N, 17, h, w)`` that its head reads positions from."""
    maps: list[Tensor] = []
    head: Any = model.head
    hook = head.final_layer.register_forward_hook(lambda layer, inputs, output: maps.append(output))
    try:
        with quiet_start():
            return model(images, None, mode="tensor"), maps[0]
    finally:
        hook.remove()


def map_loss(maps: Tensor, keypoints: Keypoints) -> Tensor:
    """Cross-entropy of each joint's map, as logits over its cells, with where the joint lies.

    A joint's weight is split between the four cells around it, bilinearly. mmpose trains the head through its
    output alone; from random weights that takes many thousands of steps to leave the mean pose.
    """
    rows, columns = maps.shape[2:]
    place = keypoints[..., :2] * (columns / WIDTH, rows / HEIGHT) - 0.5
    place = np.clip(place, 0, (columns - 1, rows - 1))
    across = np.maximum(0, 1 - np.abs(place[..., :1] - np.arange(columns)))
    down = np.maximum(0, 1 - np.abs(place[..., 1:] - np.arange(rows)))
    target = torch.from_numpy((down[..., :, None] * across[..., None, :]).astype(np.float32)).flatten(2)
    known = torch.from_numpy(keypoints[..., 2] >= HIDDEN)
    entropy = -(target * maps.float().flatten(2).log_softmax(dim=2)).sum(dim=2)
    return (entropy * known).sum() / known.sum().clamp(min=1)


def _small_weights(model: nn.Module) -> None:
    """First weights as mmpose has them: the head's attention is squared, and explodes from torch's larger ones."""
    from mmengine.logging import MMLogger

    log: Any = MMLogger.get_current_instance()
    log.disabled = True  # it would name each parameter
    try:
        model.init_weights()  # type: ignore[operator]
    finally:
        log.disabled = False
