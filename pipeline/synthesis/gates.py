"""Rows that are worth nothing are rejects: conditions on a row's own scores, looked at before it is written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import AfterValidator

from manifests.errors import UserError

SCORES = ("foreground_change", "foreground_fidelity", "background_change", "style_shift", "pose_error")
"""Those that a synthesis gives; all others come later, from `pipeline.scoring`."""
_CONDITION = re.compile(r"\s*(?:quality\.)?(\w+)\s*(<|>)\s*(\S+)\s*")


class Gate(NamedTuple):
    """What a row's score must not be."""

    score: str
    sign: str
    """``<`` or ``>``"""
    bound: float

    @classmethod
    def of(cls, text: str) -> Gate:
        """A condition as ``quality.style_shift < 0`` says it.

        Raises:
            UserError: it is none, or of a score that nobody gives before rows are written.
        """
        found = _CONDITION.fullmatch(text)
        try:
            gate = cls(found[1], found[2], float(found[3])) if found else None
        except ValueError:
            gate = None
        if gate is None or not math.isfinite(gate.bound):
            raise UserError(f"--reject-below {text!r} is no condition: write one as 'quality.style_shift < 0'")
        if gate.score not in SCORES:
            raise UserError(
                f"--reject-below {text!r}: rows have {', '.join(SCORES)} before they are written; what "
                "jobs/score_dataset.py finds is for jobs/choose_rows.py and --where"
            )
        return gate

    def __str__(self) -> str:
        return f"quality.{self.score} {self.sign} {self.bound:g}"

    def against(self, scores: Mapping[str, float | None]) -> str | None:
        """Why a row with these ``scores`` is rejected, None where it is not. What nobody knows is rejected; others as
        they will be stored, in single precision, so that a query of the rows agrees."""
        value = scores.get(self.score)
        if value is None:
            return f"its {self.score} is not known, and {self} is rejected"
        stored = float(np.float32(value))
        if stored < self.bound if self.sign == "<" else stored > self.bound:
            return f"its {self.score} is {stored:.4g}, and {self} is rejected"
        return None


def _canonical(conditions: list[str]) -> list[str]:
    return sorted({str(Gate.of(text)) for text in conditions})


Conditions = Annotated[list[str], AfterValidator(_canonical)]
"""Of `Gate.of`, in one spelling and order: two ways to say the same are one plan."""


def rejected_by(conditions: Sequence[str], scores: Mapping[str, float | None]) -> str | None:
    """Why the first of ``conditions`` rejects a row with these ``scores``; None where none does."""
    reasons = (Gate.of(text).against(scores) for text in conditions)
    return next((reason for reason in reasons if reason is not None), None)
