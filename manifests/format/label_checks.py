"""What must hold of soft labels before anything is made of them: a stranger may have written them."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

MAX_CLASSES = 1 << 20
"""Above all that is known: the largest sets of people have some 200,000. A dense label of so many takes 4 MiB."""


def check_classes(classes: int) -> None:
    """What rows say of their number of classes is not a reason to ask for any amount of memory.

    Raises:
        ValueError: it is below 1 or above `MAX_CLASSES`.
    """
    if not 1 <= classes <= MAX_CLASSES:
        raise ValueError(f"labels over {classes} classes: from 1 to {MAX_CLASSES} are known here")


def check_values(index: NDArray[Any], value: NDArray[Any], rest: NDArray[Any], classes: int) -> None:
    """Look at the listed class numbers and values of any rows, and at what their other classes have.

    Raises:
        ValueError: a number is none of ``classes``, or a value is negative or not a number.
    """
    if index.size and not 0 <= index.min() <= index.max() < classes:
        raise ValueError(f"class numbers from {index.min()} to {index.max()} do not fit {classes} classes")
    for values in (value, rest):
        if values.size and not 0 <= values.min() <= values.max() < math.inf:  # NaN is neither
            raise ValueError(f"soft labels hold values from {values.min()} to {values.max()}")


def check_sum(total: float, classes: int) -> None:
    """Look at what one label over ``classes`` sums to.

    Raises:
        ValueError: it is not 1 within `sum_tolerance`.
    """
    if not abs(total - 1) <= sum_tolerance(classes):
        raise ValueError(f"a soft label sums to {total:.7g}, not to 1")


def sum_tolerance(classes: int) -> float:
    """How far from 1 a label of float32 values may sum: what rules may be off (1e-6), and the rounding of a pairwise
    sum of ``classes`` values (Higham, "The Accuracy of Floating Point Summation", SIAM J. Sci. Comput. 1993; numpy adds
    blocks of 128 by eights, hence the 16)."""
    return 1e-6 + (16 + math.log2(max(classes, 1))) * 2.0**-24
