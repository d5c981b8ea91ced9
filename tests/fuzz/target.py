"""What is fuzzed: where the cases come from, what reads them, and which refusals are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis.strategies import SearchStrategy

from manifests.errors import UserError
from pipeline.common.images import ImageError

REFUSALS: tuple[type[BaseException], ...] = (UserError, ImageError)
"""How a reader says that it does not take what it was given."""


def check_line(error: BaseException) -> None:
    """A refusal is one line."""
    assert "\n" not in str(error), f"more than one line: {error}"


class Reader(NamedTuple):
    """A set-up target: ``cases`` to try one by one on ``read``, which raises what is no refusal, or `AssertionError`
    where it took what it should not have taken."""

    cases: SearchStrategy[Any]
    read: Callable[[Any], object]


class Target(NamedTuple):
    """One subject: its share of the time, and what sets it up in the process that works on it."""

    share: float
    set_up: Callable[[], Reader]
