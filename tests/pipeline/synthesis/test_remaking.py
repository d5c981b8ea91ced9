"""Rows of every kind made again from their provenance: the same bytes, and what is said where they cannot be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.run import DatasetRun
from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.common.images import ImageError, encode
from pipeline.synthesis.plan import RECIPE_VERSION
from pipeline.synthesis.recorded_inputs import Elsewhere
from pipeline.synthesis.remaking import remake
from tests.conftest import ToySources
from tests.manifests.run_records import rewrite_record
from tests.pipeline.tiny_synthesis import Trained, made, pixels, settings_of

KINDS = {
    "cyclegan": {},
    "cyclegan, in whole batches": {"convolutions": "channels_last"},
    "camstyle": {"quality": 95},  # the default of earlier versions
    "cyclegan, under a condition": {"reject_below": ["quality.foreground_fidelity < -1"]},
    "camstyle_multidomain": {"image_format": "webp"},
    "pix2pix_cameras": {},
    "gan_lsro": {},
    "cgan": {"image_format": "png"},
    "pngan": {},
    "pngan, poses of others": {"poses": "data", "poses_per_image": 3},
    "pix2pix": {},
    "personflow": {},
    "personflow, cameras": {"like": "camstyle", "flow_steps": 2, "flow_start": 0.5},
    "personflow, poses": {"like": "pngan"},
    "personflow, people": {"like": "cgan"},
}
Maker = Callable[..., Dataset]


@pytest.fixture
def make(
    toy_sources: ToySources, toy_annotations: str, trained: Trained, cameras: tuple[int, ...], tmp_path: Path
) -> Maker:
    """A data set of a recipe, in ``tmp_path``/set."""

    def _make(recipe: str, source: str = toy_sources.market, generator: str | None = None, **changes: Any) -> Dataset:
        changes |= {"source_cameras": [cameras[0]], "limit": 3} if recipe == "pix2pix_cameras" else {}
        like = changes.pop("like", "camstyle" if recipe == "pix2pix_cameras" else recipe)
        annotations = None if like in ("gan_lsro", "cgan") else toy_annotations
        asked = generator or trained(recipe)
        job = prepare_synthesis(source, None, asked, settings_of(like, **changes), annotations_uri=annotations)
        return made(job, tmp_path / "set")

    return _make


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_every_kind_are_the_same_again(kind: str, make: Maker) -> None:
    dataset = make(kind.partition(",")[0], **KINDS[kind])
    # Every other row, backwards: each stands at another place of its batch, beside other rows.
    names = sorted(pixels(dataset))[::-2]
    again = list(remake(dataset, names))
    assert sorted(one.sample_id for one in again) == sorted(names)
    assert {(one.outcome, one.same_environment, one.psnr) for one in again} == {("identical", True, None)}
    first = {row["sample_id"]: row["image"] for row in dataset.read(["sample_id", "image"]).to_pylist()}
    assert all(one.image == first[one.sample_id] for one in again)
    assert all(one.as_promised(35) for one in again)


def test_rows_of_two_runs_and_many_generators_at_once(
    make: Maker, toy_sources: ToySources, trained: Trained, tmp_path: Path
) -> None:
    first = make("camstyle")
    job = prepare_synthesis(
        toy_sources.market, None, trained("camstyle"), settings_of("camstyle", seed=1), annotations_uri=None
    )
    rows = made(job, tmp_path / "other").read()
    run = json.loads((tmp_path / "other/run.json").read_text())["run"]
    appended = DatasetRun.start(
        first.uri, "synthetic", job.plan.plan_id, {0: rows.num_rows}, footer=first.footer, run=run, append=True
    )
    appended.sink.commit(0, rows)
    appended.close()
    both = open_dataset(first.uri)
    again = list(remake(both, list(pixels(both))))
    assert len(again) == both.snapshot.rows == first.snapshot.rows + rows.num_rows
    assert {one.outcome for one in again} == {"identical"}


def test_inputs_that_lie_elsewhere_now(make: Maker, toy_sources: ToySources, trained: Trained, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(toy_sources.market, old / "source")
    shutil.copytree(trained("pngan"), old / "generator")
    dataset = make("pngan", str(old / "source"), str(old / "generator"), poses="data", poses_per_image=2)
    annotations = next(one["uri"] for one in [dataset.run["run"]["annotations"]])
    old.rename(new)
    names = list(pixels(dataset))[:3]
    with pytest.raises(UserError, match=r"no checkpoint file at .*; if it lies elsewhere, say --generator"):
        list(remake(dataset, names))
    moved = [str(new / "generator")]
    with pytest.raises(UserError, match=r"no data set at .*; if it lies elsewhere, say --source"):
        list(remake(dataset, names, Elsewhere(generator=moved)))
    with pytest.raises(UserError, match=r"/duke-like lacks \d images that rows were made from .*: see --source"):
        list(remake(dataset, names, Elsewhere([toy_sources.duke], generator=moved)))
    with pytest.raises(UserError, match="holds source rows, annotation rows are needed: see --annotations"):
        list(remake(dataset, names, Elsewhere([str(new / "source")], [toy_sources.market], moved)))
    with pytest.raises(UserError, match="is not the generator that made these rows"):
        list(remake(dataset, names, Elsewhere(generator=[trained("cyclegan")])))
    # Where several are named, the one that has what a run needs is taken.
    several = Elsewhere([toy_sources.duke, str(new / "source")], [annotations], [trained("cyclegan"), *moved])
    assert {one.outcome for one in remake(dataset, names, several)} == {"identical"}


def rewritten(dataset: Dataset, change: Callable[[dict[str, Any]], None]) -> Dataset:
    return rewrite_record(dataset.uri, lambda state: change(state["run"]))


def test_another_environment_is_judged_by_its_pixels(make: Maker) -> None:
    dataset = rewritten(make("cyclegan"), lambda run: run["settings"].update(precision="bfloat16"))
    names = list(pixels(dataset))[:4]
    for one in remake(dataset, names):
        assert (one.outcome, one.same_environment) == ("other pixels", True)
        assert one.psnr is not None
        assert 25 < one.psnr < 70
        assert not one.as_promised(20)
    dataset = rewritten(dataset, lambda run: run["environment"].update(fingerprint="another"))
    for one in remake(dataset, names):
        assert not one.same_environment
        assert one.as_promised(20)
        assert not one.as_promised(90)


def test_an_encoder_that_drifts_is_told_from_a_generator_that_does(make: Maker) -> None:
    dataset = rewritten(make("gan_lsro"), lambda run: run["settings"].update(quality=60))
    (one,) = remake(dataset, list(pixels(dataset))[:1])
    assert one.outcome == "other bytes"
    assert one.psnr is not None
    assert not one.as_promised(0)


def darkened(dataset: Dataset, uri: str) -> str:
    """``dataset`` with black images under the digests of the true ones."""
    rows = dataset.read()
    black = rows.to_pylist()
    for row in black:
        row["image"]["bytes"] = encode(np.zeros((row["height"], row["width"], 3), np.uint8))
    plan_id, record = dataset.snapshot.plan_ids[0], dataset.run["run"]
    run = DatasetRun.start(uri, dataset.kind, plan_id, {0: len(black)}, footer=dataset.footer, run=record)
    run.sink.commit(0, rows.from_pylist(black, schema=rows.schema))
    run.close()
    return uri


def test_a_damaged_image_is_no_other_environment(make: Maker, toy_sources: ToySources, tmp_path: Path) -> None:
    dataset = make("cyclegan")
    names = list(pixels(dataset))[:1]
    source = darkened(open_dataset(toy_sources.market), str(tmp_path / "source"))
    (one,) = remake(dataset, names, Elsewhere([source]))
    assert (one.outcome, (one.reason or "").partition(":")[0]) == ("not made", "digest_mismatch")
    assert not one.as_promised(0)
    damaged = open_dataset(darkened(dataset, str(tmp_path / "damaged")))
    with pytest.raises(UserError, match=r"image .* of .*/damaged cannot be used \(digest_mismatch\)"):
        list(remake(damaged, names))


def test_rows_of_an_older_version_of_the_recipes_are_refused_and_not_called_different(
    make: Maker, tmp_path: Path
) -> None:
    dataset = make("cyclegan")
    rows = dataset.read()
    place = rows.schema.get_field_index("recipe_version")
    older = rows.set_column(place, rows.schema.field(place), pa.array(["1.0"] * rows.num_rows))
    plan_id, uri = dataset.snapshot.plan_ids[0], str(tmp_path / "older")
    run = DatasetRun.start(uri, "synthetic", plan_id, {0: rows.num_rows}, footer=dataset.footer, run=dataset.run["run"])
    run.sink.commit(0, older)
    run.close()
    said = rf"^row \S+ was made by version 1\.0 of the recipes' code, this is {RECIPE_VERSION}: install [^\n]*$"
    with pytest.raises(UserError, match=said):
        list(remake(open_dataset(uri), list(pixels(dataset))))


def test_what_no_longer_decodes_is_not_made(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make("cyclegan")

    def refuse(*_: Any) -> None:
        raise ImageError("corrupt", "a decoder of another version")

    monkeypatch.setattr("pipeline.synthesis.worker.decode_row", refuse)
    (one,) = remake(dataset, list(pixels(dataset))[:1])
    assert (one.outcome, one.reason) == ("not made", "corrupt: a decoder of another version")
    assert not one.as_promised(0)


def test_what_cannot_be_made_again_says_why(make: Maker, toy_sources: ToySources) -> None:
    with pytest.raises(UserError, match="holds source rows: only synthetic ones are made"):
        list(remake(open_dataset(toy_sources.market), ["0"]))
    dataset = make("gan_lsro")
    names = list(pixels(dataset))[:1]
    with pytest.raises(UserError, match=r"no row of .* begins with 'zz'"):
        list(remake(dataset, ["zz"]))
    with pytest.raises(UserError, match=r"13 rows of .* begin with '' .*add digits"):
        list(remake(dataset, [""]))
    dataset = rewritten(dataset, lambda run: run["settings"].update(batch_size=0))
    with pytest.raises(UserError, match=r"the settings in the run record .*batch_size"):
        list(remake(dataset, names))
    dataset = rewritten(dataset, lambda run: run.pop("checkpoints"))
    with pytest.raises(UserError, match="names no generator: say --generator"):
        list(remake(dataset, names))
    dataset = rewrite_record(dataset.uri, lambda state: state["plan"].update(plan_id="another"))
    with pytest.raises(UserError, match=r"knows no run of plan .*: its settings are lost"):
        list(remake(dataset, names))
