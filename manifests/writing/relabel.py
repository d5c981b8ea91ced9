"""Soft labels over another numbering of the classes, as their rule gives them there.

One-hot, LSR and LSRO are functions of the number of classes ``K``: they are what the rule says for the new ``K``. A
teacher's label is what the rule gives for the same probabilities with 0 for everybody whom the teacher does not
know: the listed classes keep their values, the rest is spread evenly over all classes that are not listed, the new
ones included. MpRL ranks the people that its model knows; their weights stay, and who came later gets none.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.format.label_checks import check_values
from manifests.format.schema import SOFT_LABEL
from manifests.format.soft_labels import NO_LABEL


def relabel(rows: pa.Table, numbers: NDArray[np.int32], num_classes: int) -> pa.Table:
    """Synthetic ``rows`` whose class ``k`` is class ``numbers[k]`` of ``num_classes``; each label still sums to 1.

    ``numbers`` (int32) has one entry for each old class, no two alike, all below ``num_classes``.

    Raises:
        ValueError: a row is labelled over another number of classes than ``numbers`` has, or names one that is none.
    """
    _check(rows, len(numbers))
    if num_classes == len(numbers) and (numbers == np.arange(num_classes)).all():
        return rows
    hard, old_rest, epsilon = (
        rows.column(name).to_numpy() for name in ("hard_label", "soft_label_rest", "label_epsilon")
    )
    rule = np.asarray(rows.column("label_rule").to_pylist(), dtype=np.str_)
    labels = rows.column("soft_label").combine_chunks()
    listed = labels.value_lengths().to_numpy()
    spread = old_rest.astype(np.float64) * (len(numbers) - listed) / np.maximum(num_classes - listed, 1)
    by_rule = {
        "one_hot": np.zeros(len(rule)),
        "lsr": epsilon / num_classes,
        "lsro": np.full(len(rule), 1 / num_classes),
    }
    rest = np.select([rule == name for name in by_rule], list(by_rule.values()), spread)
    entries = labels.flatten()
    value = entries.field("val").to_numpy()
    smoothed = np.repeat(1.0 - epsilon + epsilon / num_classes, listed)
    value = np.where(np.repeat(rule == "lsr", listed), smoothed, value)
    offsets = pa.array(np.concatenate([[0], np.cumsum(listed)]), pa.int32())
    index = numbers[entries.field("idx").to_numpy()]
    pairs = pa.StructArray.from_arrays(
        [pa.array(index, pa.int32()), pa.array(value, pa.float32())], fields=list(SOFT_LABEL.value_type)
    )
    changed = {
        "hard_label": pa.array(np.where(hard == NO_LABEL, NO_LABEL, numbers[hard]), pa.int32()),
        "num_classes": pa.array(np.full(len(rule), num_classes, np.int32)),
        "soft_label": pa.ListArray.from_arrays(offsets, pairs).cast(SOFT_LABEL),
        "soft_label_rest": pa.array(rest, pa.float32()),
    }
    for name, column in changed.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
    return rows


def _check(rows: pa.Table, classes: int) -> None:
    """Numpy would take a negative number for one from the end."""
    for name, least, most in (("num_classes", classes, classes), ("hard_label", NO_LABEL, classes - 1)):
        values = rows.column(name).to_numpy()
        if values.size and not least <= values.min() <= values.max() <= most:
            raise ValueError(f"{name} from {values.min()} to {values.max()} does not fit {classes} classes")
    entries, rest = rows.column("soft_label").combine_chunks().flatten(), rows.column("soft_label_rest").to_numpy()
    index, value = (entries.field(name).to_numpy() for name in ("idx", "val"))
    check_values(index, value, rest, classes)
