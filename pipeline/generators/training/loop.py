"""The training of a recipe: steps, precision, schedule, averaged weights, pictures.

It knows no recipe: a recipe yields the loss terms of one player after the other, here they are minimised. On a
CPU, a run that was stopped and taken up again ends with the same bytes as one that was not, for equal settings,
data, thread count and machine.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.common.devices import Device
from pipeline.common.finite import first_not_finite
from pipeline.common.images import LARGEST_SIDE
from pipeline.common.precision import Precision, resolve_precision
from pipeline.common.settings import Advanced, JobSettings, Run
from pipeline.common.tensors import to_batch
from pipeline.generators.networks.blocks import HistoryPool
from pipeline.generators.recipes.base import Recipe, StepContext
from pipeline.training.data import BatchSource
from pipeline.training.finite_watch import largest_gradient
from pipeline.training.log import StepLog, total
from pipeline.training.loop import Stepwise
from pipeline.training.optimizers import set_learning_rate
from pipeline.training.randomness import GeneratorStream, random_generator
from pipeline.training.state import Checkpoints
from pipeline.training.workers import ALONE, Workers


class TrainingSettings(JobSettings):
    """How long and how a recipe is trained; the recipe's own numbers are its settings."""

    group = "training"
    steps: int = Field(default=20_000, ge=1, description="updates in all, of the player that moves most often")
    batch_size: int = Field(default=1, ge=1, description="images of each domain in a step (the papers: 1)")
    height: int = Field(default=256, ge=16, le=LARGEST_SIDE, multiple_of=4, description="height of the crops, pixels")
    width: int = Field(default=128, ge=16, le=LARGEST_SIDE, multiple_of=4, description="width of the crops, pixels")
    seed: int = Field(default=0, ge=0, description="weights, order, augmentation and history pool follow from it")
    average_decay: Advanced[float] = Field(
        default=0.0, ge=0, lt=1, description="keep an exponential moving average of the generators; 0: off (the papers)"
    )
    precision: Advanced[Run[Precision]] = Field(
        default="auto", description="auto: bfloat16 autocast where the hardware has it"
    )
    device: Device = Field(default="cpu", description="cpu, cuda or cuda:N")
    checkpoint_every: Advanced[Run[int]] = Field(default=1000, ge=1, description="steps between checkpoints")
    sample_every: Advanced[Run[int]] = Field(default=500, ge=1, description="steps between picture grids")
    measure_every: Advanced[Run[int]] = Field(
        default=1000, ge=1, description="steps between measurements, where there are any"
    )
    sample_count: Advanced[Run[int]] = Field(default=8, ge=1, description="rows of a picture grid")


class Training(Stepwise):
    """One run of one recipe. `run` trains (or goes on) to the last step; the networks are then in ``networks``."""

    def __init__(
        self,
        recipe: Recipe,
        data: BatchSource,
        output: Path,
        settings: TrainingSettings,
        workers: Workers = ALONE,
        measure: Callable[[Training], Mapping[str, float]] | None = None,
    ) -> None:
        """``measure`` is asked for figures now and then, which go to the log.

        Raises:
            UserError: a checkpoint under ``output`` cannot be read, or the images are too small for the networks.
        """
        workers.check(settings.batch_size)
        super().__init__(settings.steps, settings.device, workers)
        size = settings.height, settings.width
        started = Checkpoints(output, {}, before=recipe.before).started_with()
        self.recipe = recipe = recipe.sized(size, started)
        self.data, self.output, self.settings = data, output, settings
        self.measure = measure
        self.dtype = resolve_precision(settings.precision, self.device)
        weights = torch.Generator().manual_seed(settings.seed)
        networks = recipe.build(weights, size).to(self.device)
        if self.device.type == "cpu":  # a step of CycleGAN takes 6% less so, in float32 and in bfloat16
            self.layout = torch.contiguous_format
        self.networks: nn.ModuleDict = networks.to(memory_format=self.layout)
        self.averages = self._copy_exports() if settings.average_decay else None
        self.optimizers = {player: self._optimizer(names) for player, names in recipe.players.items()}
        self.pools = {name: HistoryPool() for name in recipe.pool_names}
        self.data_sha256 = data.digests()

    def run(self) -> None:
        """Train from the newest checkpoint under ``output``, or from the start.

        Raises:
            UserError: ``output`` holds a run with other settings or data, or a step is not finite.
            Stopped: a signal came; the state is saved.
        """
        kept = Checkpoints(self.output, self._identity(), before=self.recipe.before)
        self.run_steps(kept, self.settings.checkpoint_every)

    def exported(self) -> dict[str, nn.Module]:
        """The networks to keep, by file stem: averaged ones where an average was kept."""
        kept = self.averages if self.averages is not None else self.networks
        return {stem: kept[name] for stem, name in self.recipe.exports.items()}

    def check_result(self) -> None:
        """Look at what the trained networks make of some rows: finite weights alone do not say that it is finite.

        Raises:
            NotFiniteError: it is not; names the column of the picture grid.
        """
        self.watch.check_state(self.step, {f"the picture {name!r}": made for name, made in self._preview().items()})

    def end_step(self, log: StepLog) -> None:
        """Pictures and figures now and then, by the first worker alone."""
        if self.workers.rank:
            return
        last = self.step == self.steps
        if last or self.step % self.settings.sample_every == 0:
            self._show(log)
        if self.measure and (last or self.step % self.settings.measure_every == 0):
            log.measured(self.step, self.measure(self))

    def _show(self, log: StepLog) -> None:
        columns = self._preview()
        # What cannot be drawn stops the next step, or `check_result`: on every worker, where here is the first alone.
        if first_not_finite(columns) is None:
            log.show(self.step, columns)

    def train_step(self) -> dict[str, Tensor]:
        """As `Stepwise.train_step`: all moves of the recipe's players."""
        batch = self.own_batch(self.data.batch(self.step, self.settings.batch_size))
        mine = (self.workers.rank,) if self.workers.rank else ()
        rng = random_generator(self.settings.seed, GeneratorStream.STEP, self.step, *mine)
        context = StepContext(self.step, rng, self.pools, progress=self.step / self.steps)
        moves = self.recipe.step(self.networks, batch, context)
        set_learning_rate(self.optimizers.values(), self.learning_rate())
        seen: dict[str, Tensor] = {}
        while True:
            # Autocast covers the recipe's forward passes only; backward passes run as their forwards did.
            with self._autocast():
                move = next(moves, None)
            if move is None:
                break
            player, terms = move
            optimizer = self.optimizers[player]
            optimizer.zero_grad(set_to_none=True)
            total(terms).backward()
            trained = [one for group in optimizer.param_groups for one in group["params"]]
            self.workers.average_gradients(trained)
            self.watch.see(player, terms, largest_gradient(trained))
            optimizer.step()
            seen |= terms
        self._average()
        self.step += 1
        self.watch.end_step(self.step)
        return seen

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _optimizer(self, names: tuple[str, ...]) -> torch.optim.Adam:
        parameters = itertools.chain.from_iterable(self.networks[name].parameters() for name in names)
        settings = self.recipe.settings
        return torch.optim.Adam(parameters, settings.learning_rate, (settings.beta1, 0.999), fused=True)

    def learning_rate(self) -> float:
        """Constant, then linear to 0 at the end (CycleGAN, appendix 7.1)."""
        settings = self.recipe.settings
        flat = settings.decay_from * self.settings.steps
        left = (self.settings.steps - self.step) / max(self.settings.steps - flat, 1.0)
        return settings.learning_rate * min(1.0, left)

    def _copy_exports(self) -> nn.ModuleDict:
        names = self.recipe.exports.values()
        return nn.ModuleDict({name: copy.deepcopy(self.networks[name]) for name in names}).requires_grad_(False)

    @torch.no_grad()
    def _average(self) -> None:
        if self.averages is None:
            return
        # The average starts short, else the random first weights would stay in it for long.
        decay = min(self.settings.average_decay, (1 + self.step) / (10 + self.step))
        for name, average in self.averages.items():
            # Running statistics too: averaged weights would not fit those of the last step.
            current, kept = (
                [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
                for network in (self.networks[name], average)
            )
            if kept:
                torch._foreach_lerp_(kept, current, 1 - decay)

    @torch.no_grad()
    def _preview(self) -> dict[str, Tensor]:
        networks = nn.ModuleDict({**self.networks, **(self.averages or {})})
        with self._autocast():
            columns = self.data.preview(self.settings.sample_count)
            return self.recipe.preview(networks, to_batch(columns, self.device, self.layout))

    def _identity(self) -> dict[str, Any]:
        """What must be equal for a run to be taken up again."""
        free = {"checkpoint_every", "sample_every", "sample_count", "measure_every", "device"}
        settings = self.settings.model_dump(mode="json", exclude=free)
        recipe = {"recipe": self.recipe.name, **self.recipe.settings.model_dump(mode="json")}
        recipe["workers"] = self.workers.count
        return {**settings, **recipe, **{f"{name} data": sha for name, sha in self.data_sha256.items()}}

    def state(self) -> dict[str, Any]:
        """Networks, averages, optimizers and pools."""
        self.workers.average_buffers(self.networks)
        return {
            "networks": self.networks.state_dict(),
            "averages": None if self.averages is None else self.averages.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "pools": {name: self.workers.gather(pool.state_dict()) for name, pool in self.pools.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """As `Stepwise.load_state`."""
        self.networks.load_state_dict(state["networks"])
        if self.averages is not None:
            self.averages.load_state_dict(state["averages"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, pool in self.pools.items():
            pool.load_state_dict(state["pools"][name][self.workers.rank])
