"""Annotations that cannot be: values cost the rows that need them, what no row can be is a line before any work."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from manifests.checking.validate import validate
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from pipeline.annotation.annotated_images import AnnotatedImages
from pipeline.annotation.annotations import Annotations, check_belonging, check_free, open_annotations
from pipeline.cluster.pool import run_shards_here
from pipeline.cluster.synthesize import prepare_synthesis, synthesize
from pipeline.common.images import ImageError, encode, encode_mask
from pipeline.generators.training.source import load_domain
from tests.conftest import ToySources
from tests.pipeline.edited_sets import Rows, edited, flip_last_byte
from tests.pipeline.tiny_synthesis import Trained, settings_of

Row = dict[str, Any]


def grey_mask(row: Row) -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((row["height"], row["width"]), np.uint8))[1])


BAD_VALUES: dict[str, Callable[[Row], object]] = {
    "a mask that is no picture": lambda row: row.update(mask=b"garbage"),
    "a mask without a byte": lambda row: row.update(mask=b""),
    "a mask cut short": lambda row: row.update(mask=row["mask"][:60]),
    "a mask in grey": lambda row: row.update(mask=grey_mask(row)),
    "a mask in JPEG": lambda row: row.update(mask=encode(np.zeros((row["height"], row["width"], 3), np.uint8))),
    "a mask of another size": lambda row: row.update(mask=encode_mask(np.ones((8, 8), np.bool_))),
    "a keypoint that is NaN": lambda row: row["keypoints"][3].update(x=math.nan),
    "a keypoint at infinity": lambda row: row["keypoints"][3].update(y=-math.inf),
    "a keypoint far away": lambda row: row["keypoints"][3].update(x=1e9),
    "a score above 1": lambda row: row["keypoints"][3].update(score=2.0),
    "a score below 0": lambda row: row["keypoints"][3].update(score=-0.1),
    "a mask quality that is NaN": lambda row: row.update(mask_quality=math.nan),
    "a mask quality above 1": lambda row: row.update(mask_quality=1.5),
    "a height that is not the picture's": lambda row: row.update(
        height=row["height"] + 1, mask=encode_mask(np.ones((row["height"] + 1, row["width"]), np.bool_))
    ),
}


@pytest.fixture
def first_used(toy_sources: ToySources) -> str:
    """Digest of the image that the plans below begin with."""
    rows = open_dataset(toy_sources.market).read(["image_sha256", "split", "role"]).to_pylist()
    return next(row["image_sha256"] for row in rows if (row["split"], row["role"]) == ("train", "person"))


def made(source: str, annotations: str, generator: str, uri: Path, recipe: str, **changes: Any) -> Dataset:
    job = prepare_synthesis(source, None, generator, settings_of(recipe, **changes), annotations_uri=annotations)
    first = synthesize(job, str(uri), runner=run_shards_here)
    again = synthesize(job, str(uri), runner=run_shards_here)
    assert again.snapshot == first.snapshot
    assert first.snapshot.rows + first.snapshot.rejected == job.plan.num_rows
    return first


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_value_that_cannot_be_costs_its_own_rows(
    case: str, toy_sources: ToySources, toy_annotations: str, trained: Trained, first_used: str, tmp_path: Path
) -> None:
    def change(rows: Rows) -> None:
        BAD_VALUES[case](next(row for row in rows if row["image_sha256"] == first_used))

    bad = edited(toy_annotations, tmp_path / "annotations", change)
    dataset = made(toy_sources.market, bad, trained("cyclegan"), tmp_path / "set", "cyclegan", per_image=1)
    assert (dataset.snapshot.rows, dataset.snapshot.reasons) == (4, {"bad_annotation": 1})
    assert dataset.rejects().column("source_sha256").to_pylist() == [first_used]
    with pytest.raises(UserError, match=rf"^{bad} cannot be trained on: annotation of {first_used[:12]}: [^\n]*$"):
        load_domain(toy_sources.market, bad, 64, 32, ["masks", "keypoints"])
    if "not the picture's" not in case:  # an annotation alone cannot tell
        assert {fault.check for fault in validate(bad).faults} <= {"mask", "keypoints", "quality"}
        assert validate(bad).faults


@pytest.mark.parametrize("recipe", ["pngan", "pix2pix"])
def test_a_pose_that_cannot_be_costs_the_rows_that_ask_for_it(
    recipe: str, toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path
) -> None:
    def change(rows: Rows) -> None:
        for row in rows[::2]:
            row["keypoints"][0]["x"] = math.nan

    bad = edited(toy_annotations, tmp_path / "annotations", change)
    asked = {"poses": "data", "poses_per_image": 6} if recipe == "pngan" else {"limit": None}
    dataset = made(toy_sources.market, bad, trained(recipe), tmp_path / "set", recipe, **asked)
    assert set(dataset.snapshot.reasons) == {"bad_annotation"}
    assert dataset.snapshot.rows
    assert validate(dataset.uri).faults == []


IMPOSSIBLE: dict[str, tuple[Callable[[Rows], object], str]] = {
    "five keypoints": (
        lambda rows: rows[0].update(keypoints=rows[0]["keypoints"][:5]),
        "1 of its [0-9]+ rows have other than 17 keypoints",
    ),
    "height 0": (lambda rows: rows[0].update(height=0), "have a width or height that no picture"),
    "height -4": (lambda rows: rows[0].update(height=-4), "have a width or height that no picture"),
    "height of a million": (lambda rows: rows[0].update(height=10**6), "have a width or height that no picture"),
    "one id for all": (
        lambda rows: [row.update(image_id=rows[0]["image_id"]) for row in rows],
        "rows share their id",
    ),
    "no digest": (lambda rows: rows[0].update(image_sha256="abc"), "have no SHA-256 as image_sha256"),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_no_row_can_be_is_a_line_before_work_starts(
    case: str, toy_sources: ToySources, toy_annotations: str, trained: Trained, tmp_path: Path
) -> None:
    change, said = IMPOSSIBLE[case]
    bad = edited(toy_annotations, tmp_path / "bad", change)
    line = rf"^{bad}: [^\n]*{said}[^\n]*`python -m manifests validate {bad}` lists them$"
    with pytest.raises(UserError, match=line):
        prepare_synthesis(toy_sources.market, None, trained("cyclegan"), settings_of("cyclegan"), annotations_uri=bad)
    with pytest.raises(UserError, match=line):
        load_domain(toy_sources.market, bad, 64, 32, ["masks"])
    if case != "five keypoints":
        source = edited(toy_sources.market, tmp_path / "source", change)
        with pytest.raises(UserError, match=rf"^{source}: "):
            prepare_synthesis(source, None, trained("cyclegan"), settings_of("cyclegan"), annotations_uri=None)
        with pytest.raises(UserError, match=rf"^{source}: "):
            load_domain(source, None, 64, 32)


def test_annotations_of_other_images_are_refused(
    toy_sources: ToySources, toy_annotations: str, trained: Trained
) -> None:
    other = open_dataset(toy_sources.duke)
    with pytest.raises(UserError, match=rf"^{toy_annotations} holds annotations of other images: [^\n]*{other.uri}$"):
        prepare_synthesis(
            other.uri, None, trained("cyclegan"), settings_of("cyclegan"), annotations_uri=toy_annotations
        )
    check_belonging(open_dataset(toy_annotations), open_dataset(toy_sources.market))


def test_annotations_are_those_that_were_written(toy_annotations: str, toy_sources: ToySources, tmp_path: Path) -> None:
    assert open_annotations(str(tmp_path / "nothing yet")) is None
    copy = open_dataset(edited(toy_annotations, tmp_path / "copy", lambda rows: None))
    changed = flip_last_byte(copy)
    for read in (lambda: Annotations(copy), lambda: open_annotations(copy.uri)):
        with pytest.raises(UserError, match=rf"^{changed} is not the file that was written"):
            read()
    with pytest.raises(UserError, match="holds source rows, annotation rows are needed: see --annotations"):
        open_annotations(toy_sources.market, flag="--annotations")


def test_new_annotations_take_no_other_data_sets_place(tmp_path: Path) -> None:
    """Whoever names a place means annotations, or one that is free."""
    free, other, begun, stopped = (tmp_path / name for name in ("free", "other", "begun", "stopped"))
    check_free(str(free), "--annotations")
    (other / "inside").mkdir(parents=True)
    check_free(str(other), "--annotations")
    (other / "inside" / "notes.txt").touch()
    with pytest.raises(UserError, match=f"^--annotations {other} holds files and no annotations"):
        check_free(str(other), "--annotations")
    DatasetRun.start(str(begun), "source", "ab" * 16, {0: 1})
    with pytest.raises(UserError, match=f"^--annotations {begun} holds an unfinished run of source rows"):
        check_free(str(begun), "--annotations")
    DatasetRun.start(str(stopped), "annotation", "ab" * 16, {0: 1})
    check_free(str(stopped), "--annotations")
    (stopped / "run.json").unlink()
    check_free(str(stopped), "--annotations")


def test_the_images_of_a_shard_are_opened_alone(toy_annotations: str) -> None:
    dataset = open_dataset(toy_annotations)
    images, whole = AnnotatedImages(dataset), Annotations(dataset)
    digests = dataset.read(["image_sha256"]).column(0)
    asked = pa.chunked_array([[*digests.to_pylist()[3:5], None, "f" * 64]], pa.string())
    some = images.of(asked)
    assert len(some) == 2 < len(whole)
    for digest in asked.to_pylist()[:2]:
        one, same = some.get(digest), whole.get(digest)
        assert one is not None
        assert same is not None
        assert np.array_equal(one.keypoints, same.keypoints)
        assert np.array_equal(one.mask, same.mask)
    assert some.get("f" * 64) is None
    assert images.holding(asked, "keypoints", "mask").tolist() == [True, True, False, False]
    assert len(images.of(asked.slice(2))) == 0


@pytest.mark.parametrize("side", ["height", "width"])
def test_a_picture_without_an_extent_is_none(side: str, toy_annotations: str, first_used: str, tmp_path: Path) -> None:
    def change(rows: Rows) -> None:
        next(row for row in rows if row["image_sha256"] == first_used).update({side: 0, "mask": None})

    bad = Annotations(open_dataset(edited(toy_annotations, tmp_path / "annotations", change)))
    with pytest.raises(ImageError, match="which no picture has"):
        bad.get(first_used)
