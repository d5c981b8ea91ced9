"""Rows that reached the camera, domain or pose asked for are told from those that did not, by real rows alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from manifests.errors import UserError
from manifests.format.schema import ANNOTATION_SCHEMA
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.query import rows_where
from manifests.writing.run import DatasetRun
from pipeline.annotation.annotations import keypoint_structs
from pipeline.reid.model import as_model
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.scoring.dataset import ScoreSettings, open_scoring, score
from pipeline.scoring.row_facts import row_facts
from pipeline.scoring.set_scores import row_means, target_means
from pipeline.scoring.source_people import decoded
from pipeline.scoring.target_judge import TargetJudge, Teaching, target_judges
from tests.pipeline.edited_sets import edited
from tests.pipeline.scoring.paper_people import (
    HEIGHT,
    HOME,
    WIDTH,
    drawn,
    source_row,
    synthetic_row,
    write_made,
    write_source,
)

CONFIDENCE = pl.col("quality").struct.field("target_confidence")
PEOPLE = 10
TEACHING = Teaching(images=200, steps=25, size=(HEIGHT, WIDTH), seed=0)


def tinted(image: np.ndarray, camera: int) -> np.ndarray:
    """As one of two cameras shows it: reddish, or bluish."""
    seen = image.astype(np.float64) / 2
    seen[..., 0 if camera == 1 else 2] += 110
    return seen.astype(np.uint8)


def real_rows(domain: str = "flat", both: bool = True) -> list[dict[str, Any]]:
    """Four images of each person, two by either camera (or all by the first)."""
    cameras = (1, 2, 1, 2) if both else (1,) * 4
    return [
        source_row(person, number, tinted(drawn(person, number), camera), camera=camera, domain=domain)
        for person in range(PEOPLE)
        for number, camera in enumerate(cameras)
    ]


def asked_of(rows: list[dict[str, Any]], moved: np.ndarray) -> list[dict[str, Any]]:
    """Each image asked for by the other camera: where ``moved``, as it shows it; elsewhere as it was."""
    made = []
    for index, row in enumerate(rows):
        target = 3 - row["camera"]
        image = tinted(drawn(int(row["identity"]), 50 + index), target if moved[index] else row["camera"])
        made.append(synthetic_row(index, row, image, camera=target, target={"camera": target}))
    return made


class Fixed(NamedTuple):
    """A model that answers the same whatever it sees."""

    share: float

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 2), self.share)


def judged(judge: TargetJudge, made: Dataset) -> np.ndarray:
    return judge.confidences(decoded(made.read(), made.uri, HEIGHT, WIDTH), row_facts(made.scan()).collect())


def test_a_camera_is_told_by_people_that_the_classifier_never_saw(tmp_path: Path) -> None:
    rows = real_rows()
    source, moved = write_source(tmp_path / "source", rows), np.arange(len(rows)) % 4 != 0
    made = open_dataset(write_made(tmp_path / "made", asked_of(rows, moved), [source], PEOPLE))
    judges, reasons = target_judges(made, [open_dataset(source)], [], TEACHING)
    assert reasons == {}
    [judge] = judges
    assert list(judge.classes) == ["flat, camera 1", "flat, camera 2"]
    # Alternating by name, so that either half has five people; who is not named is judged all the same.
    assert sorted(judge.halves.values()) == [0] * 5 + [1] * 5
    assert (judge.real_images, judge.rows, judge.real, judge.before) == (40, 40, 1.0, 0.0)
    assert ((judged(judge, made) > 0.5) == moved).all()
    assert target_means(judges) == {"moved_real": 1.0, "moved_before": 0.0}


def test_a_camera_that_one_half_alone_shows_is_judged_by_nobody(tmp_path: Path) -> None:
    """The other half's classifier would call it improbable, having never seen it."""
    rows = real_rows()
    rows += [source_row(2, 9, tinted(drawn(2, 9), 1), camera=3), source_row(4, 9, tinted(drawn(4, 9), 1), camera=3)]
    source = write_source(tmp_path / "source", rows)
    asked = [synthetic_row(number, rows[0], drawn(0, 9 + number), target={"camera": 1 + number}) for number in range(3)]
    made = open_dataset(write_made(tmp_path / "made", asked, [source], PEOPLE))
    [judge], _ = target_judges(made, [open_dataset(source)], [], TEACHING._replace(steps=1))
    assert (list(judge.classes), judge.rows) == (["flat, camera 1", "flat, camera 2"], 2)
    assert np.isnan(judged(judge, made)).tolist() == [False, False, True]


def test_test_images_teach_no_judge_of_training_rows(tmp_path: Path) -> None:
    rows = real_rows()
    # On test images the colours say the opposite.
    held_out = [
        row | {"camera": 3 - row["camera"], "split": "gallery", "image_id": f"b{row['image_id']}"} for row in rows
    ]
    source, moved = write_source(tmp_path / "source", rows + held_out), np.arange(len(rows)) % 4 != 0
    made = open_dataset(write_made(tmp_path / "made", asked_of(rows, moved), [source], PEOPLE))
    [judge], _ = target_judges(made, [open_dataset(source)], [], TEACHING)
    assert (judge.real_images, judge.real) == (40, 1.0)
    assert ((judged(judge, made) > 0.5) == moved).all()


def test_an_image_of_nobody_known_is_not_judged_by_what_learned_from_it(tmp_path: Path) -> None:
    rows = real_rows()
    source = write_source(tmp_path / "source", [row | {"identity": None} for row in rows])
    made = [synthetic_row(number, row, drawn(0, number)) for number, row in enumerate(rows)]
    dataset = open_dataset(write_made(tmp_path / "made", made, [source], PEOPLE))
    [judge], _ = target_judges(dataset, [open_dataset(source)], [], TEACHING._replace(steps=1))
    told_apart = replace(judge, models=(Fixed(0.25), Fixed(0.75)))  # type: ignore[arg-type]
    facts = row_facts(dataset.scan()).collect().with_columns(identity=pl.lit(None, pl.String))
    found = told_apart.confidences(decoded(dataset.read(), dataset.uri, HEIGHT, WIDTH), facts)
    assert found.tolist() == [0.75 if judge.halves[HOME, row["image_sha256"]] else 0.25 for row in rows]
    assert set(found) == {0.25, 0.75}


def test_scores_and_their_record(tmp_path: Path) -> None:
    """The column is filterable, the figures are shares of it, and nothing is judged where nothing may be learned."""
    rows = real_rows()
    source, moved = write_source(tmp_path / "source", rows), np.arange(len(rows)) % 4 != 0
    made = write_made(tmp_path / "made", asked_of(rows, moved), [source], PEOPLE)
    model = as_model(build_network(NetworkSettings(channels=4), PEOPLE), HEIGHT, WIDTH)
    settings = ScoreSettings(target_steps=25, likeness=False)
    scored = score(open_scoring(made, [], model, "untrained", settings), str(tmp_path / "scored"))
    quality = scored.scan().select("sample_id", "quality").unnest("quality").sort("sample_id").collect()
    confidence = quality["target_confidence"].to_numpy()
    assert ((confidence >= 0) & (confidence <= 1)).all()
    assert ((confidence > 0.5) == moved).all()
    assert len(rows_where(scored, "quality.target_confidence > 0.5")) == 30
    record = scored.run["run"]
    figures, recognised = record["scores"], quality["identity_rank"].to_numpy() == 1
    assert figures["moved"] == 0.75
    assert figures["recognised"] == pytest.approx(recognised.mean())
    assert figures["recognised_and_moved"] == pytest.approx((recognised & moved).mean())
    assert (figures["moved_real"], figures["moved_before"]) == (1.0, 0.0)
    assert record["targets"]["camera"]["rows"] == 40
    # Of a set that was scored before: what is not judged now is not told from then.
    unjudged = open_scoring(scored.uri, [source], model, "untrained", ScoreSettings(target_steps=0, likeness=False))
    silent = score(unjudged, str(tmp_path / "silent"))
    assert (
        silent.scan().select(pl.col("quality").struct.field("target_confidence")).collect().to_series().is_null().all()
    )
    assert "moved" not in silent.run["run"]["scores"]
    with pytest.raises(UserError, match="--target-steps 0 judges no poses"):
        open_scoring(made, [], model, "untrained", ScoreSettings(target_steps=0), ["poses"])


def test_shares_of_rows_are_over_those_that_can_be_told(tmp_path: Path) -> None:
    rows = real_rows()[:5]
    # (recognised, moved): both, moved alone, recognised alone, recognised and not judged, neither.
    known = [(1.0, 0.9), (2.0, 0.8), (1.0, 0.5), (1.0, None), (2.0, None)]
    made = [
        synthetic_row(
            index, row, drawn(0, 60 + index), quality={"identity_rank": rank, "target_confidence": confidence}
        )
        for index, (row, (rank, confidence)) in enumerate(zip(rows, known, strict=True))
    ]
    uri = write_made(tmp_path / "made", made, [], PEOPLE)
    means = row_means(open_dataset(uri))
    assert (means["recognised"], means["moved"]) == (0.6, pytest.approx(2 / 3))
    assert means["recognised_and_moved"] == pytest.approx(1 / 3)
    unjudged = edited(
        uri, tmp_path / "unjudged", lambda rows: [row["quality"].pop("target_confidence") for row in rows]
    )
    assert row_means(open_dataset(unjudged)) == {"recognised": 0.6}


def test_a_domain_needs_real_rows_of_it(tmp_path: Path) -> None:
    home = real_rows(both=False)
    away = [
        source_row(100 + row, row, tinted(drawn(100 + row, 0), 2), camera=1, domain="blue", dataset_id="others")
        | {"identity": None}
        for row in range(20)
    ]
    source, target = write_source(tmp_path / "source", home), write_source(tmp_path / "target", away)
    made = [
        synthetic_row(number, row, tinted(drawn(int(row["identity"]), 50 + number), 1 + number % 2))
        | {"domain": "blue", "target": {"domain": "blue"}}
        for number, row in enumerate(home)
    ]
    dataset = open_dataset(write_made(tmp_path / "made", made, [source], PEOPLE))
    judges, reasons = target_judges(dataset, [open_dataset(source)], [], TEACHING)
    assert (judges, reasons) == (
        [],
        {"domain": "the sources show flat alone in the split train: name the target's manifest with --source too"},
    )
    [judge], reasons = target_judges(dataset, [open_dataset(source), open_dataset(target)], [], TEACHING)
    assert reasons == {}
    assert (list(judge.classes), judge.real_images, judge.before) == (["blue", "flat"], 60, 0.0)
    assert ((judged(judge, dataset) > 0.5) == (np.arange(len(home)) % 2 == 1)).all()


def pose(arms: float) -> np.ndarray:
    """A standing person (17, 3) in pixels of the drawings, whose wrists and elbows stand out to one side."""
    heights = np.array([2, 1, 1, 2, 2, 5, 5, 9, 9, 13, 13, 16, 16, 23, 23, 29, 29], np.float32)
    sides = np.array([0, 1, -1, 1, -1, 3, -3, 3, -3, 3, -3, 2, -2, 2, -2, 2, -2], np.float32)
    sides[7:11] += arms
    return np.column_stack([8 + sides, heights, np.ones(17)]).astype(np.float32)


def leaning(image: np.ndarray, arms: float) -> np.ndarray:
    """The drawing with a bright arm to that side."""
    posed = image.copy()
    posed[6:14, slice(12, 15) if arms > 0 else slice(1, 4)] = 255
    return posed


def test_canonical_poses_are_told_by_the_poses_of_real_rows(tmp_path: Path) -> None:
    sides = [-6.0, 6.0]
    rows = [
        source_row(person, number, leaning(drawn(person, number), sides[number % 2]), camera=1)
        for person in range(PEOPLE)
        for number in range(4)
    ]
    source = write_source(tmp_path / "source", rows)
    annotated = [
        {name: row[name] for name in ("image_id", "image_sha256", "width", "height")}
        | {"keypoints": keypoint_structs(pose(sides[number % 2])), "pose_model": "drawn", "pose_sha256": "0" * 64}
        for number, row in enumerate(rows)
    ]
    run = DatasetRun.start(str(tmp_path / "poses"), "annotation", "truth", {0: len(rows)})
    run.sink.commit(0, pa.Table.from_pylist(annotated, schema=ANNOTATION_SCHEMA))
    run.close()
    made, reached = [], np.arange(len(rows)) % 3 != 0
    for index, row in enumerate(rows):
        asked = (index // 2) % 2
        shown = sides[asked if reached[index] else 1 - asked]
        made.append(
            synthetic_row(index, row, leaning(drawn(int(row["identity"]), 70 + index), shown))
            | {"target": {"pose": f"class {asked}"}, "keypoints": keypoint_structs(pose(sides[asked]))}
        )
    dataset = open_dataset(write_made(tmp_path / "made", made, [source], PEOPLE))
    assert target_judges(dataset, [open_dataset(source)], [], TEACHING)[1] == {
        "pose": "no poses of the sources are known: name their annotations with --annotations"
    }
    short = edited(dataset.uri, tmp_path / "short", lambda rows: [row["keypoints"].pop() for row in rows])
    with pytest.raises(UserError, match="a pose that is asked for is none: expected 17"):
        target_judges(open_dataset(short), [open_dataset(source)], [open_dataset(run.uri)], TEACHING)
    [judge], _ = target_judges(dataset, [open_dataset(source)], [open_dataset(run.uri)], TEACHING)
    assert (list(judge.classes), judge.real) == (["pose 0", "pose 1"], 1.0)
    assert judge.before == 0.5
    assert ((judged(judge, dataset) > 0.5) == reached).all()
