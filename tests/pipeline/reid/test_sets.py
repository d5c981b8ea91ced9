"""Training sets of manifests: labels over one numbering of people, whichever sets they come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.format.names import subject_key
from manifests.format.schema import SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.sets import LabelledImages, TrainingSets, load_sets
from tests.manifests.people_rows import noise_rows, people_annotations, people_source, people_synthetic, write

A = people_source("A", ["ann", "bob", "cat"], 2)
B = people_source("B", ["bob", "eve"], 3)
NAMES = ClassMap(("ann", "bob", "cat"))


@pytest.fixture
def real(tmp_path: Path) -> str:
    return write(str(tmp_path / "a"), "source", A.slice(0, 3), A.slice(3)).uri


def write_synthetic(folder: Path, rule: str = "lsr", classes: ClassMap = NAMES) -> str:
    return write(str(folder / rule), "synthetic", people_synthetic(A, classes, rule), classes=classes).uri


def load(*uris: str) -> TrainingSets:
    return load_sets(uris, 16, 8)


def part(images: LabelledImages | None) -> LabelledImages:
    assert images is not None
    return images


def people(images: LabelledImages | None) -> list[int]:
    found = part(images).people
    assert found is not None
    return found.tolist()


def names(sets: TrainingSets, images: LabelledImages | None) -> list[str | None]:
    return [sets.classes.identities[number] for number in people(images)]


def test_people_of_a_source_are_one_hot(real: str) -> None:
    sets = load(real)
    assert sets.classes == NAMES
    assert sets.synthetic is None
    assert names(sets, sets.real) == ["ann", "ann", "bob", "bob", "cat", "cat"]
    assert np.array_equal(part(sets.real).targets, np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]])
    assert part(sets.real).images.shape == (6, 16, 8, 3)
    known = sets.provenance[real]
    assert (known["images"], known["kind"]) == (6, "source")
    assert known["subjects"] == sorted(subject_key("A", name) for name in NAMES.named)
    assert (known["licences"], known["consent_bases"]) == (["unstated"], ["unstated"])


def test_generated_images_share_the_classes_of_their_people(real: str, tmp_path: Path) -> None:
    made = write_synthetic(tmp_path)
    for sets in (load(real, made), load(made, real)):
        assert sets.classes == NAMES
        assert sets.real_images == 6
        assert names(sets, sets.synthetic) == ["ann", "ann", "bob", "bob", "cat", "cat"]
        smoothed = np.eye(3) * 0.9 + 0.1 / 3
        assert part(sets.synthetic).targets == pytest.approx(smoothed.repeat(2, axis=0))
        assert set(sets.provenance) == {real, made}
        assert sets.provenance[made]["subjects"] == sets.provenance[real]["subjects"]


def test_generated_images_alone(tmp_path: Path) -> None:
    sets = load(write_synthetic(tmp_path, "one_hot"))
    assert sets.real is None
    assert names(sets, sets.synthetic) == ["ann", "ann", "bob", "bob", "cat", "cat"]


def test_images_of_nobody_are_even_over_all(real: str, tmp_path: Path) -> None:
    record = {"inputs": [{"role": "source", "uri": real, "id": "A"}]}
    uri = write(str(tmp_path / "noise"), "synthetic", noise_rows(4, NAMES), classes=NAMES, run=record).uri
    sets = load(real, uri)
    assert sets.classes == NAMES
    assert part(sets.synthetic).targets == pytest.approx(np.full((4, 3), 1 / 3))
    assert people(sets.synthetic) == [-1] * 4


def test_an_even_label_shows_nobody_whatever_it_was_made_from(real: str, tmp_path: Path) -> None:
    """Older `pix2pix` rows name whose pose they have; no triplet may take them for that person."""
    sets = load(real, write_synthetic(tmp_path, "lsro"), write_synthetic(tmp_path, "teacher"))
    assert people(sets.synthetic) == [-1] * 6 + [0, 0, 1, 1, 2, 2]
    assert part(sets.synthetic).targets[:6] == pytest.approx(np.full((6, 3), 1 / 3))
    mixed_batches(sets, 1, MixSettings(nobody_labels="mprl"), steps=10)  # they are those to be named


def test_people_of_one_name_in_two_sets_stay_two(real: str, tmp_path: Path) -> None:
    other = write(str(tmp_path / "b"), "source", B).uri
    made = write_synthetic(tmp_path)
    sets = load(real, other, made)
    assert sets.classes == ClassMap(("A:ann", "A:bob", "A:cat", "B:bob", "B:eve"))
    assert names(sets, sets.real) == ["A:ann"] * 2 + ["A:bob"] * 2 + ["A:cat"] * 2 + ["B:bob"] * 3 + ["B:eve"] * 3
    assert names(sets, sets.synthetic) == ["A:ann", "A:ann", "A:bob", "A:bob", "A:cat", "A:cat"]
    # LSR is a function of the number of classes: epsilon is spread over all five.
    assert part(sets.synthetic).targets[0] == pytest.approx([0.92, 0.02, 0.02, 0.02, 0.02])


def test_after_an_erasure_the_synthetic_numbering_stays(real: str, tmp_path: Path) -> None:
    made = write_synthetic(tmp_path)
    annotated = write(str(tmp_path / "masks"), "annotation", people_annotations(A)).uri
    erase([real, annotated, made], Request(frozenset({"ann"})))
    sets = load(real, made)
    assert sets.classes == ClassMap((None, "bob", "cat"))
    assert names(sets, sets.real) == names(sets, sets.synthetic) == ["bob", "bob", "cat", "cat"]
    assert not part(sets.real).targets[:, 0].any()
    with pytest.raises(UserError, match="holds annotation rows, source or synthetic rows are needed"):
        load(real, annotated)


def write_scored(folder: Path, scores: Sequence[float | None]) -> str:
    rows = people_synthetic(A, NAMES).to_pylist()
    scored = [row | {"quality": {"reliability": score}} for row, score in zip(rows, scores, strict=True)]
    table = pa.Table.from_pylist(scored, schema=SYNTHETIC_SCHEMA)
    return write(str(folder), "synthetic", table, classes=NAMES).uri


def test_reliability_as_weight_is_one_on_average(real: str, tmp_path: Path) -> None:
    made = write_scored(tmp_path / "made", [0.1, 0.2, 0.3, 0.4, 0.5, 0.9])
    weighed, plain = load_sets([real, made], 16, 8, weigh_by="reliability"), load(real, made)
    weights = weighed.images.weights
    assert weights is not None
    assert weights == pytest.approx([1] * 6 + [0.25, 0.5, 0.75, 1.0, 1.25, 2.25])
    assert part(weighed.synthetic).weights == pytest.approx(weights[6:])
    assert plain.images.weights is None
    assert weighed.images.digest() != plain.images.digest(), "a training on them is another one"
    # Those left out have no part in the mean.
    some = load_sets([real, made], 16, 8, min_reliability=0.4, weigh_by="reliability")
    assert [known.get("min_reliability") for known in some.provenance.values()] == [None, 0.4], "the card says it"
    assert part(some.synthetic).weights == pytest.approx(np.array([0.4, 0.5, 0.9]) / 0.6)


def test_rows_that_cannot_be_weighed_are_refused(real: str, tmp_path: Path) -> None:
    made = write_scored(tmp_path / "made", [0.1, None, 0.3, 0.4, None, 0.9])
    with pytest.raises(UserError, match=r"^2 of 6 rows of .*made have no reliability to be weighed by: score them"):
        load_sets([real, made], 16, 8, weigh_by="reliability")
    assert len(load_sets([made], 16, 8, min_reliability=0.0, weigh_by="reliability").images) == 4
    with pytest.raises(UserError, match=r"no row of .* has a reliability: score it"):
        load_sets([write_scored(tmp_path / "unscored", [None] * 6)], 16, 8, weigh_by="reliability")
    with pytest.raises(UserError, match=r"no row of .* has a reliability of 0.95 or more \(most: 0.9\)"):
        load_sets([made], 16, 8, min_reliability=0.95)
    with pytest.raises(UserError, match="reliability of every generated row is 0"):
        load_sets([write_scored(tmp_path / "none", [0.0] * 6)], 16, 8, weigh_by="reliability")
    with pytest.raises(UserError, match="only synthetic rows have a reliability"):
        load_sets([real], 16, 8, weigh_by="reliability")


def test_mistakes_are_one_line(real: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no data set at"):
        load(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match="is named twice"):
        load(real, f"{real}/")
    with pytest.raises(UserError, match="only synthetic rows have a reliability"):
        load_sets([real], 16, 8, min_reliability=0.5)
    with pytest.raises(UserError, match="has a reliability: score it"):
        load_sets([real, write_synthetic(tmp_path)], 16, 8, min_reliability=0.5)
    unlabelled = write(str(tmp_path / "unlabelled"), "synthetic", people_synthetic(A, NAMES))
    with pytest.raises(UserError, match="which people its labels are over"):
        load(unlabelled.uri)
    narrow = write(str(tmp_path / "narrow"), "synthetic", people_synthetic(A, NAMES), classes=ClassMap(("ann", "bob")))
    with pytest.raises(UserError, match=r"the labels of .*narrow cannot be used"):
        load(narrow.uri)
    empty = write(str(tmp_path / "empty"), "source", A.slice(0, 0))
    with pytest.raises(UserError, match="nobody with an identity"):
        load(empty.uri)


def test_shapes_are_held_to() -> None:
    images, targets = np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 3), np.float32)
    LabelledImages(images, targets, np.zeros(2, np.int32))
    for wrong in ((images[..., 0], targets), (images, targets[:1]), (images, targets, np.zeros(3, np.int32))):
        with pytest.raises(ValueError, match="must be"):
            LabelledImages(*wrong)
