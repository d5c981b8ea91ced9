"""The table of the benchmark: the gaps that recipes are meant to close, and the arms that are tried on each.

An arm is what a user would do: train a generator on the gap's images, synthesize, train a ReID model on real and
synthetic images as the paper mixes them, measure. Beside each stands what the paper gained on its own data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from manifests.errors import UserError
from manifests.format.schema import NEEDS_TEACHER
from pipeline.synthesis.kinds import PEOPLE

BASELINE = "baseline"
MARKET, DUKE = "market-like", "duke-like"
TrainOn = Literal["real", "both", "synthetic", "two networks"]


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
    mix: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the mix of real and synthetic images (`pipeline.reid.mixing`)."""
    longer: float = 1.0
    """Times as many ReID steps as its images ask for."""
    paper: Gain | None = None

    @property
    def made_by(self) -> str:
        """The recipe of its images; raises ValueError where nothing is generated."""
        if self.recipe is None:
            raise ValueError(f"the arm {self.name} generates no images")
        return self.recipe

    @property
    def shows_people(self) -> bool:
        """Whether each generated image is of somebody, not of nobody in particular."""
        return self.recipe is not None and self.recipe not in PEOPLE.recipes

    @property
    def taught(self) -> bool:
        """Whether the gap's baseline labels the images."""
        return self.label.get("label_rule") in NEEDS_TEACHER


@dataclass(frozen=True)
class Gap:
    """A lack of data: what of the training people's images is given, and where the ReID model is measured."""

    name: str
    title: str
    arms: tuple[Arm, ...]
    measured_on: str = MARKET
    """The domain whose queries and gallery are used."""
    people: int | None = None
    """Training people, None for all."""
    images: int | None = None
    """Images of each training person, None for all."""
    cameras: tuple[int, ...] | None = None
    """Cameras of training and measuring, None for all."""
    needs: frozenset[str] = frozenset()
    """``target``: the other domain's images, without their labels."""
    reid: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the learner that all arms of the gap share."""
    generators: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of recipes, over those that make them small enough (`pipeline.experiments.comparison.systems`)."""

    @property
    def baseline(self) -> Arm:
        return Arm(BASELINE, train_on="real")


# Twice as many generated as real images was best (Zheng et al., ICCV 2017, table 3).
_TWO_TO_ONE = {"mix": "shuffled", "synthetic_per_real": 2.0}
_CAMSTYLE = {"mix": "two_means", "real_to_synthetic": 3.0}
# A label without doubt from a softmax: the class that the teacher finds likeliest.
_PSEUDO = {"label_rule": "teacher", "label_temperature": 0.01, "label_top_m": 1}

# In trainings as short as these people stay sharp only where a skip lets detail pass.
_SKIP = {"skip": True, "norm": "instance"}

FEW_IMAGES = Gap(
    "few-images",
    "few images",
    (
        Arm("gan_lsro", "gan_lsro", mix=_TWO_TO_ONE, paper=Gain((73.69, 78.06), (51.48, 56.23), "Market, table 3")),
        # Three times as many images ask for three times as many steps: what those alone bring.
        Arm("baseline, as long", train_on="real", longer=3.0),
        Arm("gan, pseudo-labels", "gan_lsro", _PSEUDO, mix=_TWO_TO_ONE),
        Arm(
            "gan, mprl",
            "gan_lsro",
            {"label_rule": "mprl"},
            mix=_TWO_TO_ONE,
            paper=Gain((73.69, 80.37), (51.48, 58.59), "MpRL on Market, over the baseline of LSRO"),
        ),
        Arm("cgan", "cgan", mix=_TWO_TO_ONE),
    ),
    people=60,
)
_CAMSTYLE_ARMS = (
    Arm("camstyle", "camstyle", {"label_rule": "lsr"}, mix=_CAMSTYLE),
    Arm("camstyle, one-hot", "camstyle", {"label_rule": "one_hot"}, mix=_CAMSTYLE),
)
TWO_CAMERAS = Gap(
    "two-cameras",
    "two cameras",
    (
        replace(_CAMSTYLE_ARMS[0], paper=Gain((43.2, 64.1), None, "Market with two cameras")),
        _CAMSTYLE_ARMS[1],
        Arm("camstyle_multidomain", "camstyle_multidomain", {"label_rule": "lsr"}, mix=_CAMSTYLE),
    ),
    cameras=(1, 2),
    generators={"camstyle": _SKIP},
)
# All pairs of the six cameras would take two and a half times as long.
FOUR_CAMERAS = Gap(
    "four-cameras",
    "four cameras",
    (
        replace(_CAMSTYLE_ARMS[0], paper=Gain((85.66, 88.12), (65.87, 68.72), "Market, all six cameras")),
        replace(_CAMSTYLE_ARMS[1], paper=Gain((85.66, 86.31), (65.87, 66.02), "Market, all six cameras")),
    ),
    cameras=(1, 2, 3, 4),
    generators={"camstyle": _SKIP},
)
# Random erasing helps inside a domain and hurts beyond it (Luo et al., CVPR workshops 2019, section 4.3).
_TRANSFER = {"erasing": 0.0}
DOMAINS = Gap(
    "domains",
    "direct transfer to another place",
    (
        Arm(
            "cyclegan",
            "cyclegan",
            train_on="synthetic",
            paper=Gain((33.1, 38.1), (16.7, 19.6), "Market to Duke, in SPGAN's table 2"),
        ),
        Arm("ptgan", "ptgan", train_on="synthetic"),
        Arm("spgan", "spgan", train_on="synthetic", paper=Gain((33.1, 41.1), (16.7, 22.3), "Market to Duke, table 2")),
    ),
    measured_on=DUKE,
    needs=frozenset({"target"}),
    reid=_TRANSFER,
    generators=dict.fromkeys(("cyclegan", "ptgan", "spgan"), _SKIP),
)
POSES = Gap(
    "poses",
    "the same people in other poses",
    (
        # Eight generated images stand for each real one.
        Arm("pngan", "pngan", train_on="two networks", longer=3.0),
        Arm("pngan, mixed", "pngan", mix=_CAMSTYLE),
    ),
)
GAPS: dict[str, Gap] = {gap.name: gap for gap in (FEW_IMAGES, TWO_CAMERAS, FOUR_CAMERAS, DOMAINS, POSES)}


def find_gaps(names: list[str]) -> list[Gap]:
    """The gaps of these names, in the table's order; all for no names.

    Raises:
        UserError: there is no such gap.
    """
    unknown = sorted(set(names) - set(GAPS))
    if unknown:
        raise UserError(f"unknown gap {unknown[0]!r}; known: {', '.join(GAPS)}")
    return [gap for name, gap in GAPS.items() if not names or name in names]
