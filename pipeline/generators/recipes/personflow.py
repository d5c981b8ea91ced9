"""personflow: one network for other poses, other cameras, another place and new people.

Ours: a rectified flow (Liu, Gong, Liu, "Flow Straight and Fast", ICLR 2023, section 2) with shortcut steps (Frans,
Hafner, Levine, Abbeel, "One Step Diffusion via Shortcut Models", ICLR 2025, section 3) in pixels. No discriminator: one
loss, which can be read. With noise e, an image y and x_t = t y + (1 - t) e, the network says what y is, and so how fast
to go there::

    v(x_t, t, d) = (y^ - x_t) / (1 - t)         y^ = c_skip(t) x_t + c_out(t) F(c_in(t) x_t, t, d | s, p, c)
    L = E (1 + a m) (|F - F*|^2 + b |D(F - F*)|^2)   F*: by which y^ is y (d = 0), or one step of 2d is two of d
    x <- x + d v(x, t, d)                        d in {1, 1/2, 1/4, 1/8}

D are differences between neighbours, where detail is known (`pipeline.generators.recipes.flow.asked`). t is the
logistic of a normal number, or 0; the coefficients: `pipeline.generators.recipes.flow.path`. Steps of d are those of
the moving average of F, which is also what is kept.

Told are a reference s, a pose p, a camera c; each is left out now and then. A reference is an image that is changed,
and y is what changes: a step begins at the image and keeps its detail.

- Other cameras, another place: s is the image itself in the look of another camera. In some the person alone looks
  otherwise, before a background by the right camera: so the network learns to make people fit in whom a synthesis cuts
  out and puts before one (`pipeline.generators.backgrounds`).
- Other poses: s is another image of the person, whose limbs are laid first where the pose asks for them, as a puppet's
  (`pipeline.generators.recipes.flow.moved`); the errors count as they are, not squared.

Without a reference y is the image, and somebody new comes out. A place whose people nobody named is learned from by the
first kind alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.common.settings import faults
from pipeline.generators.backgrounds import Known
from pipeline.generators.networks.flow import ITSELF, FlowNetwork, start
from pipeline.generators.noise import photographic_noise
from pipeline.generators.recipes.base import Batch, Need, Recipe, RecipeSettings, Size, StepContext, Terms
from pipeline.generators.recipes.flow import data as training_sets
from pipeline.generators.recipes.flow import rows as synthesis_rows
from pipeline.generators.recipes.flow.asked import asked_of
from pipeline.generators.recipes.flow.moments import SPAN_OF_STEPS, draw_moments, uniform
from pipeline.generators.recipes.flow.moved import lay
from pipeline.generators.recipes.flow.path import FlowPath, mixed, wide
from pipeline.generators.recipes.flow.settings import PersonFlowSettings
from pipeline.generators.recipes.flow.speeds import GuidedSpeeds, Speeds
from pipeline.generators.recipes.flow.told import Told
from pipeline.training.data import BatchSource, Columns, DomainData
from pipeline.training.randomness import random_generator

_PREVIEW_SEED = 500


class PersonFlow(Recipe):
    name = "personflow"
    paper = "ours; Frans et al., ICLR 2025"
    settings_model: ClassVar[type[PersonFlowSettings]] = PersonFlowSettings
    settings: PersonFlowSettings
    roles = ("source",)
    optional_roles = ("target",)
    inputs: ClassVar[tuple[str, ...]] = (
        *("source", "reference", "skeleton", "joints", "asked_joints", "camera", "noise", "person", "seed"),
    )
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {"network": ("network",)}
    exports: ClassVar[Mapping[str, str]] = {"generator": "average"}
    label_rule = "lsr"
    before: ClassVar[Mapping[str, Any]] = {"backgrounds": 0, "background_share": 0.0}

    def __init__(self, settings: RecipeSettings | None = None) -> None:
        super().__init__(settings)
        self._known: Known | None = None

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return self.needs_of("source", annotated=True)

    def needs_of(self, role: str, annotated: bool) -> frozenset[Need]:
        return training_sets.needs_of(self.settings, role, annotated)

    def pastes(self, elsewhere: bool) -> bool:
        own = len(self.settings.cameras)
        counts = self.settings.background_counts[own:] if elsewhere else self.settings.background_counts[:own]
        return self.settings.background != "own" and any(counts)

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        settings, backgrounds = training_sets.settings_of(self.settings, data, self.name)
        made = type(self)(settings)
        made._known = backgrounds
        return made

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        return training_sets.batches_of(self.settings, data, size, seed)

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        network, average = self.build_generator(size), self.build_generator(size)
        start(network, generator)
        if self._known is not None and network.backgrounds is not None:
            self._known.filled_in(network.backgrounds)
        average.load_state_dict(network.state_dict())
        return nn.ModuleDict({"network": network, "average": average.requires_grad_(False)})

    def build_generator(self, size: Size) -> FlowNetwork:
        settings = self.settings
        return FlowNetwork(size, settings.conditions, settings.channels, settings.background_counts)

    @property
    def _path(self) -> FlowPath:
        return FlowPath(self.settings.deviation)

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        settings, rng, target = self.settings, context.rng, batch["target"]
        self._follow(networks, context.step)
        rows, device = len(target), target.device
        left_out = uniform(rng, (3, rows), device) < settings.drop
        told, asked = asked_of(batch, left_out, settings.conditions)
        image = told.inner(asked.image)
        # The first rows learn longer steps: this share of them, over several steps where rows are few.
        before, after = (math.floor(settings.shortcut_share * rows * (context.step + k)) for k in (0, 1))
        learning = after - before
        time, span = draw_moments(settings, rng, rows, learning, device)
        size = target.shape[2], target.shape[3]
        noise = torch.from_numpy(photographic_noise(rng, rows, size, settings.noise_slope)).to(device)
        noisy = mixed(time, image, noise)
        wanted = self._path.wanted(time, image, noise)
        if learning:
            with torch.no_grad():
                teacher = Speeds.of(_flow(networks["average"]), self._path, told.first(learning))
                wanted[:learning] = teacher.two_steps(noisy[:learning], time[:learning], span[:learning])
        found = Speeds.of(_flow(networks["network"]), self._path, told).found(noisy, time, span)
        each = asked.errors(found.float() - wanted, settings.mask_weight, settings.detail_weight)
        shortcut = torch.arange(rows, device=device) < learning
        terms = {"flow": each[~shortcut].sum() / rows}
        yield "network", terms | ({"shortcut": each[shortcut].sum() / rows} if learning else {})

    @torch.no_grad()
    def _follow(self, networks: nn.ModuleDict, step: int) -> None:
        """The average moves towards the network; it starts short, else the first weights would stay in it for long."""
        decay = min(self.settings.teacher_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(networks["average"].parameters()), list(networks["network"].parameters()), 1 - decay)

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        settings, network = self.settings, _flow(generator)
        source = self._placed(network, batch)
        told = Told.of(source, lay(source, batch).image, batch)
        noise = batch["noise"].float().view_as(source)
        noise = torch.where(wide(told.changes), settings.place_noise * noise, noise)
        rows, steps = len(source), settings.flow_steps
        moment = torch.full((rows,), settings.flow_start, device=source.device)
        noisy = mixed(moment, told.inner(source), noise) if settings.flow_start else noise
        span = torch.full((rows,), SPAN_OF_STEPS[steps], device=source.device)
        speeds = GuidedSpeeds.of(network, self._path, told, settings.guidance, settings.conditions)
        for at in range(round(settings.flow_start * steps), steps):
            moment = torch.full((rows,), at / steps, device=source.device)
            noisy = noisy + speeds.speed(noisy, moment, span) / steps
        return told.outer(noisy)

    def _placed(self, network: FlowNetwork, batch: Batch) -> Tensor:
        """The sources; people who are to be as another camera shows them before its background."""
        source = batch["source"].float()
        if self.settings.background == "own" or network.backgrounds is None:
            return source
        person = batch["person"].float() * wide(batch["reference"] == ITSELF)
        return network.backgrounds.behind(source, person, batch["camera"], batch["seed"])

    def preview(self, networks: nn.ModuleDict, batch: Batch) -> dict[str, Tensor]:
        noise = torch.from_numpy(
            self.draw_noise((batch["target"].shape[2], batch["target"].shape[3]), random_generator(_PREVIEW_SEED))
        )
        noise = noise.to(batch["target"].device).expand(len(batch["target"]), -1)
        rows = torch.arange(len(noise), device=noise.device)
        made = self.generate(networks["average"], {**batch, "noise": noise, "person": batch["mask"], "seed": rows})
        return {"source": batch["source"], "pose": batch["skeleton"], "generated": made, "real": batch["target"]}

    def completed(self, columns: Columns, rows: int, size: Size) -> Columns:
        return synthesis_rows.completed(self.settings, super().completed(columns, rows, size), rows, size)

    def camera_number(self, plan: Mapping[str, Any]) -> int:
        return synthesis_rows.camera_number(self.settings, plan)

    def asked(self, generation: Mapping[str, Any]) -> Self:
        if generation.get("background") == "asked":
            training_sets.check_backgrounds(self.settings.background_counts)
        try:
            settings = type(self.settings).model_validate({**self.settings.model_dump(), **generation})
        except ValidationError as error:
            raise UserError(faults(error)) from None
        return type(self)(settings)

    def draw_noise(self, size: Size, rng: np.random.Generator) -> NDArray[np.float32]:
        return synthesis_rows.draw_noise(self.settings, size, rng)


def _flow(network: nn.Module) -> FlowNetwork:
    assert isinstance(network, FlowNetwork)
    return network
