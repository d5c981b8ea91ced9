"""An arm of the benchmark: one way to train, what a user would do; and the equally long training that it must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import ValidationError

from manifests.errors import UserError
from manifests.format.schema import NEEDS_TEACHER
from pipeline.common.digests import settings_sha256
from pipeline.common.settings import faults
from pipeline.reid.fusion import Fusion
from pipeline.reid.mixing import MixSettings
from pipeline.synthesis.plan_kinds import KINDS, PEOPLE, Kind

TrainOn = Literal[
    "real", "both", "synthetic", "two networks", "two real networks", "one network", "one real network", "target"
]
Drawn = Literal["cameras", "place", "poses", "newcomers"]


@dataclass(frozen=True)
class Gain:
    """Rank-1 and mAP of a paper without and with its images, in percent, and where it says so."""

    rank1: tuple[float, float]
    mean_ap: tuple[float, float] | None
    where: str


@dataclass(frozen=True)
class Arm:
    """One way to train. ``recipe`` is None where nothing is generated."""

    name: str
    recipe: str | None = None
    label: Mapping[str, Any] = field(default_factory=dict)
    """Label settings of the synthesis; by default the recipe's own rule."""
    train_on: TrainOn = "both"
    """``two networks``: one on real images, one on generated ones, their features fused (PN-GAN); ``two real
    networks``: the same without a generated image, an ensemble; ``one network``: nothing is trained, the baseline's
    sees the images and what was generated of them; ``one real network``: the images twice; ``target``: on what is
    unlabelled for all others."""
    fusion: Fusion = "max"
    """Of the features of an image and its generated poses (`pipeline.reid.fusion`), where any are fused."""
    pose_weight: float | None = None
    """What the mean of the poses counts in a fusion ``mean``; None for a plain mean of all."""
    mix: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the mix of real and synthetic images (`pipeline.reid.mixing`)."""
    makes: str | None = None
    """Name of the kind of images (`pipeline.synthesis.plan_kinds`), of a recipe of several."""
    drawn: Drawn | None = None
    """Which rows the world draws (`pipeline.experiments.benchmark.drawn`), where it is the world that makes them."""
    paper: Gain | None = None

    @property
    def made_by(self) -> str:
        """The recipe of its images; raises ValueError where nothing is generated."""
        if self.recipe is None:
            raise ValueError(f"the arm {self.name} generates no images")
        return self.recipe

    @property
    def kind(self) -> Kind | None:
        """Of its images; None where no recipe makes them."""
        return next((kind for kind in KINDS if self.recipe in kind.recipes and self.makes in (None, kind.name)), None)

    @property
    def shows_people(self) -> bool:
        """Whether each generated image is of somebody, not of nobody in particular."""
        return self.recipe is not None and self.kind is not PEOPLE and self.drawn != "newcomers"

    @property
    def taught(self) -> bool:
        """Whether the gap's baseline labels the images."""
        return self.label.get("label_rule") in NEEDS_TEACHER

    @property
    def paired(self) -> bool:
        """Whether it fuses two networks, the first of which is the baseline's."""
        return self.train_on in ("two networks", "two real networks")

    @property
    def trains(self) -> bool:
        """Whether it adds a network, and does not make do with the baseline's."""
        return self.train_on not in ("one network", "one real network")

    @property
    def fuses(self) -> bool:
        """Whether features are fused, the first of them by the baseline's network."""
        return self.paired or not self.trains

    @property
    def fuses_images(self) -> bool:
        """Whether queries and gallery are compared with what was generated of them."""
        return self.train_on in ("one network", "two networks")

    @property
    def weighs_rows(self) -> bool:
        """Whether its generated images are weighed by a score, so that they must have it."""
        return self.mix.get("weigh_by") is not None

    @property
    def synthetic_per_real(self) -> float:
        """How many images of nobody are made for each real one."""
        return float(self.mix.get("synthetic_per_real", 1.0))

    @property
    def images(self) -> str:
        """Name of its generated set: arms that differ in the mix alone share one."""
        asked = {"label": dict(self.label), "per_real": None if self.shows_people else self.synthetic_per_real}
        words = [self.made_by, self.makes, self.drawn, self.label.get("label_rule"), settings_sha256(asked)[:8]]
        return "-".join(filter(None, words))

    def varied(self, variant: str) -> Arm:
        """The same with other settings of the mix: ``name=value``, several with ``+`` between them; of a name without a
        value the default, whatever the arm says.

        Raises:
            UserError: there is no such setting, or together they say nothing.
        """
        pairs = dict(part.partition("=")[::2] for part in variant.split("+"))
        of_variant = f"--variants {variant} of {self.name}"
        if bare := [part for part in variant.split("+") if "=" not in part]:
            raise UserError(f"{of_variant}: {bare[0]} says no value; {bare[0]}= is the default")
        if unknown := sorted(
            name for name, value in pairs.items() if not value and name not in MixSettings.model_fields
        ):
            raise UserError(f"{of_variant}: a mix has no setting {unknown[0]!r}")
        asked = {**self.mix, **pairs}
        try:
            mix = MixSettings.model_validate({name: value for name, value in asked.items() if value != ""})
        except ValidationError as error:
            raise UserError(f"{of_variant}: {faults(error)}") from None
        varied = replace(self, name=f"{self.name}+{variant}", mix=mix.model_dump(mode="json", exclude_unset=True))
        if varied.weighs_rows and not self.shows_people:
            raise UserError(f"{of_variant}: its images show nobody in particular, so they have no reliability")
        return varied

    @property
    def against(self) -> Arm | None:
        """What it has to beat, with as many steps and no generated image; None for the baseline itself."""
        if self.name == BASELINE.name:
            return None
        if self.train_on == "two networks":
            return TWO_REAL
        # An image's own feature beside itself has the same mean, so that the mean's is the plain baseline.
        return ONE_REAL if self.train_on == "one network" and self.fusion == "max" else BASELINE


BASELINE = Arm("baseline", train_on="real")
ONE_REAL = Arm("one-real-network", train_on="one real network")
TWO_REAL = Arm("two-real-networks", train_on="two real networks")
