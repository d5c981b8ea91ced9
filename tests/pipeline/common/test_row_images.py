"""Every stage decodes the image that a row names, or none: bytes, size and digest have to agree."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from manifests.errors import UserError
from manifests.exports.market1501 import export_market1501
from manifests.exports.torch import ReIDDataset
from manifests.reading.dataset import open_dataset
from pipeline.cluster.pool import run_shards_here
from pipeline.cluster.synthesize import prepare_synthesis, synthesize
from pipeline.common.images import ImageError, sha256
from pipeline.common.row_images import decode_row, image_of
from pipeline.generators.training.source import load_domain
from pipeline.reid.data import stream_people
from pipeline.reid.sets import load_sets
from pipeline.synthesis.target_styles import spread_images
from tests.conftest import ToySources
from tests.pipeline.edited_sets import Rows, edited, flip_last_byte
from tests.pipeline.tiny_synthesis import Trained, settings_of

TRAINING_FILE = 1
"""Files of rows come by split, in the order of the folders: gallery, training, query."""


def people_of(rows: Rows) -> Rows:
    return [row for row in rows if (row["split"], row["role"]) == ("train", "person")]


def swap_two_people(rows: Rows) -> None:
    first, *others = people_of(rows)
    other = next(row for row in others if row["identity"] != first["identity"])
    first["image"], other["image"] = other["image"], first["image"]


def move_all_on(rows: Rows) -> None:
    images = [row["image"] for row in rows]
    for row, image in zip(rows, [*images[1:], images[0]], strict=True):
        row["image"] = image


def cut_one_short(rows: Rows) -> None:
    row = people_of(rows)[0]
    row["image"]["bytes"] = row["image"]["bytes"][:-200]
    row["image_sha256"] = sha256(row["image"]["bytes"])


def misstate_a_size(rows: Rows) -> None:
    people_of(rows)[0]["height"] += 1


Change = Callable[[Rows], None]


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (swap_two_people, {"digest_mismatch": 2}),
        (cut_one_short, {"corrupt": 1}),
        (misstate_a_size, {"size_mismatch": 1}),
    ],
)
def test_synthesis_makes_nothing_of_another_image_and_counts_it(
    change: Change, reasons: dict[str, int], toy_sources: ToySources, trained: Trained, tmp_path: Path
) -> None:
    source = edited(toy_sources.market, tmp_path / "source", change)
    settings = settings_of("cyclegan", limit=None, per_image=1)
    job = prepare_synthesis(source, None, trained("cyclegan"), settings, annotations_uri=None)
    made = synthesize(job, str(tmp_path / "set"), runner=run_shards_here)
    assert made.snapshot.reasons == reasons
    assert made.snapshot.rows == job.plan.num_rows - sum(reasons.values())
    rejects = made.rejects().to_pylist()
    assert {row["stage"] for row in rejects} == {"decode"}
    assert all(row["relative_path"] and row["source_sha256"] for row in rejects)


def test_an_image_that_came_after_the_plan_is_another(
    toy_sources: ToySources, trained: Trained, tmp_path: Path
) -> None:
    """The workers' copy of the source is consistent in itself, and not what the plan was made of."""

    def exchanged(rows: Rows) -> None:
        first, second = people_of(rows)[:2]
        for name in ("image", "image_sha256"):
            first[name], second[name] = second[name], first[name]

    settings = settings_of("cyclegan", limit=4, per_image=1)
    job = prepare_synthesis(toy_sources.market, None, trained("cyclegan"), settings, annotations_uri=None)
    other = edited(toy_sources.market, tmp_path / "source", exchanged)
    elsewhere = replace(job, inputs=replace(job.inputs, source_uri=other))
    made = synthesize(elsewhere, str(tmp_path / "set"), runner=run_shards_here)
    assert (made.snapshot.rows, made.snapshot.reasons) == (2, {"digest_mismatch": 2})


def test_a_file_that_is_not_the_snapshots_stops_driver_and_worker(
    toy_sources: ToySources, trained: Trained, tmp_path: Path
) -> None:
    for name in ("before", "after"):
        shutil.copytree(toy_sources.market, tmp_path / name)
    settings = settings_of("cyclegan")
    changed = flip_last_byte(open_dataset(str(tmp_path / "before")), TRAINING_FILE)
    said = rf"^{changed} is not the file that was written: [^\n]*put the right file back[^\n]*$"
    with pytest.raises(UserError, match=said):
        prepare_synthesis(str(tmp_path / "before"), None, trained("cyclegan"), settings, annotations_uri=None)
    with pytest.raises(UserError, match=said):
        load_domain(str(tmp_path / "before"), None, 64, 32)
    # A worker in another place has read nothing yet.
    job = prepare_synthesis(toy_sources.market, None, trained("cyclegan"), settings, annotations_uri=None)
    changed = flip_last_byte(open_dataset(str(tmp_path / "after")), TRAINING_FILE)
    elsewhere = replace(job, inputs=replace(job.inputs, source_uri=str(tmp_path / "after")))
    with pytest.raises(UserError, match=rf"^{changed} is not the file that was written"):
        synthesize(elsewhere, str(tmp_path / "set"), runner=run_shards_here)


@pytest.mark.parametrize("change", [swap_two_people, cut_one_short, misstate_a_size])
def test_whatever_learns_names_the_image_and_learns_nothing(
    change: Change, toy_sources: ToySources, tmp_path: Path
) -> None:
    source = edited(toy_sources.market, tmp_path / "source", change)
    said = rf"^image [0-9a-f]{{12}} of {source} cannot be used \([a-z_]+\): [^\n]*$"
    with pytest.raises(UserError, match=said):
        load_domain(source, None, 64, 32)
    with pytest.raises(UserError, match=said):
        load_sets([source], 64, 32)


def test_whatever_measures_or_exports_names_it_too(toy_sources: ToySources, tmp_path: Path) -> None:
    source = edited(toy_sources.market, tmp_path / "source", move_all_on)
    said = rf"^image [0-9a-f]{{12}} of {source} cannot be used"
    with pytest.raises(UserError, match=said):
        list(stream_people(source, ["query"], 64, 32))
    with pytest.raises(UserError, match=said):
        ReIDDataset(source)[0]
    with pytest.raises(UserError, match=rf"{source}: the image of row [0-9a-f]{{32}} cannot be used: the bytes have"):
        export_market1501(open_dataset(source), str(tmp_path / "export"))
    assert not (tmp_path / "export").exists()
    assert spread_images(open_dataset(source), 10) == []


def test_a_row_without_a_picture_is_empty(toy_sources: ToySources) -> None:
    row = open_dataset(toy_sources.market).read().slice(0, 1).to_pylist()[0]
    assert image_of(row, "here").shape == (row["height"], row["width"], 3)
    for nothing in (None, {"bytes": None, "path": "x.jpg"}, {"bytes": b"", "path": None}):
        with pytest.raises(ImageError, match="no picture") as caught:
            decode_row({**row, "image": nothing})
        assert caught.value.reason == "empty"
