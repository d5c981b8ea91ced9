"""Soft labels: label rules, their compact form on disk, and dense rows for training.

A label is a distribution ``q`` over ``K`` classes. On disk it is a short list of ``(idx, val)`` and one value
``rest`` that every class not listed has, so a million labels take megabytes where dense rows take gigabytes.
Each rule returns the six label columns of ``N`` synthetic rows; `expand` turns them into ``(N, K)``.

Rules: one-hot and LSR (label smoothing; Zhong et al., CamStyle, CVPR 2018, section 3.3), LSRO (Zheng et al.,
ICCV 2017, section 3.2), a teacher's probabilities, and MpRL (Huang et al., "Multi-pseudo regularized label
for generated data in person re-identification", IEEE TIP 2018, the static form).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from manifests.common.json_text import json_text
from manifests.common.strict_json import parse_json
from manifests.format.label_checks import check_classes, check_sum, check_values
from manifests.format.schema import SOFT_LABEL

LabelColumns = dict[str, Any]
"""Arrow arrays by the names of the six label columns of `manifests.format.schema.SYNTHETIC_SCHEMA`."""

NO_LABEL = -1
_LONG_LIST = 64
"""Listed classes a row, beyond which loading scipy pays."""
_ROWS_AT_A_TIME = 1024
"""Dense rows that are filled together, so that what lies between is small beside the result."""


def one_hot(hard_labels: ArrayLike, num_classes: int) -> LabelColumns:
    """``q(k) = 1`` at the hard label ``y``, 0 elsewhere.

    Raises:
        ValueError: a hard label is not in ``[0, num_classes)``.
    """
    labels = _known_labels(hard_labels, num_classes)
    return _columns("one_hot", labels, num_classes, labels[:, None], np.ones((len(labels), 1)), 0.0)


def lsr(hard_labels: ArrayLike, num_classes: int, epsilon: float = 0.1) -> LabelColumns:
    """``q(y) = 1 - epsilon + epsilon / K``, ``q(k) = epsilon / K`` elsewhere; ``epsilon`` in [0, 1].

    Raises:
        ValueError: a hard label is not in ``[0, num_classes)``, or ``epsilon`` is outside of [0, 1].
    """
    if not 0.0 <= epsilon <= 1.0:
        raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}")
    labels = _known_labels(hard_labels, num_classes)
    rest = epsilon / num_classes
    top = np.full((len(labels), 1), 1.0 - epsilon + rest)
    return _columns("lsr", labels, num_classes, labels[:, None], top, rest, epsilon)


def lsro(rows: int, num_classes: int, hard_labels: ArrayLike | None = None) -> LabelColumns:
    """``q(k) = 1 / K`` for ``rows`` images that show nobody in particular; ``hard_labels`` default to -1."""
    labels = _optional_labels(hard_labels, rows, num_classes)
    nothing = np.empty((rows, 0))
    return _columns("lsro", labels, num_classes, nothing.astype(np.int32), nothing, 1.0 / num_classes)


def teacher(probabilities: ArrayLike, top_m: int = 10, hard_labels: ArrayLike | None = None) -> LabelColumns:
    """A classifier's probabilities ``(N, K)``: the ``top_m`` largest kept, the rest spread evenly.

    Rows are normalised first; ties go to the lower class number. ``hard_labels`` defaults to -1.

    Raises:
        ValueError: a probability is negative or not finite, a row is all zero, or ``top_m`` is below 1.
    """
    values, order = _ranked(probabilities, top_m)
    rows, classes = values.shape
    top = np.take_along_axis(values, order, axis=1)
    unlisted = classes - top.shape[1]
    rest = np.maximum(1.0 - top.sum(axis=1), 0.0) / unlisted if unlisted else np.zeros(rows)
    return _columns("teacher", _optional_labels(hard_labels, rows, classes), classes, order, top, rest)


def mprl(probabilities: ArrayLike, top_m: int | None = None, hard_labels: ArrayLike | None = None) -> LabelColumns:
    """Weights by rank: ``q(k) = r_k / sum r``, ``r_k`` being ``K`` for the likeliest class, 1 for the least.

    With ``top_m`` only the likeliest classes keep their rank and the others get 0; without it all ``K`` are
    listed. Ties rank the lower class number higher.

    Raises:
        ValueError: as for `teacher`.
    """
    classes = np.shape(probabilities)[-1]
    values, order = _ranked(probabilities, classes if top_m is None else top_m)
    rows, kept = order.shape
    top = np.broadcast_to(rank_values(classes, kept), (rows, kept))
    return _columns("mprl", _optional_labels(hard_labels, rows, classes), values.shape[1], order, top, 0.0)


def rank_values(num_classes: int, kept: int | None = None) -> NDArray[np.float64]:
    """What `mprl` gives to the ``kept`` likeliest classes (by default all), likeliest first; they sum to 1."""
    ranks = num_classes - np.arange(num_classes if kept is None else kept, dtype=np.float64)
    values: NDArray[np.float64] = ranks / ranks.sum()
    return values


def expand(
    columns: pa.Table | pa.RecordBatch | Mapping[str, Any], num_classes: int | None = None
) -> NDArray[np.float32]:
    """Dense labels ``(N, K)`` float32 of rows in compact form; each sums to 1 within `label_checks.sum_tolerance`.

    Raises:
        ValueError: the rows were labelled over several numbers of classes, or another than ``num_classes``, or more
            than `label_checks.MAX_CLASSES`; a class number is out of range; a value is negative or not finite; a row
            does not sum to 1, or lists a class twice.

    Example:
        >>> from manifests import expand, open_dataset
        >>> rows = open_dataset("runs/synthetic").read(["soft_label", "soft_label_rest", "num_classes"])
        >>> labels = expand(rows)
        >>> labels.shape, labels.argmax(axis=1).tolist()
        ((6, 2), [0, 0, 0, 1, 1, 1])
    """
    classes = _common_classes(columns, num_classes)
    check_classes(classes)
    dense = _expanded(_array(columns["soft_label"]), _numpy(columns["soft_label_rest"]), classes)
    totals = dense.sum(axis=1)
    if len(totals):
        check_sum(float(totals[np.abs(totals - 1).argmax()]), classes)  # NaN counts as the largest
    return dense


def _expanded(soft_label: Any, rest: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    entries = soft_label.flatten()
    index, value = _numpy(entries.field("idx")), _numpy(entries.field("val"))
    check_values(index, value, rest, classes)
    starts = np.zeros(len(rest) + 1, np.int32 if len(index) <= np.iinfo(np.int32).max else np.int64)
    np.cumsum(_numpy(soft_label.value_lengths()), out=starts[1:])
    if len(index) > _LONG_LIST * len(rest) and not rest.any():
        return _sparse(index, value, starts, classes)
    dense = np.empty((len(soft_label), classes), np.float32)
    for first in range(0, len(dense), _ROWS_AT_A_TIME):
        part = dense[first : first + _ROWS_AT_A_TIME]
        part[:] = rest[first : first + len(part), None]
        bounds = starts[first : first + len(part) + 1]
        places = np.repeat(np.arange(len(part)) * classes, np.diff(bounds)) + index[bounds[0] : bounds[-1]]
        part.reshape(-1)[places] = value[bounds[0] : bounds[-1]]
    return dense


def _sparse(
    index: NDArray[np.int32], value: NDArray[np.float32], starts: NDArray[Any], classes: int
) -> NDArray[np.float32]:
    """Labels that are 0 where nothing is listed are a sparse matrix: what makes MpRL's long lists dense fast enough."""
    from scipy.sparse import csr_array  # takes long to import

    dense: NDArray[np.float32] = csr_array((value, index, starts), shape=(len(starts) - 1, classes)).toarray()
    return dense


@dataclass(frozen=True)
class ClassMap:
    """Identity -> class number, its place in ``identities``.

    A place that holds None keeps its number and has no name here. In a data set's map it is *retired*: its person was
    erased, no row shows them, and mass that labels of other rows still put on the class stands for nobody. In a
    shard's footer it may also be somebody who is not on that shard: a shard names its own people only.

    Example:
        >>> from manifests import ClassMap
        >>> classes = ClassMap.of(["0007", "0002", None])
        >>> classes.number("0007"), classes.number("9999"), len(classes)
        (1, -1, 2)
    """

    FOOTER_KEY: ClassVar[str] = "reid_synth.classes"
    identities: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if len(self.named) + self.identities.count(None) != len(self.identities):
            raise ValueError("the identities of a class map must be distinct")

    @classmethod
    def of(cls, identities: Iterable[str | None]) -> ClassMap:
        """The sorted numbering of all identities that occur; None (nobody in particular) has no class."""
        return cls(tuple(sorted({identity for identity in identities if identity is not None})))

    def __len__(self) -> int:
        return len(self.identities)

    @cached_property
    def named(self) -> dict[str, int]:
        """Class numbers by identity."""
        return {name: number for number, name in enumerate(self.identities) if name is not None}

    @cached_property
    def unnamed(self) -> tuple[int, ...]:
        """Numbers that have no name; in a data set's own map the retired ones."""
        return tuple(number for number, name in enumerate(self.identities) if name is None)

    def number(self, identity: str | None) -> int:
        """The class of ``identity``, -1 where it has none."""
        return NO_LABEL if identity is None else self.named.get(identity, NO_LABEL)

    def numbers(self, identities: Sequence[str | None]) -> NDArray[np.int32]:
        """The classes of ``identities``, int32."""
        return np.array([self.number(identity) for identity in identities], dtype=np.int32)

    def only(self, identities: Collection[str | None]) -> ClassMap:
        """The same numbers with the names of ``identities`` alone."""
        return ClassMap(tuple(name if name in identities else None for name in self.identities))

    def without(self, identities: Collection[str]) -> ClassMap:
        """The same numbers without the names of ``identities``."""
        return ClassMap(tuple(None if name in identities else name for name in self.identities))

    def agrees_with(self, whole: ClassMap) -> bool:
        """Whether every name here has this number in ``whole`` too, out of as many classes."""
        return len(self) == len(whole) and all(whole.identities[place] == name for name, place in self.named.items())

    def to_json(self) -> str:
        return json_text({"identities": self.identities}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ClassMap:
        """Raises `ValueError` where ``text`` numbers no classes, or one identity twice."""
        value = parse_json(text.encode())
        names = value.get("identities") if isinstance(value, dict) else None
        if not isinstance(names, list) or not set(map(type, names)) <= {str, type(None)}:
            raise ValueError("a class map is a JSON object with a list of 'identities', each a text or null")
        return cls(tuple(names))


def _columns(
    rule: str,
    labels: NDArray[np.int32],
    num_classes: int,
    index: NDArray[Any],
    value: NDArray[Any],
    rest: float | NDArray[np.float64],
    epsilon: float | None = None,
) -> LabelColumns:
    """Compact columns from ``index`` and ``value``, both ``(N, m)``, and ``rest`` for all or for each row."""
    rows, listed = index.shape
    entries = pa.StructArray.from_arrays(
        [pa.array(index.ravel(), pa.int32()), pa.array(value.ravel(), pa.float32())],
        fields=list(SOFT_LABEL.value_type),
    )
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * listed)
    return {
        "soft_label": pa.ListArray.from_arrays(offsets, entries, type=SOFT_LABEL),
        "soft_label_rest": pa.array(np.broadcast_to(np.asarray(rest, np.float32), (rows,))),
        "label_rule": pa.repeat(pa.scalar(rule, pa.string()), rows),
        "label_epsilon": pa.repeat(pa.scalar(epsilon, pa.float32()), rows),
        "hard_label": pa.array(labels),
        "num_classes": pa.array(np.full(rows, num_classes, np.int32)),
    }


def _known_labels(hard_labels: ArrayLike, num_classes: int) -> NDArray[np.int32]:
    labels = np.asarray(hard_labels, dtype=np.int32).reshape(-1)
    if labels.size and not (labels.min() >= 0 and labels.max() < num_classes):
        raise ValueError(f"hard labels must lie in [0, {num_classes}), got {labels.min()} to {labels.max()}")
    return labels


def _optional_labels(hard_labels: ArrayLike | None, rows: int, num_classes: int) -> NDArray[np.int32]:
    if hard_labels is None:
        return np.full(rows, NO_LABEL, np.int32)
    labels = np.asarray(hard_labels, dtype=np.int32).reshape(-1)
    if len(labels) != rows:
        raise ValueError(f"{len(labels)} hard labels for {rows} rows")
    if labels.size and not (labels.min() >= NO_LABEL and labels.max() < num_classes):
        raise ValueError(f"hard labels must lie in [-1, {num_classes}), got {labels.min()} to {labels.max()}")
    return labels


def _ranked(probabilities: ArrayLike, top_m: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Normalised probabilities and, for each row, the classes of the ``top_m`` largest, largest first."""
    values = np.asarray(probabilities, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 1:
        raise ValueError(f"probabilities must have shape (N, K), got {values.shape}")
    if top_m < 1:
        raise ValueError(f"top_m must be at least 1, got {top_m}")
    total = values.sum(axis=1, keepdims=True)
    if not np.isfinite(values).all() or (values < 0).any() or (total <= 0).any():
        raise ValueError("probabilities must be finite and not negative, with a positive sum in each row")
    values = values / total
    return values, np.argsort(-values, axis=1, kind="stable")[:, :top_m]


def _common_classes(columns: pa.Table | pa.RecordBatch | Mapping[str, Any], num_classes: int | None) -> int:
    names = columns.keys() if isinstance(columns, Mapping) else columns.schema.names
    counts = set(np.unique(_numpy(columns["num_classes"])).tolist()) if "num_classes" in names else set()
    if num_classes is not None:
        counts.add(num_classes)
    if len(counts) != 1:
        raise ValueError(
            f"rows labelled over different numbers of classes cannot be expanded together: {sorted(counts)}"
        )
    return int(counts.pop())


def _array(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _numpy(column: Any) -> NDArray[Any]:
    return np.asarray(_array(column).to_numpy(zero_copy_only=False))
