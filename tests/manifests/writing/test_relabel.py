from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.format import soft_labels
from manifests.format.schema import LABEL_RULES
from manifests.format.soft_labels import LabelColumns, expand
from manifests.writing.relabel import relabel
from tests.manifests.manifest_rows import synthetic_rows


@st.composite
def labelled(draw: st.DrawFn) -> tuple[pa.Table, np.ndarray, np.ndarray, int]:
    """Rows by every rule over K classes, their teacher's probabilities, new numbers of these classes, a new K."""
    seed = draw(st.integers(0, 2**32 - 1))
    classes = draw(st.integers(1, 12))
    more = classes + draw(st.integers(0, 9))
    random = np.random.Generator(np.random.Philox(seed))
    rows = draw(st.integers(1, 6))
    hard = random.integers(0, classes, rows)
    drawn = random.dirichlet(np.full(classes, 0.4), rows)
    epsilon = draw(st.floats(0, 1))
    top = draw(st.integers(1, classes))
    by_rule = {
        "one_hot": soft_labels.one_hot(hard, classes),
        "lsr": soft_labels.lsr(hard, classes, epsilon),
        "lsro": soft_labels.lsro(rows, classes),
        "teacher": soft_labels.teacher(drawn, top, hard),
        "mprl": soft_labels.mprl(drawn, top, hard),
    }
    tables = [table_of(by_rule[rule]) for rule in LABEL_RULES]  # a rule that is missing here is not looked at below
    numbers = random.permutation(more)[:classes].astype(np.int32)
    return pa.concat_tables(tables), drawn, numbers, more


def table_of(columns: LabelColumns) -> pa.Table:
    return pa.table({**columns, "sample": pa.array(range(len(columns["hard_label"])))})


@settings(deadline=None)
@given(labelled())
def test_labels_still_sum_to_one_and_are_their_rules(case: tuple[pa.Table, np.ndarray, np.ndarray, int]) -> None:
    rows, drawn, numbers, classes = case
    old, new = expand(rows), expand(relabel(rows, numbers, classes))
    assert new.shape == (rows.num_rows, classes)
    np.testing.assert_allclose(new.sum(axis=1), 1, atol=1e-6)
    part = rows.num_rows // len(LABEL_RULES)
    by_rule = {rule: slice(n * part, (n + 1) * part) for n, rule in enumerate(LABEL_RULES)}
    hard = numbers[rows.column("hard_label").to_numpy()[:part]]
    epsilon = rows.column("label_epsilon").to_numpy()[by_rule["lsr"]][0]
    assert (new[by_rule["one_hot"]] == expand(soft_labels.one_hot(hard, classes))).all()
    smoothed = expand(soft_labels.lsr(hard, classes, float(epsilon)))
    np.testing.assert_allclose(new[by_rule["lsr"]], smoothed, atol=1e-6)
    np.testing.assert_allclose(new[by_rule["lsro"]], 1 / classes, atol=1e-7)
    # MpRL: nothing changes for whom the model knows, nothing goes to anybody else.
    assert (new[by_rule["mprl"]][:, numbers] == old[by_rule["mprl"]]).all()
    # A teacher that knows nobody of the new classes: as the rule labels its probabilities over all of them.
    padded = np.zeros((part, classes))
    padded[:, numbers] = drawn
    top = int(rows.column("soft_label").combine_chunks().value_lengths()[3 * part].as_py())
    by_teacher = expand(soft_labels.teacher(padded, top))
    np.testing.assert_allclose(np.sort(new[by_rule["teacher"]]), np.sort(by_teacher), atol=1e-6)


@settings(deadline=None)
@given(labelled())
def test_hard_labels_and_other_columns(case: tuple[pa.Table, np.ndarray, np.ndarray, int]) -> None:
    rows, _, numbers, classes = case
    new = relabel(rows, numbers, classes)
    assert new.schema.equals(rows.schema)
    old_hard, hard = (table.column("hard_label").to_numpy() for table in (rows, new))
    assert (hard == np.where(old_hard < 0, -1, numbers[old_hard])).all()
    assert set(new.column("num_classes").to_pylist()) == {classes}
    for name in ("sample", "label_rule", "label_epsilon"):
        assert new.column(name).equals(rows.column(name))


def test_the_same_numbering_changes_no_bit() -> None:
    rows = table_of(soft_labels.lsr([0, 2, 1], 3, 0.1))
    assert relabel(rows, np.arange(3, dtype=np.int32), 3) is rows


@pytest.mark.parametrize(("rule", "rest"), [("lsr", 0.1 / 5), ("lsro", 1 / 5), ("one_hot", 0.0)])
def test_worked_by_hand(rule: str, rest: float) -> None:
    """Two classes become numbers 4 and 1 of five."""
    columns: dict[str, Any] = {
        "lsr": soft_labels.lsr([0], 2, 0.1),
        "lsro": soft_labels.lsro(1, 2),
        "one_hot": soft_labels.one_hot([0], 2),
    }
    new = relabel(table_of(columns[rule]), np.array([4, 1], np.int32), 5)
    top = {"lsr": 0.9 + 0.1 / 5, "lsro": rest, "one_hot": 1.0}[rule]
    np.testing.assert_allclose(expand(new)[0], [rest, rest, rest, rest, top], atol=1e-7)


def test_a_teachers_rest_is_spread_over_the_new_classes_too() -> None:
    rows = table_of(soft_labels.teacher([[0.6, 0.2, 0.1, 0.1]], top_m=2))
    new = relabel(rows, np.array([0, 1, 2, 3], np.int32), 6)
    np.testing.assert_allclose(expand(new)[0], [0.6, 0.2, 0.05, 0.05, 0.05, 0.05], atol=1e-7)


@pytest.mark.parametrize(
    ("column", "value"),
    [("hard_label", -2), ("hard_label", 3), ("num_classes", 2**31 - 1), ("soft_label", [{"idx": -1, "val": 1.0}])],
)
def test_numbers_that_name_no_class_are_refused(column: str, value: Any) -> None:
    rows = synthetic_rows(0, 2)
    place = rows.schema.get_field_index(column)
    field = rows.schema.field(place)
    wrong = rows.set_column(place, field, pa.array([value] * 2, field.type))
    with pytest.raises(ValueError, match=r"classes$|do not fit 3 classes"):
        relabel(wrong, np.array([2, 1, 0], np.int32), 4)
