"""The IDE baseline: a ReID network learns to name its training identities, by soft labels.

Warm-up, cosine, crop, flip, erasing and the optional triplet loss as in Luo et al. (CVPR workshops 2019). On a CPU, a
run that was stopped and taken up again ends with the same bytes as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError
from manifests.format.soft_labels import NO_LABEL
from pipeline.common.devices import Device
from pipeline.common.precision import Precision, resolve_precision
from pipeline.common.settings import Advanced, JobSettings, Run
from pipeline.reid.batches import ReidBatches
from pipeline.reid.mixing import MixSettings
from pipeline.reid.mixing.labels import dynamic_mprl
from pipeline.reid.mixing.norms import GeneratedNorms
from pipeline.reid.network import ReidNetwork
from pipeline.reid.triplet import TripletSettings, batch_hard
from pipeline.training.finite_watch import largest_gradient
from pipeline.training.log import total
from pipeline.training.loop import Stepwise
from pipeline.training.optimizers import decay_groups, set_learning_rate
from pipeline.training.state import Checkpoints
from pipeline.training.workers import ALONE, Workers


class ReidTrainingSettings(JobSettings):
    """How long and how a ReID network is trained."""

    group = "training"
    steps: int = Field(default=1000, ge=1, description="optimizer steps")
    batch_size: int = Field(default=32, ge=2, description="images in a step")
    optimizer: Advanced[Literal["adamw", "sgd"]] = Field(default="adamw", description="sgd: Nesterov momentum 0.9")
    learning_rate: float = Field(default=2e-3, gt=0, description="step size at its peak")
    weight_decay: Advanced[float] = Field(
        default=0.05, ge=0, description="weight decay, on matrices and kernels only; sgd: 5e-4 is usual"
    )
    warm_up: Advanced[float] = Field(default=0.1, ge=0, le=1, description="share of the steps until the peak")
    seed: int = Field(default=0, ge=0, description="first weights, order and augmentation follow from it")
    precision: Advanced[Run[Precision]] = Field(
        default="auto", description="auto: bfloat16 autocast where the hardware has it"
    )
    device: Device = Field(default="cpu", description="cpu, cuda or cuda:N")
    checkpoint_every: Advanced[Run[int]] = Field(default=200, ge=1, description="steps between checkpoints")


class ReidTraining(Stepwise):
    """One training of ``network`` on ``batches``. `run` trains (or goes on) to the last step."""

    def __init__(
        self,
        network: ReidNetwork,
        batches: ReidBatches,
        settings: ReidTrainingSettings,
        triplet: TripletSettings | None = None,
        workers: Workers = ALONE,
        mix: MixSettings | None = None,
    ) -> None:
        """Of several workers each takes its share of every batch. Batch norm then sees the whole batch on GPUs; on CPUs
        each worker normalises by its own rows, and the running statistics are the mean over the workers. Of ``mix``,
        which the ``batches`` are by, norms and labels of generated images are seen to here.

        Raises:
            UserError: ``batches`` of the asked size cannot be drawn, or not be shared.
        """
        check_share(settings.batch_size, workers)
        batches.check(settings.batch_size, workers.count)
        super().__init__(settings.steps, settings.device, workers)
        self.batches, self.settings = batches, settings
        self.triplet, self.mix = triplet or TripletSettings(), mix or MixSettings()
        if workers.count > 1 and self.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.norms = GeneratedNorms(self.network) if self.mix.synthetic_norm == "apart" else None
        """Of generated images, where they have their own."""
        self.optimizer = _optimizer(self._parameters(), settings)
        self.others: dict[str, Any] = {}
        """What `run` was told of the settings beside these."""
        self._dtype = resolve_precision(settings.precision, self.device)

    @cached_property
    def data_sha256(self) -> str:
        """Of all images and labels."""
        return self.batches.digest()

    def run(self, output: Path | None = None, run: Mapping[str, Any] | None = None) -> ReidNetwork:
        """Train and return the network, in eval mode. With ``output``, checkpoints, a progress line and TensorBoard
        files; ``run`` is what a checkpoint there must have been started with, beside settings and data.

        Raises:
            UserError: ``output`` holds a run with other settings or data, or a step is not finite.
            Stopped: a signal came; the state is saved.
        """
        self.others = dict(run or {})
        if output is None:
            while self.step < self.steps:
                self.train_step()
            self.watch.check_state(self.step, self.network.state_dict())
        else:
            identity = self._identity()
            # What a run does not name that was begun before these were settings.
            before = {name: value for name, value in MixSettings().described().items() if name in identity}
            self.run_steps(Checkpoints(output, identity, before=before), self.settings.checkpoint_every)
        return self.network.eval()

    def train_step(self) -> dict[str, Tensor]:
        """One update from the batch of this step; returns the terms of its loss.

        Raises:
            NotFiniteError: the step before was not finite.
        """
        batch = self.own_batch(self.batches.batch(self.step, self.settings.batch_size))
        set_learning_rate([self.optimizer], self.learning_rate())
        self.network.train()
        terms = self._losses(batch)
        self.optimizer.zero_grad(set_to_none=True)
        total(terms).backward()
        self.workers.average_gradients(self._parameters())
        self.watch.see("network", terms, largest_gradient(self._parameters()))
        self.optimizer.step()
        self.step += 1
        self.watch.end_step(self.step)
        return terms

    def _losses(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Terms whose mean over the workers, and so the mean of whose gradients, is that of the whole batch."""
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32):
            features, logits = self._answers(batch["image"], batch["generated"])
        targets = batch["target"]
        if self.mix.nobody_labels == "mprl":
            nobody = (batch["generated"] == 1) & (batch["person"] == NO_LABEL)
            targets = torch.where(nobody[:, None], dynamic_mprl(logits), targets)
        share = soft_cross_entropy(logits, targets, batch["weight"])
        terms = {"cross_entropy": self.workers.count * share}
        if weight := self.triplet.triplet_weight:
            whole, people = self.workers.gather_rows(features.float()), self.workers.gather_rows(batch["person"])
            terms["triplet"] = weight * batch_hard(whole, people, self.triplet.margin)
        return terms

    def _answers(self, images: Tensor, generated: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of images, real ones first; with own norms the two kinds go through one by one."""
        if self.norms is None:
            features = self.network.pooled(images)
            return features, self.network.classify(features)
        made = int(generated.sum())
        real = len(images) - made
        self.norms.join(real > 0, made > 0)
        parts = []
        if real:
            features = self.network.pooled(images[:real])
            parts.append((features, self.network.classify(features)))
        if made:
            with self.norms.in_place():
                features = self.network.pooled(images[real:])
                parts.append((features, self.network.classify(features)))
        features, logits = (torch.cat(both) for both in zip(*parts, strict=True))
        return features, logits

    def _parameters(self) -> list[nn.Parameter]:
        """All that is trained or could be, the network's first."""
        return [*self.network.parameters(), *(self.norms.layers.parameters() if self.norms is not None else ())]

    def learning_rate(self) -> float:
        """Linear warm-up, then half a cosine to 0."""
        settings = self.settings
        warm = settings.warm_up * settings.steps
        if self.step < warm:
            return settings.learning_rate * (self.step + 1) / (warm + 1)
        done = (self.step - warm) / max(1.0, settings.steps - warm)
        return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def _identity(self) -> dict[str, Any]:
        settings = self.settings.model_dump(mode="json", exclude={"checkpoint_every", "device"})
        network = self.network.settings.model_dump(mode="json")
        mine = {**settings, **network, **self.triplet.model_dump(), **self.others}
        return {**mine, "workers": self.workers.count, "data": self.data_sha256}

    def state(self) -> dict[str, Any]:
        """Network, optimizer and losses; norms of generated images where they have their own."""
        self.workers.average_buffers(self.network)
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "losses": self.losses}
        if self.norms is not None:
            self.workers.average_buffers(self.norms.layers)
            state["generated_norms"] = self.norms.layers.state_dict()
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """As `Stepwise.load_state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"]
        if self.norms is not None:
            self.norms.layers.load_state_dict(state["generated_norms"])


def check_share(batch_size: int, workers: Workers) -> None:
    """Raises UserError where ``workers`` cannot share a batch evenly, or so that each has rows to normalise by."""
    workers.check(batch_size)
    if batch_size < 2 * workers.count:
        raise UserError(
            f"--batch-size {batch_size} leaves one image to each of {workers.count} workers, and batch norm needs two: "
            f"take {2 * workers.count} or more"
        )


def soft_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """``- sum_i w_i sum_k q_i(k) log p_i(k)``: logits and targets ``q`` (N, K), weights ``w`` (N,).

    One-hot ``q`` gives the ordinary loss, LSR's and LSRO's give theirs (Zheng et al., ICCV 2017, equation 5).
    """
    entropy = F.cross_entropy(logits.float(), targets, reduction="none")
    return (entropy * weights).sum()


def _optimizer(parameters: Iterable[nn.Parameter], settings: ReidTrainingSettings) -> torch.optim.Optimizer:
    trained = (parameter for parameter in parameters if parameter.requires_grad)
    groups = decay_groups(trained, settings.weight_decay)
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, settings.learning_rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, settings.learning_rate, fused=True)
