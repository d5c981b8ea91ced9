"""COCO, read back by its own tools where they are, and by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from manifests.errors import UserError
from manifests.exports.coco import export_coco, run_lengths
from tests.manifests.exports.export_rows import source_dataset, synthetic_dataset
from tests.manifests.exports.test_marking import EXTENSION, SOURCE_TYPE, properties
from tests.manifests.people_rows import people_annotations, people_source, write


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "coco"


def opened(folder: Path, task: str, split: str = "train") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "annotations" / f"{task}_{split}.json").read_text())
    return found


def decoded(segmentation: dict[str, Any]) -> np.ndarray:
    """The mask of a run-length encoding, run by run."""
    height, width = segmentation["size"]
    flat = [inside for place, count in enumerate(segmentation["counts"]) for inside in [place % 2] * count]
    return np.array(flat, bool).reshape(width, height).T


@pytest.mark.parametrize(
    ("mask", "counts"),
    [
        ([[0, 1, 1], [0, 1, 0]], [2, 3, 1]),
        ([[1, 0], [1, 1]], [0, 2, 1, 1]),
        ([[0, 0]], [2]),
        ([[1]], [0, 1]),
    ],
)
def test_runs_go_down_the_columns_and_begin_outside(mask: list[list[int]], counts: list[int]) -> None:
    assert run_lengths(np.array(mask, bool)) == {"size": list(np.shape(mask)), "counts": counts}


def test_a_person_has_box_mask_joints_and_what_is_known_of_the_row(uri: str, output: Path) -> None:
    points = [{"x": 1.5 + joint / 3, "y": 2.0, "score": 0.2 if joint == 4 else 0.9} for joint in range(17)]
    change = lambda number, row: row.update(keypoints=points if row["mask"] else None)  # noqa: E731
    dataset = synthetic_dataset(uri, change)
    exported = export_coco(dataset, str(output))
    rows = {row["sample_id"]: row for row in dataset.read().to_pylist()}
    masked = [row for row in rows.values() if row["mask"]]
    assert (exported.images, exported.notes) == (
        12,
        (f"{12 - len(masked)} people have no mask: their box is the whole picture",),
    )
    found = opened(output, "instances")
    images = {image["id"]: image for image in found["images"]}
    assert sorted(image["row_id"] for image in images.values()) == sorted(rows)
    for one in found["annotations"]:
        row, image = rows[images[one["image_id"]]["row_id"]], images[one["image_id"]]
        assert one["attributes"] == image["attributes"]
        wanted = {name: row[name] for name in ("identity", "camera", "domain", "recipe")}
        shift = pytest.approx(row["quality"]["style_shift"], abs=1e-6)
        assert one["attributes"] == wanted | {"style_shift": shift}
        if row["mask"]:
            mask = np.array(Image.open(io.BytesIO(row["mask"])))
            assert np.array_equal(decoded(one["segmentation"]), mask)
            assert (one["bbox"], one["area"]) == ([0, 0, 8, 16], mask.sum())
        else:
            assert (one["bbox"], one["area"], one["segmentation"]) == ([0, 0, 8, 16], 128, [])
        assert "keypoints" not in one
    posed = opened(output, "person_keypoints")["annotations"]
    assert len(posed) == len(masked)
    assert posed[0]["keypoints"][:6] == [1.5, 2, 2, 1.83, 2, 2]
    assert posed[0]["keypoints"][12:15] == [0, 0, 0]
    assert (posed[0]["num_keypoints"], posed[0]["keypoint_scores"][3:5]) == (16, [0.9, 0.2])


def test_a_box_is_that_of_the_mask(uri: str, output: Path) -> None:
    mask = np.zeros((16, 8), bool)
    mask[3:9, 2:4] = True
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    export_coco(synthetic_dataset(uri, lambda number, row: row.update(mask=stream.getvalue())), str(output))
    one = opened(output, "instances")["annotations"][0]
    assert (one["bbox"], one["area"]) == ([2, 3, 2, 6], 12)


def test_pictures_are_where_readers_look_and_carry_their_mark(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri)
    export_coco(dataset, str(output), "camera = 2")
    found = opened(output, "instances")
    assert {image["attributes"]["camera"] for image in found["images"]} == {2}
    for image in found["images"]:
        data = (output / "images" / "train" / image["file_name"]).read_bytes()
        assert properties(data)[f"{EXTENSION}DigitalSourceType"] == SOURCE_TYPE
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (image["width"], image["height"]) == (8, 16)
        assert found["licenses"][image["license"] - 1]["name"] == "Apache-2.0"
    assert found["info"]["description"].startswith("Every image here is synthetic")


def test_source_images_take_masks_and_joints_of_their_annotations(tmp_path: Path, output: Path) -> None:
    rows = people_source("market", ("0001", "0002"), 3)
    source = write(f"{tmp_path}/source", "source", rows)
    annotations = write(f"{tmp_path}/annotations", "annotation", people_annotations(rows))
    (note,) = export_coco(source, str(tmp_path / "bare")).notes
    assert note == (
        "6 people have no mask: their box is the whole picture; "
        "--annotations names the data set that has those of source images"
    )
    assert not (tmp_path / "bare/annotations/person_keypoints_train.json").exists()
    assert export_coco(source, str(output), annotations=annotations.uri).notes == ()
    found = opened(output, "instances")
    masks = {row["image_sha256"]: row["mask"] for row in annotations.read().to_pylist()}
    digests = {row["image_id"]: row["image_sha256"] for row in source.read().to_pylist()}
    for image, one in zip(found["images"], found["annotations"], strict=True):
        mask = np.array(Image.open(io.BytesIO(masks[digests[image["row_id"]]])))
        assert np.array_equal(decoded(one["segmentation"]), mask)
    with pytest.raises(UserError, match="takes a data set of annotation rows"):
        export_coco(source, str(tmp_path / "wrong"), annotations=source.uri)


def test_a_distractor_shows_no_person_and_splits_are_apart(uri: str, output: Path) -> None:
    export_coco(source_dataset(uri), str(output))
    assert sorted(path.name for path in (output / "annotations").iterdir()) == [
        "instances_gallery.json",
        "instances_train.json",
    ]
    found = opened(output, "instances", "gallery")
    assert [image["attributes"]["role"] for image in found["images"]] == ["distractor", "junk"] * 2
    assert [one["attributes"]["role"] for one in found["annotations"]] == ["junk"] * 2


def test_a_mask_that_is_none_is_one_line_and_nothing_is_written(uri: str, output: Path) -> None:
    dataset = synthetic_dataset(uri, lambda number, row: row.update(mask=b"none") if number == 5 else None)
    with pytest.raises(UserError, match=r"row [0-9a-f]{32} cannot be exported: the mask does not decode"):
        export_coco(dataset, str(output))
    assert not output.exists()
    with pytest.raises(UserError, match="synthetic rows have masks and poses of their own"):
        export_coco(dataset, str(output), annotations=uri)


def test_pycocotools_reads_masks(uri: str, output: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    dataset = synthetic_dataset(uri)
    export_coco(dataset, str(output))
    masks = {row["sample_id"]: row["mask"] for row in dataset.read().to_pylist() if row["mask"]}
    for task in ("instances", "person_keypoints"):
        found = coco.COCO(str(output / "annotations" / f"{task}_train.json"))
        seen = {found.imgs[one["image_id"]]["row_id"]: one for one in found.anns.values() if one["segmentation"]}
        assert seen.keys() == masks.keys()
        for row_id, one in seen.items():
            assert np.array_equal(found.annToMask(one), np.array(Image.open(io.BytesIO(masks[row_id]))))
