"""Cameras and poses of a data set beside its source's: counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.__main__ import main
from manifests.format.schema import ANNOTATION_SCHEMA, POSE, SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap
from manifests.reading.origins import Origins
from manifests.showing.report.coverage import FACINGS, Coverage, Line, compared, coverages, facings
from tests.manifests.people_rows import people_annotations, people_source, people_synthetic, write
from tests.manifests.showing.report.conftest import Page

PEOPLE = ["0001", "0002"]


def pose(wide: float, nose: float, unseen: tuple[int, ...] = ()) -> list[dict[str, float]]:
    """A person whose left shoulder is ``wide`` to the right of the right one, over a torso of height 10; the nose is
    ``nose`` to the right of their middle."""
    points = [{"x": 0.0, "y": 0.0, "score": 0.0 if joint in unseen else 0.9} for joint in range(17)]
    points[0] |= {"x": 50 + nose, "y": 5.0}
    for joint, side in ((5, 1), (6, -1), (11, 1), (12, -1)):
        points[joint] |= {"x": 50 + side * wide / 2, "y": 10.0 if joint < 10 else 20.0}
    return points


@pytest.mark.parametrize(
    ("points", "facing"),
    [
        (pose(7, 1), "towards the camera"),
        (pose(-7, 0), "away from it"),
        (pose(-7, 0, unseen=(0,)), "away from it"),
        (pose(2, -3), "to the left"),
        (pose(-2, 3), "to the right"),
        (pose(2, 3, unseen=(0,)), None),
        (pose(7, 0, unseen=(11,)), None),
        (pose(7, 0)[:5], None),
        (None, None),
    ],
)
def test_which_way_somebody_faces(points: list[dict[str, float]] | None, facing: str | None) -> None:
    assert facings(pa.array([points], POSE)) == [facing]
    assert facings(pa.array([pose(7, 0), points], POSE)) == [FACINGS[0], facing]


def test_shares_are_of_what_is_known() -> None:
    found = compared("Cameras", [3, 1, 1, 2, None], [1, 1, None, None])
    assert found.lines == [Line("1", 2, 0.5, 2, 1.0), Line("2", 1, 0.25, 0, 0.0), Line("3", 1, 0.25, 0, 0.0)]
    assert (found.unknown, found.missing, found.most) == ((1, 2), ["2", "3"], 1.0)


def family(root: Path) -> tuple[Any, Origins]:
    """Two people by three cameras, of whom the generated ones are all of camera 1 and face away."""
    people = people_source("market", PEOPLE, 3)
    other = people_source("elsewhere", PEOPLE, 3)
    told = [{**row, "keypoints": pose(7, 0)} for row in people_annotations(people).to_pylist()]
    rows = [{**row, "keypoints": pose(-7, 0)} for row in people_synthetic(people, ClassMap.of(PEOPLE)).to_pylist()]
    sources = tuple(write(str(root / name), "source", one) for name, one in (("market", people), ("other", other)))
    posed = write(str(root / "poses"), "annotation", pa.Table.from_pylist(told, schema=ANNOTATION_SCHEMA))
    table = pa.Table.from_pylist(rows, schema=SYNTHETIC_SCHEMA)
    return write(str(root / "made"), "synthetic", table, classes=ClassMap.of(PEOPLE)), Origins(sources, (posed,), ())


def test_rows_stand_beside_the_images_that_they_were_made_from(tmp_path: Path) -> None:
    made, origins = family(tmp_path)
    cameras, ways = coverages(made, origins)
    third = pytest.approx(1 / 3)
    assert cameras.lines == [Line("1", 2, third, 6, 1.0), Line("2", 2, third, 0, 0.0), Line("3", 2, third, 0, 0.0)]
    none = [Line(one, 0, 0.0, 0, 0.0) for one in FACINGS[1:3]]
    towards, away = Line(FACINGS[0], 6, 1.0, 0, 0.0), Line(FACINGS[3], 0, 0.0, 6, 1.0)
    assert ways == Coverage("People face", [towards, *none, away], (0, 0))
    assert [one.title for one in coverages(made, Origins(origins.sources, (), ()))] == ["Cameras"]
    assert coverages(made, Origins((), (), ())) == []


def test_the_page_tells_them(tmp_path: Path) -> None:
    made, origins = family(tmp_path)
    named = ("--source", origins.sources[0].uri, "--annotations", origins.annotations[0].uri)
    pages = []
    for more in (named, ()):
        assert main(["report", made.uri, "--output", str(tmp_path / "report.html"), *more]) == 0
        pages.append(Page((tmp_path / "report.html").read_text(encoding="utf-8")).sections["coverage"])
    assert "1 2 33.3% 6 100.0% 2 2 33.3% 0 0.0%" in pages[0]
    assert "In the source alone: 2, 3." in pages[0]
    assert "In the source alone: towards the camera." in pages[0]
    assert "Nothing of the source is at hand to compare with: --source and --annotations" in pages[1]
