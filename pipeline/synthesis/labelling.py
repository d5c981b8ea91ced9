"""Label rules as a synthesis applies them: the recipe's own or the one asked for, with a teacher where it takes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from manifests.errors import UserError
from manifests.format import soft_labels
from manifests.format.schema import NEEDS_TEACHER, LabelRule
from manifests.format.soft_labels import ClassMap, LabelColumns
from pipeline.common.settings import Advanced, JobSettings

if TYPE_CHECKING:
    from pipeline.reid.model import ReidModel

NEEDS_IDENTITY: frozenset[LabelRule] = frozenset({"one_hot", "lsr"})
TOP_M = 10
"""Classes that a teacher's label lists by default; the rest share what is left."""


class LabelSettings(JobSettings):
    """How generated images are labelled."""

    group = "labels"
    label_rule: LabelRule | None = Field(None, description="label rule of the rows; by default the recipe's own")
    label_epsilon: Advanced[float] = Field(
        0.1, ge=0, le=1, description="epsilon of lsr (CamStyle, CVPR 2018, section 4.2)"
    )
    label_temperature: Advanced[float] = Field(
        1.0, gt=0, description="temperature of the teacher's softmax (teacher, mprl)"
    )
    label_top_m: Advanced[int | None] = Field(
        None, ge=1, description=f"classes listed; by default {TOP_M} for teacher, all for mprl (as published)"
    )
    teacher: str | None = Field(None, description="ReID classifier for the rules teacher and mprl: a name or a path")


class Labeller:
    """The label columns of generated images; a teacher is loaded once, on the worker's device."""

    def __init__(self, settings: LabelSettings, num_classes: int, device: str = "cpu", batch_size: int = 32) -> None:
        """``settings.label_rule`` is resolved; ``num_classes`` are those of the data set's class map."""
        self.settings, self.num_classes = settings, num_classes
        self._teacher = load_teacher(settings, device, batch_size)

    @property
    def looks(self) -> bool:
        """Whether a teacher looks at the images: else labels follow from the classes alone."""
        return self._teacher is not None

    def columns(self, hard_labels: ArrayLike, images: NDArray[np.uint8] | None = None) -> LabelColumns:
        """Label columns of N rows, from their classes (-1 for nobody in particular) and, where a teacher looks at them,
        images (N, H, W, 3).

        Raises:
            ValueError: nobody said by which rule, or said one that nothing here labels by.
            NotFiniteError: the teacher answers with what is not finite.
        """
        from pipeline.common.finite import naming

        settings = self.settings
        if settings.label_rule == "one_hot":
            return soft_labels.one_hot(hard_labels, self.num_classes)
        if settings.label_rule == "lsr":
            return soft_labels.lsr(hard_labels, self.num_classes, settings.label_epsilon)
        if settings.label_rule == "lsro":
            return soft_labels.lsro(np.size(hard_labels), self.num_classes, hard_labels)
        if self._teacher is None or images is None:
            raise ValueError("a label rule is needed: one_hot, lsr, lsro, teacher or mprl")
        with naming(f"--teacher {settings.teacher}"):
            probabilities = self._teacher.probabilities(images, settings.label_temperature)
        if settings.label_rule == "teacher":
            return soft_labels.teacher(probabilities, settings.label_top_m or TOP_M, hard_labels)
        if settings.label_rule == "mprl":
            return soft_labels.mprl(probabilities, settings.label_top_m, hard_labels)
        raise ValueError(f"nothing here labels by the rule {settings.label_rule!r}")


def load_teacher(settings: LabelSettings, device: str = "cpu", batch_size: int = 32) -> ReidModel | None:
    """The classifier that ``settings`` name, None where the rule takes none.

    Raises:
        UserError: none is named, or there is no such classifier.
    """
    rule = settings.label_rule
    if rule not in NEEDS_TEACHER:
        return None
    if settings.teacher is None:
        raise UserError(f"label rule {rule} asks a ReID classifier of the source's people: name it with --teacher")
    from pipeline.reid.model import load_reid

    return load_reid(settings.teacher, device, batch_size)


def check_label_rule(settings: LabelSettings, has_identities: bool, classes: ClassMap) -> str | None:
    """Whether the rule (resolved) can label these images; the SHA-256 of its teacher, None if it takes none.

    Raises:
        UserError: the rule needs an identity or a teacher that is not there, the teacher tells other people apart,
            or one is given that the rule would not ask.
    """
    rule = settings.label_rule
    if rule in NEEDS_IDENTITY and not has_identities:
        raise UserError(f"label rule {rule} needs identities, and these images show nobody: take lsro, teacher or mprl")
    if rule not in NEEDS_TEACHER and settings.teacher is not None:
        raise UserError(f"label rule {rule} asks no teacher: leave --teacher out, or add --label-rule teacher or mprl")
    model = load_teacher(settings)
    if model is None:
        return None
    if model.classes != classes:
        known = f"{len(model.classes)} people" if model.classes is not None else "no people"
        raise UserError(
            f"the teacher {settings.teacher} knows {known}, not the {len(classes)} of the source's splits: "
            "train it on the same people"
        )
    return model.sha256
