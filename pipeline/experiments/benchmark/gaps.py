"""The table of the benchmark: the gaps that recipes are meant to close, and the arms that are tried on each.

An arm is what a user would do: train a generator on the gap's images, synthesize, train a ReID model on real and
synthetic images as the paper mixes them, measure. All arms of a gap, the baseline too, train for as many steps. Beside
each stands what the paper gained on its own data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from pipeline.common.known import check_known
from pipeline.experiments.benchmark.arms import BASELINE, ONE_REAL, TWO_REAL, Arm, Gain
from pipeline.sources.toyworld import DomainName

MARKET: DomainName = "market-like"
DUKE: DomainName = "duke-like"
Part = Literal["train", "validation", "test"]


class ImageSet(NamedTuple):
    """Images of the world: of whom, by which cameras, how many. Gaps that use the same ones share them."""

    domain: DomainName
    part: Part
    """The people who are not for training are split in two by identity: settings are chosen on ``validation``, and
    what is reported comes from ``test``."""
    people: int | None = None
    """People, None for all."""
    images: int | None = None
    """Images of each person, None for all."""
    cameras: tuple[int, ...] | None = None
    """None for all."""

    @property
    def name(self) -> str:
        """Of its folder."""
        words: list[str] = [self.domain, self.part]
        words += [f"{self.people}-people"] if self.people else []
        words += [f"{self.images}-images"] if self.images else []
        words += [f"cameras-{'-'.join(map(str, self.cameras))}"] if self.cameras else []
        return "-".join(words)


@dataclass(frozen=True)
class Gap:
    """A lack of data: what of the training people's images is given, and where the ReID model is measured."""

    name: str
    title: str
    arms: tuple[Arm, ...]
    measured_on: DomainName = MARKET
    """The domain whose queries and gallery are used."""
    people: int | None = None
    """Training people, None for all."""
    images: int | None = None
    """Images of each training person, None for all."""
    cameras: tuple[int, ...] | None = None
    """Cameras of training and measuring, None for all."""
    longer: float = 1.0
    """Times as many ReID steps as the real images alone would ask for: generated ones take up steps too."""
    reid: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the learner that all arms of the gap share."""
    generators: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Settings of recipes, over those that make them small enough (`pipeline.experiments.comparison.systems`)."""

    @property
    def sets(self) -> dict[str, ImageSet]:
        """By what they are for: ``train``, ``validation``, ``test``; ``unlabelled``, images of the place that is
        measured in, of whoever; and ``target``, the same, where generators learn from it."""
        train = ImageSet(MARKET, "train", self.people, self.images, self.cameras)
        place = ImageSet(self.measured_on, "train", cameras=self.cameras)
        sets = {"train": train, "unlabelled": place}
        sets |= {part: place._replace(part=part) for part in ("validation", "test")}
        # As many people as are trained on: else the ceiling, the target's own labels, would stand on more.
        return sets | ({"target": place._replace(people=self.people)} if self.measured_on != MARKET else {})

    @property
    def aim(self) -> str:
        """What a recipe of several kinds is trained for here, by the kind's name."""
        return self.name if self.name in ("domains", "poses") else "cameras"

    @property
    def baselines(self) -> tuple[Arm, ...]:
        """What the arms are held against; the first also recognises people, and teaches."""
        found = [BASELINE]
        # Beside every fusion stand one network and two of them without a generated image: a gain over one alone may be
        # that of an ensemble.
        found += [ONE_REAL, TWO_REAL] if any(arm.fuses_images for arm in self.arms) else []
        found += [arm.against for arm in self.arms if arm.against is not None]
        return tuple({arm.name: arm for arm in found}.values())


# Twice as many generated as real images was best (Zheng et al., ICCV 2017, table 3).
_TWO_TO_ONE = {"mix": "shuffled", "synthetic_per_real": 2.0}
_CAMSTYLE = {"mix": "two_means", "real_to_synthetic": 3.0}
# A label without doubt from a softmax: the class that the teacher finds likeliest.
_PSEUDO = {"label_rule": "teacher", "label_temperature": 0.01, "label_top_m": 1}

_SMOOTH = {"label_rule": "lsr"}
# Beside CamStyle's: a network for every gap, what a generator of camera styles has to beat, and what it cannot.
_AROUND_CAMERAS = (
    Arm("personflow", "personflow", _SMOOTH, mix=_CAMSTYLE, makes="cameras"),
    Arm("reinhard", "reinhard_cameras", _SMOOTH, mix=_CAMSTYLE),
    Arm("colour-jitter", "colour_jitter_cameras", _SMOOTH, mix=_CAMSTYLE),
    Arm("pasted", "pasted_cameras", _SMOOTH, mix=_CAMSTYLE),
    Arm("drawn-cameras", "toyworld", _SMOOTH, mix=_CAMSTYLE, drawn="cameras"),
)

# In trainings as short as these people stay sharp only where a skip lets detail pass.
_SKIP = {"skip": True, "norm": "instance"}
# People before backgrounds of the other place, whose images are annotated too.
_BEFORE = {"backgrounds": 32, "background_share": 1.0}

FEW_IMAGES = Gap(
    "few-images",
    "few images",
    (
        Arm("gan_lsro", "gan_lsro", mix=_TWO_TO_ONE, paper=Gain((73.69, 78.06), (51.48, 56.23), "Market, table 3")),
        Arm("gan-pseudo-labels", "gan_lsro", _PSEUDO, mix=_TWO_TO_ONE),
        Arm(
            "gan-mprl",
            "gan_lsro",
            {"label_rule": "mprl"},
            mix=_TWO_TO_ONE,
            paper=Gain((73.69, 80.37), (51.48, 58.59), "MpRL on Market, over the baseline of LSRO"),
        ),
        Arm("gan-dynamic-mprl", "gan_lsro", mix={**_TWO_TO_ONE, "nobody_labels": "mprl"}),
        Arm("cgan", "cgan", mix=_TWO_TO_ONE),
        Arm("drawn-newcomers", "toyworld", {"label_rule": "lsro"}, mix=_TWO_TO_ONE, drawn="newcomers"),
        Arm("camstyle_multidomain", "camstyle_multidomain", _SMOOTH, mix=_CAMSTYLE),
        *_AROUND_CAMERAS,
    ),
    people=60,
    longer=3.0,  # each real image is seen as often beside two generated ones as without them
)
_CAMSTYLE_ARMS = (
    Arm("camstyle", "camstyle", _SMOOTH, mix=_CAMSTYLE),
    Arm("camstyle-one-hot", "camstyle", {"label_rule": "one_hot"}, mix=_CAMSTYLE),
)
TWO_CAMERAS = Gap(
    "two-cameras",
    "two cameras",
    (
        replace(_CAMSTYLE_ARMS[0], paper=Gain((43.2, 64.1), None, "Market with two cameras")),
        _CAMSTYLE_ARMS[1],
        Arm("camstyle_multidomain", "camstyle_multidomain", _SMOOTH, mix=_CAMSTYLE),
        *_AROUND_CAMERAS,
    ),
    cameras=(1, 2),
    longer=4 / 3,  # one generated image beside three real ones
    generators={"camstyle": _SKIP},
)
# All pairs of the six cameras would take two and a half times as long.
FOUR_CAMERAS = Gap(
    "four-cameras",
    "four cameras",
    (
        replace(_CAMSTYLE_ARMS[0], paper=Gain((85.66, 88.12), (65.87, 68.72), "Market, all six cameras")),
        replace(_CAMSTYLE_ARMS[1], paper=Gain((85.66, 86.31), (65.87, 66.02), "Market, all six cameras")),
        *_AROUND_CAMERAS,
    ),
    cameras=(1, 2, 3, 4),
    longer=4 / 3,
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
        Arm("personflow", "personflow", train_on="synthetic", makes="domains"),
        Arm("pasted", "pasted", train_on="synthetic"),
        Arm("reinhard", "reinhard", train_on="synthetic"),
        Arm("colour-jitter", "colour_jitter", train_on="synthetic"),
        Arm("drawn-place", "toyworld", _SMOOTH, train_on="synthetic", drawn="place"),
        Arm("target-labels", train_on="target"),
    ),
    measured_on=DUKE,
    reid=_TRANSFER,
    generators={**dict.fromkeys(("cyclegan", "ptgan", "spgan"), _SKIP), "personflow": _BEFORE},
)
# Of 0.25, 0.5, 1, 2 and a plain mean (8), what served PN-GAN's poses most on validation people: poses of which few show
# their person are a hint, no more.
_LIGHTLY: dict[str, Any] = {"train_on": "one network", "fusion": "mean", "pose_weight": 0.25}
# By the baseline's network alone, images that keep their person: of 0.25, 0.5, 1, 2 and the plain mean, what served
# validation people of `part_warp` most.
_TWICE: dict[str, Any] = {"train_on": "one network", "fusion": "mean", "pose_weight": 2.0}
POSES = Gap(
    "poses",
    "the same people in other poses",
    (
        Arm("pngan", "pngan", train_on="two networks"),
        Arm("pngan-one-network", "pngan", train_on="one network"),
        Arm("pngan-mean", "pngan", train_on="one network", fusion="mean"),
        Arm("pngan-lightly", "pngan", **_LIGHTLY),
        Arm("pngan-mixed", "pngan", mix=_CAMSTYLE),
        Arm("personflow", "personflow", train_on="two networks", makes="poses"),
        Arm("personflow-one-network", "personflow", train_on="one network", makes="poses"),
        Arm("personflow-mean", "personflow", **_TWICE, makes="poses"),
        Arm("personflow-mixed", "personflow", mix=_CAMSTYLE, makes="poses"),
        Arm("part-warp", "part_warp", train_on="two networks"),
        Arm("part-warp-one-network", "part_warp", train_on="one network"),
        Arm("part-warp-mean", "part_warp", **_TWICE),
        Arm("part-warp-mixed", "part_warp", mix=_CAMSTYLE),
        Arm("drawn-poses", "toyworld", _SMOOTH, train_on="two networks", drawn="poses"),
        Arm("drawn-poses-one-network", "toyworld", _SMOOTH, train_on="one network", drawn="poses"),
        Arm("drawn-poses-mean", "toyworld", _SMOOTH, train_on="one network", drawn="poses", fusion="mean"),
        Arm("drawn-poses-lightly", "toyworld", _SMOOTH, **_LIGHTLY, drawn="poses"),
        Arm("drawn-poses-mixed", "toyworld", _SMOOTH, mix=_CAMSTYLE, drawn="poses"),
    ),
    longer=2.0,  # eight generated images stand for each real one
)
GAPS: dict[str, Gap] = {gap.name: gap for gap in (FEW_IMAGES, TWO_CAMERAS, FOUR_CAMERAS, DOMAINS, POSES)}


def find_gaps(
    names: Sequence[str], arms: Sequence[str] = (), variants: Sequence[str] = (), people: int | None = None
) -> list[Gap]:
    """The gaps of these names, in the table's order, with the arms of these names (all for no names), each also in
    these ``variants`` (`Arm.varied`), and trained on at most so many ``people``.

    Raises:
        UserError: there is no such gap, no such arm in these gaps, or no such setting.
    """
    check_known("gap", names, GAPS)
    gaps = [gap for name, gap in GAPS.items() if not names or name in names]
    check_known("arm", arms, dict.fromkeys(arm.name for gap in gaps for arm in gap.arms))
    chosen = [replace(gap, arms=tuple(arm for arm in gap.arms if not arms or arm.name in arms)) for gap in gaps]
    limits = {gap.name: min(filter(None, (gap.people, people)), default=None) for gap in chosen}
    return [
        replace(gap, arms=_with_variants(gap.arms, variants), people=limits[gap.name]) for gap in chosen if gap.arms
    ]


def _with_variants(arms: Sequence[Arm], variants: Sequence[str]) -> tuple[Arm, ...]:
    mixed = [arm for arm in arms if arm.train_on == "both"]
    return (*arms, *(arm.varied(variant) for arm in mixed for variant in variants))
