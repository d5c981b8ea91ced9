"""The settings of a mix of real and generated images, and which of them say nothing together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from manifests.errors import UserError
from pipeline.common.settings import Advanced, JobSettings

_RATIO = 3.0
"""CamStyle's M : N (Zhong et al., CVPR 2018, section 4.2)."""
_DYNAMIC_WEIGHT, _DYNAMIC_START = 0.1, 0.4
"""Of dynamic MpRL, in the code of Huang et al. (IEEE TIP 2019) for their dMpRL-II: after 20 of 50 epochs."""


class Stage(NamedTuple):
    """Some steps, up to ``end`` (not with it), and who takes part in them."""

    end: int
    real: bool
    generated: bool


class MixSettings(JobSettings):
    """How real and generated images share a training."""

    group = "mix"
    mix: Literal["shuffled", "two_means"] = Field(
        default="shuffled",
        description="shuffled: one pool of images (LSRO); two_means: M real and N generated images in each batch, the "
        "mean losses of either added (CamStyle)",
    )
    synthetic_per_real: float | None = Field(
        default=None, gt=0, description="shuffled: at most so many generated images for each real one; LSRO's best is 2"
    )
    real_to_synthetic: Advanced[float | None] = Field(
        default=None, gt=0, description=f"two_means: M / N, by default {_RATIO:g}"
    )
    synthetic_batch: Advanced[Literal["within", "additive"]] = Field(
        default="within",
        description="two_means: N generated images out of --batch-size, or on top of it (M is --batch-size then)",
    )
    synthetic_weight: Advanced[float | None] = Field(
        default=None,
        gt=0,
        description="what a generated image counts against a real one in the cross-entropy; 1 is as much in every mix. "
        "Real ones weigh what they weigh without it. By default as published: shuffled 1; two_means M / N, so that the "
        f"two means are added as they are; --nobody-labels mprl {_DYNAMIC_WEIGHT:g}",
    )
    weigh_by: Advanced[Literal["reliability"] | None] = Field(
        default=None,
        description="a score of each generated image (score_dataset.py) that it is weighed by besides, over their mean",
    )
    synthetic_from: Advanced[float | None] = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of the steps before generated images take part: until then whole batches of real ones; by "
        f"default 0, --nobody-labels mprl {_DYNAMIC_START:g}",
    )
    synthetic_until: Advanced[float] = Field(
        default=1.0, gt=0, le=1, description="share of the steps after which whole batches are real ones: fine-tuning"
    )
    real_from: Advanced[float] = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of the steps before which whole batches are generated images; with --synthetic-until at the "
        "same share two stages: trained on generated images, fine-tuned on real ones",
    )
    synthetic_norm: Advanced[Literal["shared", "apart"]] = Field(
        default="shared",
        description="two_means: batch norms for all images, or own ones, in training, for generated images (AdvProp)",
    )
    nobody_labels: Advanced[Literal["own", "mprl"]] = Field(
        default="own",
        description="labels of generated images of nobody: own: their rows'; mprl: ranks of the probabilities that the "
        "network gives in this very step (dynamic MpRL)",
    )

    @property
    def ratio(self) -> float:
        """M / N of two means."""
        return _RATIO if self.real_to_synthetic is None else self.real_to_synthetic

    @property
    def weight(self) -> float | None:
        """Of a generated image against a real one; None where the mix says it."""
        dynamic = self.synthetic_weight is None and self.nobody_labels == "mprl"
        return _DYNAMIC_WEIGHT if dynamic else self.synthetic_weight

    @property
    def start(self) -> float:
        """Share of the steps before generated images take part."""
        if self.synthetic_from is not None:
            return self.synthetic_from
        return _DYNAMIC_START if self.nobody_labels == "mprl" else 0.0

    @property
    def staged(self) -> bool:
        """Whether not all images take part in all steps."""
        return (self.real_from, self.start, self.synthetic_until) != (0.0, 0.0, 1.0)

    @property
    def of_both(self) -> bool:
        """Whether something is said of steps with either kind of images."""
        return self.mix == "two_means" or self.synthetic_weight is not None

    def stages(self, steps: int) -> list[Stage]:
        """A training of ``steps`` steps in stages with the same kinds of images; shares are rounded to steps."""
        real, start, until = (round(share * steps) for share in (self.real_from, self.start, self.synthetic_until))
        ends = sorted({real, start, until, steps} - {0})
        return [Stage(end, end > real, start < end <= until) for end in ends]

    def described(self) -> dict[str, Any]:
        """All settings, with the numbers that stand for what was not given."""
        chosen = {"real_to_synthetic": self.ratio, "synthetic_weight": self.weight, "synthetic_from": self.start}
        return self.model_dump() | chosen

    @model_validator(mode="after")
    def _no_setting_says_nothing(self) -> MixSettings:
        fault = next(chain(self._of_another_mix(), self._of_no_step()), None)
        if fault is not None:
            raise UserError(fault)
        return self

    def _of_another_mix(self) -> Iterator[str]:
        if self.mix == "two_means":
            if self.synthetic_per_real is not None:
                yield "--synthetic-per-real belongs to --mix shuffled: two_means takes --real-to-synthetic"
            return
        if self.real_to_synthetic is not None:
            yield "--real-to-synthetic belongs to --mix two_means: shuffled takes --synthetic-per-real"
        if self.synthetic_batch == "additive":
            yield "--synthetic-batch additive belongs to --mix two_means, which draws either kind for itself"
        if self.synthetic_norm == "apart":
            yield "--synthetic-norm apart belongs to --mix two_means, whose batches hold enough of either kind"

    def _of_no_step(self) -> Iterator[str]:
        if self.nobody_labels == "mprl" and self.real_from:
            yield "--nobody-labels mprl asks the network who it sees: leave --real-from out, so that it knows somebody"
        if self.start >= self.synthetic_until:
            yield f"--synthetic-from {self.start:g} is not before --synthetic-until {self.synthetic_until:g}"
        if self.real_from and self.start:
            yield f"--real-from {self.real_from:g} and --synthetic-from {self.start:g} leave nobody for the first step"
        if self.real_from > self.synthetic_until:
            yield (
                f"--real-from {self.real_from:g} is after --synthetic-until {self.synthetic_until:g}: nobody would be "
                "left in between"
            )
        if self.real_from >= self.synthetic_until and self.of_both:
            yield (
                f"--real-from {self.real_from:g} and --synthetic-until {self.synthetic_until:g} never train on both "
                "kinds at once: leave --mix two_means and --synthetic-weight out"
            )
