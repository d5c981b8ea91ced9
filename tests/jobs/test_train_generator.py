"""`jobs/train_generator.py` from manifests to weights, and what a user reads when something is missing."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import UserError
from manifests.format.schema import ANNOTATION_SCHEMA, REJECT_SCHEMA
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from pipeline.common.digests import subject_key
from pipeline.common.settings import parse_settings
from pipeline.generators.trained import load_generator
from pipeline.generators.training.source import load_domain
from pipeline.reid.model import save_reid
from pipeline.reid.network import NetworkSettings, build_network

if TYPE_CHECKING:
    from tests.conftest import ToySources

ROOT = Path(__file__).resolve().parents[2]


def load_job(name: str, folder: str = "jobs") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


job = load_job("train_generator")


@pytest.fixture(scope="module")
def annotations(toy_sources: ToySources, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Annotations of both toy domains with the world's true masks; the last image of each has none."""
    uris = {}
    for domain, source in (("market-like", toy_sources.market), ("duke-like", toy_sources.duke)):
        truth = pq.read_table(toy_sources.world / domain / "ground_truth" / "annotations.parquet").to_pylist()
        masks = {row["path"]: row["mask"] for row in truth}
        rows = open_dataset(source).read(["image_id", "image_sha256", "width", "height", "relative_path"]).to_pylist()
        annotated = [
            {
                **{name: row[name] for name in ("image_id", "image_sha256", "width", "height")},
                "mask": masks[row["relative_path"]],
                "mask_quality": 1.0,
                "segmenter": "truth",
                "segmenter_sha256": "0" * 64,
                "keypoints": [{"x": 0.0, "y": 0.0, "score": 0.0}] * 17,
                "pose_model": "truth",
                "pose_sha256": "0" * 64,
            }
            for row in sorted(rows, key=lambda row: row["relative_path"])
            if "train" in row["relative_path"]
        ][:-1]
        uris[domain] = str(tmp_path_factory.mktemp("annotations") / domain)
        run = DatasetRun.start(uris[domain], "annotation", "truth", {0: len(annotated)})
        table = pa.Table.from_pylist(annotated, schema=ANNOTATION_SCHEMA)
        run.sink.commit(0, table, pa.Table.from_pylist([], schema=REJECT_SCHEMA))
        run.close()
    return uris


def arguments(recipe: str, toy_sources: ToySources, output: Path, *more: str) -> list[str]:
    sizes = ["--height", "64", "--width", "32", "--ngf", "4", "--blocks", "1", "--ndf", "4", "--threads", "1"]
    given = ["--source", toy_sources.market, "--target", toy_sources.duke, "--output", str(output)]
    return ["--recipe", recipe, *given, *sizes, *more]


def without_target(given: list[str]) -> list[str]:
    place = given.index("--target")
    return given[:place] + given[place + 2 :]


def run(given: list[str]) -> None:
    assert job.main(parse_settings(job.settings_for(job._asked_recipe(given)), given)) == 0


def test_ptgan_from_manifests_to_a_generator_with_its_card(
    toy_sources: ToySources, annotations: dict[str, str], toy_people: int, tmp_path: Path
) -> None:
    masks = ["--source-annotations", annotations["market-like"], "--target-annotations", annotations["duke-like"]]
    run(arguments("ptgan", toy_sources, tmp_path, *masks, "--steps", "2", "--identity-weight", "7"))
    generator = load_generator(tmp_path)
    assert generator.translate(np.zeros((2, 64, 32, 3), np.uint8)).shape == (2, 64, 32, 3)
    card = json.loads((tmp_path / "generator.json").read_text())
    assert card["recipe"] == "ptgan"
    assert card["settings"]["identity_weight"] == 7
    assert card["steps"] == 2
    assert card["sha256"]["generator"] == generator.sha256
    assert card["licence"] == "Apache-2.0"
    source = card["data"]["source"]
    assert source["images"] == toy_people - 1, "one image has no mask"
    assert source["manifest_sha256"] == open_dataset(toy_sources.market).digest()
    assert source["annotations_sha256"] == open_dataset(annotations["market-like"]).digest()
    people = open_dataset(toy_sources.market).scan().collect()
    people = people.filter((people["split"] == "train") & (people["role"] == "person"))
    assert set(source["subjects"]) == {subject_key("toy-market-like", name) for name in people["identity"]}
    assert {path.suffix for path in (tmp_path / "samples").iterdir()} == {".png"}


def test_cyclegan_needs_no_masks_and_goes_on(
    toy_sources: ToySources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments("cyclegan", toy_sources, tmp_path, "--steps", "1", "--images", "4")
    run(given)
    sha256 = load_generator(tmp_path).sha256
    (tmp_path / "generator.safetensors").unlink()
    run(given)
    assert "going on from step 1 of 1" in capsys.readouterr().out
    assert load_generator(tmp_path).sha256 == sha256


def test_masks_lie_on_their_images(toy_sources: ToySources, annotations: dict[str, str]) -> None:
    data = load_domain(toy_sources.market, annotations["market-like"], 128, 64, needs=["masks", "keypoints"])
    assert data.masks is not None
    assert data.keypoints is not None
    assert data.identities is not None
    assert data.identities.max() < len(data)
    assert data.images.shape[1:3] == data.masks.shape[1:3] == (143, 72)
    rows = {row["image_sha256"]: row for row in open_dataset(toy_sources.market).read().to_pylist()}
    assert len(data) < len(rows)
    assert 0.05 < data.masks.mean() < 0.6


def test_mistakes_are_one_line(toy_sources: ToySources, annotations: dict[str, str], tmp_path: Path) -> None:
    size = {"height": 64, "width": 32, "needs": ["masks"]}
    with pytest.raises(UserError, match=r"needs masks or keypoints: run `python jobs/annotate.py --source"):
        load_domain(toy_sources.market, None, **size)
    with pytest.raises(UserError, match=r"give the result as --target-annotations$"):
        load_domain(toy_sources.market, None, **size, flag="--target-annotations")
    with pytest.raises(UserError, match="holds source rows, annotation rows are needed"):
        load_domain(toy_sources.market, toy_sources.market, **size)
    with pytest.raises(UserError, match=r"holds annotations of other images: none of the"):
        load_domain(toy_sources.market, annotations["duke-like"], **size)
    with pytest.raises(UserError, match="unknown recipe 'biggan'; known: camstyle, "):
        run(arguments("biggan", toy_sources, tmp_path))
    with pytest.raises(UserError, match="unknown option --identity-weight"):
        run(arguments("cyclegan", toy_sources, tmp_path, "--identity-weight", "3"))
    for recipe, does in (
        ("spgan", "it does not tell cameras apart"),
        ("camstyle_multidomain", "it learns all cameras of its source"),
        ("pix2pix_cameras", "its two are --source-camera and --target-camera"),
    ):
        given = arguments(recipe, toy_sources, tmp_path, "--cameras", "1,2")
        known = given[: given.index("--blocks")] + given[given.index("--blocks") + 2 :]
        with pytest.raises(UserError, match=f"--cameras means nothing to --recipe {recipe}: {does}"):
            run(known)
    with pytest.raises(UserError, match="--cameras means nothing with --target"):
        run(arguments("camstyle", toy_sources, tmp_path, "--cameras", "1,2", "--target", toy_sources.duke))
    with pytest.raises(UserError, match="--workers shares the batches of one training"):
        run(without_target(arguments("camstyle", toy_sources, tmp_path, "--workers", "2")))
    assert not list(tmp_path.iterdir())


def test_recipe_may_stand_in_the_configuration_file(tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    config.write_text("recipe: cyclegan\nmapping_weight: 3\nsource: a\ntarget: b\noutput: c\n")
    given = ["--config", str(config)]
    settings = parse_settings(job.settings_for(job._asked_recipe(given)), given)
    assert settings.recipe == "cyclegan"
    assert settings.mapping_weight == 3
    assert not hasattr(settings, "identity_weight")


@pytest.mark.parametrize("recipe", ["cgan", "camstyle_multidomain", "cyclegan"])
def test_quality_is_measured_if_a_model_is_given(
    recipe: str, toy_sources: ToySources, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_reid(tmp_path / "reid.safetensors", build_network(NetworkSettings(channels=4), 3), 64, 32)
    more = ["--fid-model", str(tmp_path / "reid.safetensors"), "--steps", "2", "--measure-every", "1"]
    given = arguments(recipe, toy_sources, tmp_path / "out", "--batch-size", "2", *more)
    if recipe == "cgan":
        del given[given.index("--blocks") : given.index("--blocks") + 2]
    run(given)
    assert capsys.readouterr().out.count("steps fid ") == 2
    metrics = json.loads((tmp_path / "out" / "generator.json").read_text())["metrics"]
    assert metrics["fid"] > 0
    assert metrics["diversity_real"] > 0


@pytest.mark.ray
def test_two_workers_train_one_generator(
    toy_sources: ToySources, tmp_path: Path, local_ray: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(toy_sources.market).parent
    monkeypatch.chdir(folder)  # the workers stand elsewhere
    toy_sources = toy_sources._replace(market="market-like", duke="duke-like")
    more = ["--steps", "2", "--images", "4", "--batch-size", "2", "--workers", "2", "--precision", "float32"]
    run(arguments("cyclegan", toy_sources, tmp_path / "both", *more))
    run(arguments("cyclegan", toy_sources, tmp_path / "alone", *more[:-4], "--precision", "float32"))
    both, alone = (load_generator(tmp_path / name, precision="float32") for name in ("both", "alone"))
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    assert np.abs(both.translate(images).astype(int) - alone.translate(images)).max() <= 2
    assert len(list((tmp_path / "both" / "checkpoints").iterdir())) == 1


@pytest.mark.ray
def test_camstyle_trains_every_two_cameras(
    toy_sources: ToySources, tmp_path: Path, local_ray: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = without_target(arguments("camstyle", toy_sources, tmp_path, "--steps", "1", "--cameras", "1,2,4"))
    run(given)
    card = json.loads((tmp_path / "camstyle.json").read_text())
    assert card["cameras"] == [1, 2, 4]
    assert sorted(card["generators"]) == ["1->2", "1->4", "2->1", "2->4", "4->1", "4->2"]
    for entry in card["generators"].values():
        assert load_generator(tmp_path / entry["path"]).sha256 == entry["sha256"]
    assert json.loads((tmp_path / "1_4" / "generator.json").read_text())["settings"]["target_camera"] == 4
    assert "3/3 (100%)" in capsys.readouterr().out
    with pytest.raises(UserError, match="has no training image of camera 9"):
        run([*given[:-1], "1,9"])


@pytest.mark.parametrize("places", [1, 2])
def test_a_flow_learns_one_place_or_two(
    places: int, toy_sources: ToySources, toy_annotations: str, tmp_path: Path
) -> None:
    """Of the second nothing need be known: it has no annotations here."""
    asked = arguments("personflow", toy_sources, tmp_path, "--steps", "2", "--batch-size", "4", "--channels", "8")
    for flag in ("--ngf", "--blocks", "--ndf"):
        place = asked.index(flag)
        asked = asked[:place] + asked[place + 2 :]
    asked += ["--source-annotations", toy_annotations, "--teacher-decay", "0.5"]
    run(asked if places == 2 else without_target(asked))
    settings = load_generator(tmp_path).settings
    rows = open_dataset(toy_sources.market).scan().collect()
    people = rows.filter((rows["split"] == "train") & (rows["role"] == "person"))
    assert settings["cameras"] == people["camera"].unique().sort().to_list()
    assert bool(settings["target_cameras"]) == (places == 2)
    assert (settings["teacher_decay"], len(settings["canonical_poses"])) == (0.5, 8)
    card = json.loads((tmp_path / "generator.json").read_text())
    assert set(card["data"]) == {"source", "target"} if places == 2 else {"source"}
    assert load_generator(tmp_path).translate(np.zeros((1, 64, 32, 3), np.uint8)).shape == (1, 64, 32, 3)
