from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.format.label_checks import MAX_CLASSES
from manifests.format.schema import SOFT_LABEL
from manifests.format.soft_labels import ClassMap, LabelColumns, expand, lsr, lsro, mprl, one_hot, teacher

counts = st.integers(1, 900)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    classes = draw(counts)
    labels = draw(st.lists(st.integers(0, classes - 1), max_size=20))
    return np.array(labels, np.int32), classes


@st.composite
def predicted(draw: st.DrawFn) -> np.ndarray:
    seed, rows, classes = draw(st.integers(0, 2**32)), draw(st.integers(0, 8)), draw(counts)
    sharpness = draw(st.floats(0.0, 20.0))
    logits = sharpness * np.random.Generator(np.random.Philox(seed)).standard_normal((rows, classes))
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True)) if rows else logits
    return exponents / exponents.sum(axis=1, keepdims=True) if rows else exponents


def check_distribution(columns: LabelColumns, rows: int, classes: int) -> np.ndarray:
    dense = expand(columns, classes)
    assert dense.shape == (rows, classes)
    assert dense.dtype == np.float32
    assert (dense >= 0).all()
    np.testing.assert_allclose(dense.sum(axis=1, dtype=np.float64), 1.0, atol=1e-6)
    assert {len(column) for column in columns.values()} == {rows}
    return dense


@given(labelled())
def test_one_hot(case: tuple[np.ndarray, int]) -> None:
    labels, classes = case
    dense = check_distribution(one_hot(labels, classes), len(labels), classes)
    np.testing.assert_array_equal(dense, np.eye(classes, dtype=np.float32)[labels])


@given(labelled(), st.floats(0.0, 1.0))
def test_lsr_follows_its_formula(case: tuple[np.ndarray, int], epsilon: float) -> None:
    labels, classes = case
    dense = check_distribution(lsr(labels, classes, epsilon), len(labels), classes)
    expected = (1 - epsilon) * np.eye(classes)[labels] + epsilon / classes
    np.testing.assert_allclose(dense, expected, rtol=1e-6, atol=1e-9)


@given(st.integers(0, 20), counts)
def test_lsro_is_uniform_and_lists_nothing(rows: int, classes: int) -> None:
    columns = lsro(rows, classes)
    dense = check_distribution(columns, rows, classes)
    np.testing.assert_allclose(dense, 1.0 / classes, rtol=1e-6)
    assert columns["soft_label"].flatten().to_pylist() == []
    assert set(columns["hard_label"].to_pylist()) <= {-1}


@given(predicted(), st.integers(1, 12))
def test_teacher_keeps_the_likeliest_and_spreads_the_rest(probabilities: np.ndarray, top_m: int) -> None:
    rows, classes = probabilities.shape
    dense = check_distribution(teacher(probabilities, top_m), rows, classes)
    for row, expected in zip(dense, probabilities, strict=True):
        kept = np.argsort(-expected, kind="stable")[:top_m]
        np.testing.assert_allclose(row[kept], expected[kept], rtol=1e-5, atol=1e-8)
        others = np.delete(row, kept)
        assert others.size == 0 or np.ptp(others) == 0.0


@given(predicted(), st.one_of(st.none(), st.integers(1, 12)))
def test_mprl_weighs_classes_by_rank(probabilities: np.ndarray, top_m: int | None) -> None:
    rows, classes = probabilities.shape
    dense = check_distribution(mprl(probabilities, top_m), rows, classes)
    kept = classes if top_m is None else min(top_m, classes)
    for row, expected in zip(dense, probabilities, strict=True):
        order = np.argsort(-expected, kind="stable")
        ranks = np.zeros(classes)
        ranks[order[:kept]] = classes - np.arange(kept)
        np.testing.assert_allclose(row, ranks / ranks.sum(), rtol=1e-5, atol=1e-9)


def test_mprl_of_three_classes_by_hand() -> None:
    dense = expand(mprl([[0.2, 0.7, 0.1]]), 3)
    np.testing.assert_allclose(dense, [[2 / 6, 3 / 6, 1 / 6]], rtol=1e-6)


def test_expand_takes_slices_chunks_and_mixed_rules() -> None:
    parts = [pa.table(part) for part in (one_hot([3, 1], 5), lsro(2, 5), lsr([0], 5, 0.2))]
    table = pa.concat_tables(parts)
    dense = expand(table)
    assert dense[0, 3] == 1.0
    np.testing.assert_allclose(dense[2], 0.2)
    np.testing.assert_array_equal(expand(table.slice(1, 3)), dense[1:4])
    np.testing.assert_array_equal(expand(table.to_batches()[0].slice(1)), dense[1:2])


def test_expand_goes_on_where_a_stretch_of_rows_ends() -> None:
    """More rows than are filled together, listed classes short and long, with and without a rest."""
    rows, classes = 2500, 130
    rng = np.random.default_rng(0)
    probabilities = rng.random((rows, classes))
    ranks = np.argsort(np.argsort(-probabilities, axis=1), axis=1)
    whole = mprl(probabilities)
    expected = (classes - ranks) / (classes * (classes + 1) / 2)
    np.testing.assert_allclose(expand(whole), expected, rtol=1e-6)
    labels = rng.integers(0, classes, rows)
    short = lsr(labels, classes)
    table = pa.concat_tables([pa.table(whole), pa.table(short)]).slice(3, 2 * rows - 5)
    smooth = np.where(np.arange(classes) == labels[:, None], 0.9 + 0.1 / classes, 0.1 / classes)
    np.testing.assert_allclose(expand(table), np.concatenate([expected, smooth])[3:-2], rtol=1e-6)


def test_expand_refuses_other_class_counts_and_numbers() -> None:
    with pytest.raises(ValueError, match="different numbers of classes"):
        expand(one_hot([1], 5), 6)
    mixed = pa.concat_tables([pa.table(one_hot([1], 5)), pa.table(one_hot([1], 6))])
    with pytest.raises(ValueError, match=r"\[5, 6\]"):
        expand(mixed)
    wrong: dict[str, Any] = {**one_hot([4], 5), "num_classes": pa.array([3], pa.int32())}
    with pytest.raises(ValueError, match="do not fit 3 classes"):
        expand(wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: one_hot([5], 5),
        lambda: lsr([-1], 5),
        lambda: lsr([1], 5, 1.5),
        lambda: teacher([[0.5, -0.1]]),
        lambda: teacher([[0.0, 0.0]]),
        lambda: teacher([[0.5, float("nan")]]),
        lambda: teacher([[0.5, 0.5]], top_m=0),
        lambda: teacher([[0.5, 0.5]], hard_labels=[2]),
        lambda: mprl([0.5, 0.5]),
    ],
)
def test_rules_refuse_what_is_no_label(make: Any) -> None:
    with pytest.raises(ValueError, match=r"must|rows"):
        make()


@settings(max_examples=30)
@given(st.lists(st.one_of(st.none(), st.text(max_size=6)), max_size=30), st.randoms())
def test_class_numbers_do_not_depend_on_order(identities: list[str | None], random: Any) -> None:
    classes = ClassMap.of(identities)
    shuffled = list(identities)
    random.shuffle(shuffled)
    assert ClassMap.of(shuffled) == classes
    assert ClassMap.from_json(classes.to_json()) == classes
    numbers = classes.numbers(identities)
    assert all((number == -1) == (identity is None) for number, identity in zip(numbers, identities, strict=True))
    assert sorted(set(numbers.tolist()) - {-1}) == list(range(len(classes)))


def test_class_map_refuses_twins() -> None:
    with pytest.raises(ValueError, match="distinct"):
        ClassMap.from_json('{"identities": ["a", "a"]}')


def test_a_class_without_a_name_keeps_its_number() -> None:
    classes = ClassMap.of(["a", "b", "c"])
    retired = classes.without({"b"})
    assert (len(retired), retired.unnamed, retired.named) == (3, (1,), {"a": 0, "c": 2})
    assert retired.numbers(["a", "b", "c", None]).tolist() == [0, -1, 2, -1]
    assert ClassMap.from_json(retired.to_json()) == retired
    assert classes.only({"c", None}).identities == (None, None, "c")
    assert classes.only({"c"}).agrees_with(classes)
    assert classes.only({"c"}).agrees_with(retired)
    assert not classes.only({"b"}).agrees_with(retired)
    assert not ClassMap(("c",)).agrees_with(classes)


@pytest.mark.parametrize(
    ("entries", "rest", "classes", "said"),
    [
        ([(0, math.nan)], 0.0, 3, "values from nan to nan"),
        ([(0, 1.5), (1, -0.5)], 0.0, 3, "values from -0.5 to 1.5"),
        ([(0, math.inf)], 0.0, 3, "values from inf to inf"),
        ([(0, 1.0)], -0.1, 3, "values from -0.1"),
        ([(0, 1.0)], math.nan, 3, "values from nan"),
        ([(0, 0.9)], 0.0, 3, r"sums to 0\.9\d*, not to 1"),
        ([], 0.0, 3, "sums to 0, not to 1"),
        ([(1, 0.5), (1, 0.5)], 0.0, 3, r"sums to 0\.5, not to 1"),
        ([(0, 1.0)], 0.0, 2**31 - 1, "labels over 2147483647 classes"),
        ([(0, 1.0)], 0.0, 0, "labels over 0 classes"),
        ([(0, 1.0)], 0.0, -3, "labels over -3 classes"),
    ],
)
def test_expand_refuses_what_is_no_distribution(
    entries: list[tuple[int, float]], rest: float, classes: int, said: str
) -> None:
    columns = {
        "soft_label": pa.array([[dict(zip(("idx", "val"), one, strict=True)) for one in entries]], SOFT_LABEL),
        "soft_label_rest": pa.array([rest], pa.float32()),
        "num_classes": pa.array([classes], pa.int32()),
    }
    with pytest.raises(ValueError, match=said):
        expand(columns)


@pytest.mark.parametrize("classes", [1, 2, 751, 5001, MAX_CLASSES])
def test_rounding_is_no_fault_however_many_classes_there_are(classes: int) -> None:
    drawn = np.random.Generator(np.random.Philox(classes)).random((2, classes)) ** 8 + 1e-9
    for columns in (lsr([0, classes - 1], classes, 0.1), lsro(2, classes), teacher(drawn, 10), mprl(drawn, 50)):
        assert expand(columns, classes).shape == (2, classes)
