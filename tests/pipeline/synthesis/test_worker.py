"""Shards are whole, repeatable, honest about what could not be read, and never cut the wrong way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from manifests.checking.validate import validate
from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap, expand
from manifests.reading.dataset import open_dataset
from manifests.writing.run import Dataset, DatasetRun
from pipeline.annotation.annotations import Annotation
from pipeline.cluster.outcome import check_outcome
from pipeline.cluster.synthesize import Synthesis, prepare_synthesis
from pipeline.common.digests import subject_key
from pipeline.common.images import decode, pixel_sha256
from pipeline.generators.recipes.base import Batch
from pipeline.generators.recipes.ptgan import PTGAN
from pipeline.generators.trained_set import SINGLE
from pipeline.synthesis.plan_kinds import TranslationSettings
from pipeline.synthesis.row_inputs import fit_view, most_draws
from pipeline.synthesis.worker import SynthesisWorker
from tests.conftest import ToySources


def prepared(sources: ToySources, generator: str, **settings: object) -> Synthesis:
    chosen = TranslationSettings.model_validate({"shard_size": 5, "batch_size": 4, "precision": "float32", **settings})
    return prepare_synthesis(sources.market, sources.duke, generator, chosen, annotations_uri=None)


def made(job: Synthesis, uri: Path, order: list[int] | None = None) -> Dataset:
    """Run the plan's shards in this process, in the given order."""
    footer = {ClassMap.FOOTER_KEY: job.plan.classes.to_json()}
    rows = job.plan.shard_rows
    run = DatasetRun.start(str(uri), "synthetic", job.plan.plan_id, rows, footer=footer)
    worker = SynthesisWorker(job.inputs, job.plan.head, job.settings, run.sink)
    for shard in order or run.pending():
        assert sum(worker.run(shard, job.plan.shards[shard].table())) == rows[shard]
    run.close()
    return open_dataset(str(uri))


def test_bytes_do_not_depend_on_the_order_of_shards(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path
) -> None:
    job = prepared(toy_sources, untrained_generator)
    forward = made(job, tmp_path / "a")
    backward = made(job, tmp_path / "b", sorted(job.plan.shards, reverse=True))
    assert [entry.sha256 for entry in forward.snapshot.files] == [entry.sha256 for entry in backward.snapshot.files]


def test_a_row_does_not_depend_on_how_the_plan_is_cut(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path
) -> None:
    pixels = []
    for shard_size in (3, 7):
        dataset = made(prepared(toy_sources, untrained_generator, shard_size=shard_size), tmp_path / str(shard_size))
        pixels.append(dict(dataset.scan().select("sample_id", "image_sha256").collect().iter_rows()))
    assert pixels[0] == pixels[1]


def test_rows_carry_labels_scores_and_provenance(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path, toy_people: int
) -> None:
    job = prepared(toy_sources, untrained_generator, label_epsilon=0.2)
    dataset = made(job, tmp_path / "set")
    rows = dataset.read()
    assert rows.num_rows == toy_people == dataset.snapshot.planned
    labels = expand(rows)
    classes = len(job.plan.classes)
    hard = np.array(rows.column("hard_label").to_pylist())
    assert np.allclose(labels.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(labels[np.arange(len(hard)), hard], 0.8 + 0.2 / classes)
    by_digest = {row["image_sha256"]: row for row in open_dataset(toy_sources.market).read().to_pylist()}
    for row in rows.to_pylist():
        source = by_digest[row["sources"][0]["sha256"]]
        assert (row["identity"], row["camera"]) == (source["identity"], source["camera"])
        assert row["subject_keys"] == [subject_key("toy-market-like", source["identity"])]
        assert row["checkpoint_sha256s"] == [job.inputs.generators.members[SINGLE].sha256]
        assert row["domain"] == row["target"]["domain"] == "duke-like"
        assert row["quality"]["style_shift"] is not None
        assert row["quality"]["foreground_change"] is None  # no annotations were given
        assert decode(row["image"]["bytes"]).shape == (128, 64, 3)
    assert dataset.classes == job.plan.classes


def test_pixel_digest_is_of_the_generated_pixels(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path
) -> None:
    dataset = made(prepared(toy_sources, untrained_generator, image_format="png", limit=3), tmp_path / "set")
    for row in dataset.read(["image", "pixel_sha256"]).to_pylist():
        assert pixel_sha256(decode(row["image"]["bytes"])) == row["pixel_sha256"]


def test_draws_of_one_image_differ(toy_sources: ToySources, untrained_generator: str, tmp_path: Path) -> None:
    """As many as there are views of it, and no more are planned."""
    most = most_draws((16, 16))
    small = {"height": 16, "width": 16, "limit": 1}
    dataset = made(prepared(toy_sources, untrained_generator, per_image=most, **small), tmp_path / "set")
    rows = dataset.scan().select("draw", "seed", "pixel_sha256").collect()
    assert sorted(rows["draw"].to_list()) == list(range(most))
    assert rows["seed"].n_unique() == most
    assert rows["pixel_sha256"].n_unique() == most
    with pytest.raises(UserError, match=rf"^--per-image {most + 1}: [^\n]* 16 x 16 pixels has {most} views: [^\n]*$"):
        prepared(toy_sources, untrained_generator, per_image=most + 1, **small)


def test_another_seed_gives_other_views(toy_sources: ToySources, untrained_generator: str, tmp_path: Path) -> None:
    found = []
    for seed in range(3):
        job = prepared(toy_sources, untrained_generator, per_image=3, limit=2, seed=seed)
        rows = made(job, tmp_path / str(seed)).scan().select("draw", "pixel_sha256").collect()
        found.append({draw: set(part["pixel_sha256"]) for (draw,), part in rows.group_by("draw")})
    assert found[0][0] == found[1][0] == found[2][0]
    # Each of the 80 views at 64 x 32 is as likely as any other: three seeds agree on none of four draws.
    assert not any(found[0][draw] == found[1][draw] == found[2][draw] for draw in (1, 2))


def test_a_later_draw_moves_image_mask_and_keypoints_together() -> None:
    image = np.zeros((128, 64, 3), np.uint8)
    image[40:80, 20:40] = 255
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[:, :2], keypoints[:, 2] = (29.5, 59.5), 1.0
    known = Annotation(image[:, :, 0] > 0, 1.0, keypoints)
    for seed in range(8):
        view = fit_view({}, {"draw": 1, "image_sha256": "0"}, image, known, (128, 64), seed)
        assert view.mask is not None
        assert view.keypoints is not None
        inside = view.image[:, :, 0] > 127
        assert (inside ^ view.mask).mean() < 0.02
        rows, columns = np.nonzero(view.mask)
        assert np.allclose(view.keypoints[0, :2], (columns.mean(), rows.mean()), atol=1.0)


def test_only_a_mask_that_did_not_change_is_handed_on_as_it_came() -> None:
    image = np.zeros((128, 64, 3), np.uint8)
    known = Annotation(np.tri(128, 64, dtype=np.bool_), 1.0, None, png=b"as it came")
    for draw, size, png in ((0, (128, 64), b"as it came"), (0, (64, 32), None), (1, (128, 64), None)):
        view = fit_view({}, {"draw": draw, "image_sha256": "0"}, image, known, size, 0)
        assert (view.mask is not None, view.mask_png) == (True, png)


@pytest.mark.parametrize(("height", "width"), [(64, 32), (256, 128)])
def test_any_size_that_four_divides(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path, height: int, width: int
) -> None:
    dataset = made(prepared(toy_sources, untrained_generator, limit=2, height=height, width=width), tmp_path / "set")
    sizes = dataset.scan().select(pl.col("height", "width")).unique().collect().rows()
    assert sizes == [(height, width)]


def test_dry_run_tells_samples_and_shards_and_writes_nothing(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path
) -> None:
    job = prepared(toy_sources, untrained_generator)
    lines = job.dry_run_lines()
    assert not list(tmp_path.iterdir())
    assert any(line.startswith(f"samples: {job.plan.num_rows} ") for line in lines)
    assert any(line.startswith(f"shards: {len(job.plan.shards)} ") for line in lines)


def test_pixels_that_are_not_finite_become_rejects(
    toy_sources: ToySources, untrained_generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = prepared(toy_sources, untrained_generator, limit=9)
    whole = {row["sample_id"]: row for row in made(job, tmp_path / "whole").read().to_pylist()}
    lost: list[float] = [0.0]
    original = PTGAN.generate

    def poisoned(self: PTGAN, generator: nn.Module, batch: Batch) -> torch.Tensor:
        images = original(self, generator, batch)
        images[batch["source"].mean(dim=(1, 2, 3)) > lost[0], 0, 0, 0] = torch.nan
        return images

    monkeypatch.setattr(PTGAN, "generate", poisoned)
    some = made(job, tmp_path / "some")
    rejects = some.rejects().to_pylist()
    assert 0 < len(rejects) < 9
    assert {(row["stage"], row["reason"]) for row in rejects} == {("generate", "not_finite")}
    assert some.snapshot.planned == 9 == some.snapshot.rows + len(rejects)
    assert whole.keys() == {row["item_id"] for row in rejects} | set(some.read().column("sample_id").to_pylist())
    assert all(whole[row["sample_id"]] == row for row in some.read().to_pylist()), "nothing else changes"
    check_outcome(some, "images")
    lost[0] = -2.0
    none = made(job, tmp_path / "none")
    assert (none.snapshot.rows, none.snapshot.reasons) == (0, {"not_finite": 9})
    assert validate(none.uri).faults == []
    with pytest.raises(UserError, match=r"^all 9 images were rejected \(not_finite 9\): [^\n]*$"):
        check_outcome(none, "images")
