"""personflow: one network for other poses, other cameras, another place and new people.

Ours: a rectified flow (Liu, Gong, Liu, "Flow Straight and Fast", ICLR 2023, section 2) with shortcut steps (Frans,
Hafner, Levine, Abbeel, "One Step Diffusion via Shortcut Models", ICLR 2025, section 3) in pixels. No discriminator: one
loss, which can be read. With noise e, an image y and x_t = t y + (1 - t) e, the network says what y is, and so how fast
to go there::

    v(x_t, t, d) = (y^ - x_t) / (1 - t)         y^ = c_skip(t) x_t + c_out(t) F(c_in(t) x_t, t, d | s, p, c)
    L = E (1 + a m) (|F - F*|^2 + b |D(F - F*)|^2)   F*: by which y^ is y (d = 0), or one step of 2d is two of d
    x <- x + d v(x, t, d)                        d in {1, 1/2, 1/4, 1/8}

D are differences between neighbours; b is 0 where only chance could say what they are, in another pose. t is the
logistic of a normal number, or 0; the coefficients: `pipeline.generators.flow_path`. Steps of d are those of the moving
average of F, which is also what is kept.

Told are a reference s, a pose p, a camera c; each is left out now and then. The reference is another image of the
person, and y the image (poses); or it is the image itself in the look of another camera, and y what changes (cameras,
another place): a step from there begins at s, and s keeps its detail. In some of the latter the person alone looks
otherwise, before a background by the right camera: so the network learns to make people fit in whom a synthesis cuts
out and puts before one (`pipeline.generators.backgrounds`). Without a reference somebody new comes out. A
place whose people nobody named is learned from by the second kind alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.annotation.canonical_poses import CanonicalPose, as_shares, fit_canonical_poses
from pipeline.common.settings import Found, faults
from pipeline.generators.backgrounds import Count, Known, pasted
from pipeline.generators.batches.pairs import identity_partners
from pipeline.generators.batches.references import Referenced
from pipeline.generators.flow_path import FlowPath, mixed, wide
from pipeline.generators.generation_choices import Background, FlowSteps
from pipeline.generators.networks.flow import ANOTHER, ITSELF, NOTHING, SPANS, FlowNetwork, start
from pipeline.generators.noise import photographic_noise
from pipeline.generators.recipes.base import Batch, Need, Recipe, RecipeSettings, Size, StepContext, Terms
from pipeline.training.camera_numbers import camera_numbers, camera_places
from pipeline.training.data import BatchSource, Camera, Columns, DomainData, needed
from pipeline.training.randomness import random_generator

_SPAN = {8: 1, 4: 2, 2: 3, 1: 4}
"""Number of a step's length (`pipeline.generators.networks.flow.SPANS`) by how many of them there are."""
_BLACK = -1.0
_PREVIEW_SEED = 500


class PersonFlowSettings(RecipeSettings):
    learning_rate: float = Field(default=1e-3, gt=0, description="Adam's step size (ours)")
    beta1: float = Field(default=0.9, ge=0, lt=1, description="Adam's first moment decay (Adam's own)")
    channels: int = Field(default=48, ge=8, le=1024, multiple_of=8, description="of the first level (ours)")
    flow_steps: FlowSteps = Field(default=4, description="evaluations of the network an image: 1, 2, 4 or 8")
    flow_start: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="time to begin at, with the source's own noised pixels; a multiple of 1/steps",
    )
    place_noise: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="share of the noise that goes into an image that is changed, not made (ours)",
    )
    guidance: float = Field(
        default=1.0, ge=0, le=10, description="weight of the conditions beyond 1 (classifier-free guidance); 1: none"
    )
    deviation: float = Field(
        default=0.33, gt=0, description="standard deviation of images (drawn people: 0.35; EDM: 0.5)"
    )
    time_mean: float = Field(default=-0.4, description="mean of the normal number behind t (ours)")
    time_deviation: float = Field(default=1.0, gt=0, description="its standard deviation (SD3, section 3.1)")
    noise_share: float = Field(
        default=0.25, ge=0, lt=1, description="how often t is 0, where short trainings learn most (ours)"
    )
    noise_slope: float = Field(
        default=1.25, ge=0, le=3, description="how fast the noise's amplitude falls with frequency; 0: white (ours)"
    )
    shortcut_share: float = Field(
        default=0.25, ge=0, lt=1, description="of a batch that learns longer steps (section 3.2)"
    )
    drop: float = Field(default=0.1, ge=0, lt=1, description="how often each condition is left out (Ho, Salimans 2022)")
    mask_weight: float = Field(default=1.0, ge=0, description="a: how much more a person's pixels count (ours)")
    detail_weight: float = Field(
        default=20.0,
        ge=0,
        description="b: of the error's differences between neighbours, where the image itself is the reference (ours)",
    )
    itself_share: float = Field(
        default=0.5, ge=0, le=1, description="of the images with a partner, how many are their own reference (ours)"
    )
    background: Background | None = Field(
        default=None,
        description="where people are whom another camera or place shows, and whose masks are known: asked: before a "
        "background of it; own: where they were; by default asked where backgrounds are kept",
    )
    backgrounds: int = Field(default=32, ge=0, le=10_000, description="most that are kept of each camera (ours)")
    background_counts: Found[tuple[Count, ...]] = Field(default=(), description="by camera: what a training found")
    background_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="of the images that are their own reference, how many learn to fit into a background (ours)",
    )
    teacher_decay: float = Field(
        default=0.999, ge=0, lt=1, description="of the moving average that teaches long steps and is kept"
    )
    cameras: tuple[Camera, ...] = Field(default=(), description="numbers of the cameras; by default those of the data")
    target_cameras: Found[tuple[Camera, ...]] = Field(
        default=(), description="those of the other place, if there is one"
    )
    poses: int = Field(default=8, ge=1, le=1000, description="canonical poses (PN-GAN, section 3.3)")
    canonical_poses: tuple[CanonicalPose, ...] = Field(
        default=(), description="17 points each, in shares of width and height; by default the centres of the data"
    )

    @model_validator(mode="after")
    def _begins_at_a_step(self) -> Self:
        if self.flow_start * self.flow_steps % 1:
            length = f"1/{self.flow_steps}, the length of a step"
            raise ValueError(f"--flow-start {self.flow_start:g} is no multiple of {length}: see --flow-steps")
        return self


class Told(NamedTuple):
    """What the network is told: ``source`` and ``skeleton`` (N, 3, H, W) in [-1, 1], ``reference`` and ``camera``
    (N,)."""

    source: Tensor
    reference: Tensor
    skeleton: Tensor
    camera: Tensor

    def without(self, left_out: Tensor, nowhere: int) -> Told:
        """The same with what is left out of each row; ``left_out`` (3, N) bool: reference, pose, camera."""
        source, pose, camera = left_out
        return Told(
            torch.where(source[:, None, None, None], 0.0, self.source),
            torch.where(source, NOTHING, self.reference),
            torch.where(pose[:, None, None, None], _BLACK, self.skeleton),
            torch.where(camera, nowhere, self.camera),
        )

    def first(self, rows: int) -> Told:
        """Of the first so many rows."""
        return Told(*(part[:rows] for part in self))


class PersonFlow(Recipe):
    name = "personflow"
    paper = "ours; Frans et al., ICLR 2025"
    settings_model: ClassVar[type[PersonFlowSettings]] = PersonFlowSettings
    settings: PersonFlowSettings
    roles = ("source",)
    optional_roles = ("target",)
    inputs: ClassVar[tuple[str, ...]] = ("source", "reference", "skeleton", "camera", "noise", "person", "seed")
    players: ClassVar[Mapping[str, tuple[str, ...]]] = {"network": ("network",)}
    exports: ClassVar[Mapping[str, str]] = {"generator": "average"}
    label_rule = "lsr"
    needs: frozenset[Need] = frozenset({"keypoints", "identities", "cameras", "masks"})
    before: ClassVar[Mapping[str, Any]] = {"backgrounds": 0, "background_share": 0.0}

    def __init__(self, settings: RecipeSettings | None = None) -> None:
        super().__init__(settings)
        self._known: Known | None = None

    def pastes(self, elsewhere: bool) -> bool:
        own = len(self.settings.cameras)
        counts = self.settings.background_counts[own:] if elsewhere else self.settings.background_counts[:own]
        return self.settings.background != "own" and any(counts)

    def needs_of(self, role: str, annotated: bool) -> frozenset[Need]:
        masks: frozenset[Need] = frozenset({"masks"} if annotated else ())
        return self.needs if role == "source" else masks

    def fitted(self, data: Mapping[str, DomainData]) -> Self:
        source, target = data["source"], data.get("target")
        known: dict[str, object] = {"cameras": camera_numbers(source)}
        known["target_cameras"] = () if target is None else camera_numbers(target)
        if not self.settings.canonical_poses:
            height, width = source.images.shape[1:3]
            points = needed(source.keypoints, "keypoints", self.name)
            known["canonical_poses"] = as_shares(fit_canonical_poses(points, height, width, self.settings.poses))
        backgrounds = Known.joined([Known.of_cameras(part, self.settings.backgrounds) for part in data.values()])
        known["background_counts"] = backgrounds.counts if any(backgrounds.counts) else ()
        if self.settings.background == "asked":
            _check_some(backgrounds.counts)
        made = type(self)(self.settings.model_copy(update=known))
        made._known = backgrounds
        return made

    def batches(self, data: Mapping[str, DomainData], size: Size, seed: int) -> BatchSource:
        settings, partners = self.settings, identity_partners(data["source"])
        cameras = [camera_places(data["source"], settings.cameras)]
        if "target" in data:
            cameras.append(len(settings.cameras) + camera_places(data["target"], settings.target_cameras))
            partners = partners + [np.empty(0, np.int64)] * len(data["target"])
        shares = settings.itself_share, settings.background_share * any(settings.background_counts)
        return Referenced(data, np.concatenate(cameras), partners, size, seed, *shares)

    def build(self, generator: torch.Generator, size: Size) -> nn.ModuleDict:
        network, average = self.build_generator(size), self.build_generator(size)
        start(network, generator)
        if self._known is not None and network.backgrounds is not None:
            self._known.filled_in(network.backgrounds)
        average.load_state_dict(network.state_dict())
        return nn.ModuleDict({"network": network, "average": average.requires_grad_(False)})

    def build_generator(self, size: Size) -> FlowNetwork:
        return FlowNetwork(size, self._conditions, self.settings.channels, self.settings.background_counts)

    @property
    def _path(self) -> FlowPath:
        return FlowPath(self.settings.deviation)

    @property
    def _conditions(self) -> int:
        """How many cameras there are in all; their number is that of no camera."""
        return len(self.settings.cameras) + len(self.settings.target_cameras)

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        settings, rng, target = self.settings, context.rng, batch["target"]
        self._follow(networks, context.step)
        rows = len(target)
        told = _told(batch).without(_uniform(rng, (3, rows), target) < settings.drop, self._conditions)
        image = self._inner(target, told)
        # The first rows learn longer steps: this share of them, over several steps where rows are few.
        before, after = (math.floor(settings.shortcut_share * rows * (context.step + k)) for k in (0, 1))
        learning = after - before
        time, span = self._moments(rng, rows, learning, target)
        size = target.shape[2], target.shape[3]
        noise = torch.from_numpy(photographic_noise(rng, rows, size, settings.noise_slope)).to(target.device)
        noisy = mixed(time, image, noise)
        wanted = self._path.wanted(time, image, noise)
        if learning:
            with torch.no_grad():
                length = 2.0 ** (span[:learning] - 4)
                parts = noisy[:learning], time[:learning], span[:learning], length, told.first(learning)
                wanted[:learning] = self._two_steps(_flow(networks["average"]), *parts)
        found = self._evaluate(_flow(networks["network"]), noisy, time, span, told)
        weight = 1 + settings.mask_weight * batch["mask"]
        each = self._squared(found.float() - wanted, weight, batch["known"])
        shortcut = torch.arange(rows, device=target.device) < learning
        terms = {"flow": each[~shortcut].sum() / rows}
        yield "network", terms | ({"shortcut": each[shortcut].sum() / rows} if learning else {})

    def _moments(self, rng: np.random.Generator, rows: int, learning: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """t and the number of d of each row; the first ``learning`` ones are at the start of some longer step."""
        settings = self.settings
        time = torch.sigmoid(settings.time_mean + settings.time_deviation * _normal(rng, (rows,), like))
        time = torch.where(_uniform(rng, (rows,), like) < settings.noise_share, 0.0, time)
        span = torch.zeros(rows, dtype=torch.int64, device=like.device)
        numbers = rng.integers(1, SPANS, learning)
        lengths = 2.0 ** (numbers - 4)
        starts = np.floor(rng.random(learning) / lengths) * lengths
        span[:learning] = torch.from_numpy(numbers).to(span.device)
        time[:learning] = torch.from_numpy(starts).to(time)
        return time, span

    def _squared(self, error: Tensor, weight: Tensor, sure: Tensor) -> Tensor:
        """(N,): mean squares of ``error``; and of what neighbours differ by in it, where it is ``sure`` (N, 1, H, W)
        what the finest detail should be."""
        down, right = error.diff(dim=2), error.diff(dim=3)
        fine = weight * sure
        detail = (fine[:, :, 1:] * down.square()).mean(dim=(1, 2, 3))
        detail = detail + (fine[:, :, :, 1:] * right.square()).mean(dim=(1, 2, 3))
        return (weight * error.square()).mean(dim=(1, 2, 3)) + self.settings.detail_weight * detail

    @torch.no_grad()
    def _follow(self, networks: nn.ModuleDict, step: int) -> None:
        """The average moves towards the network; it starts short, else the first weights would stay in it for long."""
        decay = min(self.settings.teacher_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(networks["average"].parameters()), list(networks["network"].parameters()), 1 - decay)

    def _two_steps(
        self, network: FlowNetwork, noisy: Tensor, time: Tensor, span: Tensor, length: Tensor, told: Told
    ) -> Tensor:
        """F for one step of ``length`` that leads as far as two of its half do."""
        half, shorter = length / 2, span - 1  # half of the shortest is told as 0: as fast as it goes now
        seen = _look(network, told.source)
        first = self._speed(network, noisy, time, shorter, told, seen)
        second = self._speed(network, noisy + wide(half) * first, time + half, shorter, told, seen)
        return self._path.led_to(noisy, time, noisy + wide(1 - time) * (first + second) / 2)

    def _speed(
        self, network: FlowNetwork, noisy: Tensor, time: Tensor, span: Tensor, told: Told, seen: list[Tensor]
    ) -> Tensor:
        """v (N, 3, H, W)."""
        return self._path.speed(noisy, time, self._evaluate(network, noisy, time, span, told, seen).float())

    def _guided(
        self, network: FlowNetwork, noisy: Tensor, time: Tensor, span: Tensor, told: Told, seen: list[Tensor]
    ) -> Tensor:
        """v, led further away from where it would go untold (Ho, Salimans 2022, equation 6)."""
        speed, weight = self._speed(network, noisy, time, span, told, seen), self.settings.guidance
        if weight == 1:
            return speed
        # What changes of an image means nothing without the image.
        told_of = [told.reference != ITSELF, *2 * [torch.ones_like(told.reference, dtype=torch.bool)]]
        untold = told.without(torch.stack(told_of), self._conditions)
        free = self._speed(network, noisy, time, span, untold, _look(network, untold.source))
        return free + weight * (speed - free)

    def _evaluate(
        self,
        network: FlowNetwork,
        noisy: Tensor,
        time: Tensor,
        span: Tensor,
        told: Told,
        seen: list[Tensor] | None = None,
    ) -> Tensor:
        """F (N, 3, H, W)."""
        dtype = next(network.parameters()).dtype
        seen = _look(network, told.source) if seen is None else seen
        source, skeleton = told.source.to(dtype), told.skeleton.to(dtype)
        shown = self._path.shown(noisy, time).to(dtype)
        made: Tensor = network(shown, time, span, source, told.reference, skeleton, told.camera, seen)
        return made

    def _inner(self, image: Tensor, told: Told) -> Tensor:
        """y of images: they themselves, or what changes."""
        return torch.where(wide(told.reference) == ITSELF, image - told.source, image)

    def _outer(self, inner: Tensor, told: Told) -> Tensor:
        """Images of y."""
        return torch.where(wide(told.reference) == ITSELF, told.source + inner, inner)

    def generate(self, generator: nn.Module, batch: Batch) -> Tensor:
        settings, network = self.settings, _flow(generator)
        source = self._placed(network, batch)
        told = Told(source, batch["reference"], batch["skeleton"].float(), batch["camera"])
        noise = batch["noise"].float().view_as(source)
        noise = torch.where(wide(told.reference) == ITSELF, settings.place_noise * noise, noise)
        rows, steps = len(source), settings.flow_steps
        moment = torch.full((rows,), settings.flow_start, device=source.device)
        noisy = mixed(moment, self._inner(source, told), noise) if settings.flow_start else noise
        span = torch.full((rows,), _SPAN[steps], device=source.device)
        seen = _look(network, source)
        for at in range(round(settings.flow_start * steps), steps):
            moment = torch.full((rows,), at / steps, device=source.device)
            noisy = noisy + self._guided(network, noisy, moment, span, told, seen) / steps
        return self._outer(noisy, told)

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
        """Without a source somebody new is made, with a skeleton the source's person in that pose, else the source is
        changed. A source that is changed goes to the other place, if there is one, to a camera by its row's ``seed``;
        else a camera that is not said is not told. Noise is the seed's too."""
        given = super().completed(columns, rows, size)
        kind = NOTHING if "source" not in given else ANOTHER if "skeleton" in given else ITSELF
        moved = kind == ITSELF and bool(self.settings.target_cameras)
        missing: dict[str, Callable[[], NDArray[Any]]] = {
            "source": lambda: np.full((rows, *size, 3), 127, np.uint8),
            "skeleton": lambda: np.zeros((rows, *size, 3), np.uint8),
            "reference": lambda: np.full(rows, kind, np.int64),
            "person": lambda: np.zeros((rows, *size), np.bool_),
            "camera": lambda: self._elsewhere(given["seed"]) if moved else np.full(rows, self._conditions, np.int64),
            "noise": lambda: np.stack([self.draw_noise(size, random_generator(int(one))) for one in given["seed"]]),
        }
        return given | {name: make() for name, make in missing.items() if name not in given}

    def camera_number(self, plan: Mapping[str, Any]) -> int:
        """The camera asked for; else, of another pose or somebody new, the image's own; else one of the other place's,
        by the row's seed."""
        cameras = self.settings.cameras
        changed = plan["image_sha256"] is not None and plan["pose_class"] is None and plan["pose_sha256"] is None
        if plan["target_camera"] is None and changed:
            return int(self._elsewhere(np.array([plan["seed"]]))[0])
        camera = plan["camera"] if plan["target_camera"] is None else plan["target_camera"]
        return cameras.index(camera) if camera in cameras else self._conditions

    def _elsewhere(self, seeds: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cameras of the other place."""
        return len(self.settings.cameras) + seeds % len(self.settings.target_cameras)

    def asked(self, generation: Mapping[str, Any]) -> Self:
        if generation.get("background") == "asked":
            _check_some(self.settings.background_counts)
        try:
            settings = type(self.settings).model_validate({**self.settings.model_dump(), **generation})
        except ValidationError as error:
            raise UserError(faults(error)) from None
        return type(self)(settings)

    def draw_noise(self, size: Size, rng: np.random.Generator) -> NDArray[np.float32]:
        """(3 H W,) float32: the noise of one image."""
        return photographic_noise(rng, 1, size, self.settings.noise_slope).reshape(-1)


def _check_some(backgrounds: Sequence[int]) -> None:
    if not any(backgrounds):
        raise UserError("--background asked: this flow keeps no backgrounds; train it with masks and --backgrounds 32")


def _flow(network: nn.Module) -> FlowNetwork:
    assert isinstance(network, FlowNetwork)
    return network


def _look(network: FlowNetwork, source: Tensor) -> list[Tensor]:
    return network.look(source.to(next(network.parameters()).dtype))


def _told(batch: Batch) -> Told:
    source = pasted(batch["source"], batch["mask"], batch["background"])
    return Told(source, batch["reference"], batch["skeleton"], batch["camera"])


def _normal(rng: np.random.Generator, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(like.device)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.from_numpy(rng.random(shape, dtype=np.float32)).to(like.device)
