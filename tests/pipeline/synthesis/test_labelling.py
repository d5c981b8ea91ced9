"""Each label rule on generated images, by its recipe's default or asked for, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from manifests.errors import UserError
from manifests.format.schema import LABEL_RULES, NEEDS_TEACHER, LabelRule
from manifests.format.soft_labels import ClassMap, expand
from pipeline.common.finite import NotFiniteError
from pipeline.reid.model import load_reid, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.synthesis.labelling import Labeller, LabelSettings, check_label_rule
from tests.pipeline.spoiled import spoiled

CLASSES = ClassMap.of(f"{number:04d}" for number in range(12))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ReID network of twelve people with its first weights."""
    path = tmp_path_factory.mktemp("teacher") / "reid.safetensors"
    save_reid(path, build_network(NetworkSettings(channels=4), len(CLASSES)), 64, 32, CLASSES)
    return str(path)


def pictures(count: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(1)).integers(0, 256, (count, 64, 32, 3), np.uint8)


@pytest.mark.parametrize("rule", LABEL_RULES)
def test_every_rule_labels(rule: LabelRule, teacher: str) -> None:
    settings = LabelSettings(label_rule=rule, teacher=teacher if rule in NEEDS_TEACHER else None)
    columns = Labeller(settings, 12).columns([2, 0, 11], pictures(3))
    assert columns["label_rule"].to_pylist() == [rule] * 3
    assert np.allclose(expand(columns).sum(axis=1), 1)


def test_a_rule_that_is_not_known_is_refused(teacher: str) -> None:
    labeller = Labeller(LabelSettings(label_rule="mprl", teacher=teacher), 12)
    labeller.settings = labeller.settings.model_copy(update={"label_rule": "nearest"})
    with pytest.raises(ValueError, match="labels by the rule 'nearest'"):
        labeller.columns([-1], pictures(1))


def test_rules_that_need_no_picture() -> None:
    images, hard = pictures(3), [2, 0, 11]
    for rule, top in (("one_hot", 1.0), ("lsr", 0.7 + 0.3 / 12), ("lsro", 1 / 12)):
        settings = LabelSettings.model_validate({"label_rule": rule, "label_epsilon": 0.3})
        columns = Labeller(settings, 12).columns(hard, images)
        dense = expand(columns)
        assert np.allclose(dense.sum(axis=1), 1)
        assert np.allclose(dense[range(3), hard], top)
        assert columns["hard_label"].to_pylist() == hard


def test_a_teachers_label_is_its_probabilities(teacher: str) -> None:
    images = pictures(5)
    settings = LabelSettings(label_rule="teacher", teacher=teacher, label_top_m=4, label_temperature=0.1)
    columns = Labeller(settings, 12, batch_size=2).columns([-1] * 5, images)
    expected = load_reid(teacher).probabilities(images, 0.1)
    dense = expand(columns)
    for row, truth in zip(dense, expected, strict=True):
        top = np.argsort(-truth)[:4]
        assert np.allclose(row[top], truth[top], atol=1e-5)
        assert np.allclose(np.delete(row, top), (1 - truth[top].sum()) / 8, atol=1e-5)
    assert columns["label_rule"].to_pylist() == ["teacher"] * 5
    assert {len(entries) for entries in columns["soft_label"].to_pylist()} == {4}


def test_mprl_ranks_all_classes_as_the_teacher_does(teacher: str) -> None:
    images = pictures(4)
    columns = Labeller(LabelSettings(label_rule="mprl", teacher=teacher), 12).columns([-1] * 4, images)
    expected = load_reid(teacher).probabilities(images)
    dense = expand(columns)
    assert (dense.argsort(axis=1) == expected.argsort(axis=1)).all()
    assert np.allclose(np.sort(dense, axis=1), np.arange(1, 13) / np.arange(1, 13).sum(), atol=1e-6)


def test_a_label_depends_on_its_own_image(teacher: str) -> None:
    images = pictures(7)
    labeller = Labeller(LabelSettings(label_rule="teacher", teacher=teacher), 12, batch_size=4)
    whole = expand(labeller.columns([-1] * 7, images))
    parts = [expand(labeller.columns([-1] * len(part), part)) for part in (images[:3], images[3:])]
    assert (whole == np.concatenate(parts)).all()


def test_the_teachers_digest_is_told_and_mistakes_are_one_line(teacher: str) -> None:
    asked = LabelSettings(label_rule="teacher", teacher=teacher)
    assert check_label_rule(asked, False, CLASSES) == load_reid(teacher).sha256
    assert check_label_rule(LabelSettings(label_rule="lsr"), True, CLASSES) is None
    others = ClassMap.of(["0000", "0001"])
    for settings, has_identities, classes, message in (
        (LabelSettings(label_rule="lsr"), False, CLASSES, "show nobody"),
        (LabelSettings(label_rule="one_hot"), False, CLASSES, "show nobody"),
        (LabelSettings(label_rule="teacher"), False, CLASSES, "name it with --teacher"),
        (LabelSettings(label_rule="mprl"), True, CLASSES, "name it with --teacher"),
        (LabelSettings(label_rule="lsro", teacher=teacher), True, CLASSES, "asks no teacher"),
        (asked, True, others, "knows 12 people, not the 2"),
        (LabelSettings(label_rule="mprl", teacher="no_such"), True, CLASSES, "no_such"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            check_label_rule(settings, has_identities, classes)
        assert "\n" not in str(caught.value)


def test_a_teacher_of_nobody_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cameras.safetensors"
    save_reid(path, build_network(NetworkSettings(channels=4), 6), 64, 32)
    with pytest.raises(UserError, match="knows no people"):
        check_label_rule(LabelSettings(label_rule="mprl", teacher=str(path)), False, CLASSES)


@pytest.mark.parametrize("rule", ["teacher", "mprl"])
def test_a_teacher_that_answers_nan_is_named(teacher: str, rule: str) -> None:
    settings = LabelSettings.model_validate({"label_rule": rule, "teacher": teacher})
    labeller = Labeller(settings, 12)
    assert labeller._teacher is not None
    spoiled(labeller._teacher.network)
    with pytest.raises(NotFiniteError, match=rf"^--teacher {teacher}: [^\n]* answers 3 of 3 images with NaN"):
        labeller.columns([-1] * 3, pictures(3))
