"""`jobs/evaluate_reid.py` on the drawn world with a network of random weights, and what its users may get wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

import jobs.evaluate_reid as job
from manifests.errors import UserError
from manifests.format.schema import SOURCE_SCHEMA, SYNTHETIC_SCHEMA
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from pipeline.common.row_images import PICTURE
from pipeline.common.settings import parse_settings
from pipeline.reid.evaluation import evaluate
from pipeline.reid.features import Embedded, FeatureKind, PoseFeatures, embed_people, with_poses
from pipeline.reid.fusion import fuse_poses
from pipeline.reid.model import ReidModel, as_model, load_reid, save_reid
from pipeline.reid.network import NetworkSettings, ReidNetwork, build_network
from pipeline.reid.norm import adapt_to
from pipeline.reid.retrieval import RetrievalSettings, measure_on
from pipeline.sources.ingest import ingest, make_plan
from pipeline.sources.known_layouts import get_layout
from pipeline.sources.layout_base import ScanOptions
from pipeline.sources.reading import Provenance
from tests.manifests.manifest_rows import FOOTER, picture, synthetic_rows
from tests.manifests.people_rows import people_source, write
from tests.pipeline.spoiled import spoiled

if TYPE_CHECKING:
    from tests.conftest import ToySources


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a network of random weights."""
    path = tmp_path_factory.mktemp("reid") / "reid.safetensors"
    save_reid(path, untrained(1), 96, 32)
    return str(path)


def untrained(seed: int) -> ReidNetwork:
    """A network of random weights whose neck takes something off, as that of a trained one."""
    network = build_network(NetworkSettings(channels=4), 3, seed=seed)
    network.neck.running_mean.copy_(torch.linspace(0, 1, network.num_features))  # type: ignore[union-attr]
    return network


@pytest.fixture(scope="module")
def model(weights: str) -> ReidModel:
    return load_reid(weights)


def run(*given: str) -> int:
    return job.main(parse_settings(job.Settings, [*given, "--threads", "1"]))


def write_poses(uri: Path, market: str, poses: list[str], people_only: bool = True) -> str:
    """Generated poses that show another image each time, of all persons in query and gallery."""
    rows = open_dataset(market).read().to_pylist()
    wanted = [row for row in rows if row["split"] != "train" and (row["role"] == "person" or not people_only)]
    count = len(wanted) * len(poses)
    made = synthetic_rows(0, count).to_pylist()
    for number, row in enumerate(made):
        shown = wanted[number // len(poses)]
        row["sources"] = [{"sha256": shown["image_sha256"], "role": "content", "dataset_id": "toy"}]
        row["target"] = {"camera": None, "domain": None, "pose": poses[number % len(poses)]}
        row |= {name: rows[(7 * number) % len(rows)][name] for name in PICTURE}
    writing = DatasetRun.start(str(uri), "synthetic", "ab" * 32, {0: count}, footer=FOOTER)
    writing.sink.commit(0, pa.Table.from_pylist(made, schema=SYNTHETIC_SCHEMA))
    writing.close()
    return str(uri)


def test_two_sets_and_json(
    toy_sources: ToySources, weights: str, model: ReidModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    both = ("--eval", toy_sources.market, "--eval", toy_sources.duke)
    assert run("--model", weights, *both, "--json", str(file)) == 0
    found = json.loads(file.read_text())
    assert found["model_sha256"] == model.sha256
    assert [one["eval"] for one in found["results"]] == [toy_sources.market, toy_sources.duke]
    assert found["results"][0]["manifest_sha256"] == open_dataset(toy_sources.market).digest()
    people = embed_people(toy_sources.market, model)
    parts = [people[split] for split in ("query", "gallery")]
    by_hand = evaluate(*(array for part in parts for array in (part.features, part.identities, part.cameras)))
    assert {name: found["results"][0][name] for name in by_hand.as_dict()} == by_hand.as_dict()
    text = capsys.readouterr().out
    assert f"{toy_sources.market}: rank-1 {by_hand.rank1:.2%}, rank-5" in text
    assert f"{by_hand.queries} queries in {len(people['gallery'].digests)} images" in text


def test_local_max_pooling_is_the_maximum_of_each_stripe(model: ReidModel) -> None:
    images = np.random.Generator(np.random.Philox(0)).integers(0, 256, (3, 96, 32, 3), dtype=np.uint8)
    last = model.activations(images)[-1]
    assert last.shape[2] == 6, "one row for each part"
    expected = last.max(axis=3).reshape(3, -1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert model.embed_parts(images) == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(model.embed_parts(images[1:2]), model.embed_parts(images)[1:2])
    low = ReidModel(model.network, 64, 32)
    with pytest.raises(UserError, match="needs 6 rows in the last map"):
        low.embed_parts(images)


def test_each_option_changes_what_is_compared(toy_sources: ToySources, model: ReidModel, tmp_path: Path) -> None:
    poses = write_poses(tmp_path / "poses", toy_sources.market, ["class 0", "class 1"])
    chosen: list[dict[str, Any]] = [{}, {"lmp": True}, {"rerank": True, "k1": 6, "k2": 2}, {"poses": poses}]
    found = [measure_on(toy_sources.market, model, RetrievalSettings(**one)) for one in chosen]
    assert len({one.retrieval.mean_ap for one in found}) == len(chosen)
    assert len({(one.retrieval.queries, one.gallery) for one in found}) == 1
    plain = measure_on(toy_sources.market, model, RetrievalSettings(rerank=True, k1=6, k2=2, rerank_lambda=1.0))
    assert plain.retrieval == found[0].retrieval
    assert [one.without_poses for one in found] == [None, None, None, 0]
    roles = open_dataset(toy_sources.market).read(["role", "split"]).to_pylist()
    others = sum(row["role"] == "distractor" and row["split"] != "train" for row in roles)
    assert [one.distractors_without_poses for one in found] == [None, None, None, others]
    assert others > 0


def test_distractors_without_poses_are_told_apart(
    toy_sources: ToySources, model: ReidModel, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures without them are those of a set that has none."""
    market, poses = toy_sources.market, write_poses(tmp_path / "poses", toy_sources.market, ["class 0", "class 1"])
    rows = open_dataset(market).read()
    alone = write(str(tmp_path / "alone"), "source", rows.filter(pc.not_equal(rows.column("role"), "distractor"))).uri
    with_them, without = (measure_on(uri, model, RetrievalSettings(poses=poses)) for uri in (market, alone))
    assert with_them.people_alone == {"fused": without.retrieval, **without.controls}
    assert (without.distractors_without_poses, without.people_alone) == (0, {})
    assert with_them.retrieval != without.retrieval
    run("--model", weights, "--eval", market, "--poses", poses)
    text = capsys.readouterr().out
    assert f"{with_them.distractors_without_poses} distractors have no poses, which tells them from people" in text
    assert f"\n  without distractors, fused: rank-1 {without.retrieval.rank1:.2%}" in text


def cameraless(uri: Path, market: str, camera: int | None, drop: bool = False) -> str:
    """The queries and gallery of ``market`` as one camera took them, or nobody knows which; ``drop``: other people."""
    rows = open_dataset(market).read().to_pylist()
    for row in rows:
        row["camera"] = camera
        if drop and row["split"] == "query":
            row["identity"] = f"other {row['identity']}"
    return write(str(uri), "source", pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA)).uri


def test_three_causes_have_three_messages(
    toy_sources: ToySources, model: ReidModel, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = cameraless(tmp_path / "unknown", toy_sources.market, None)
    one = cameraless(tmp_path / "one", toy_sources.market, 1)
    others = cameraless(tmp_path / "others", toy_sources.market, 1, drop=True)
    same = r": --count-same-camera counts images of the query's own camera too$"
    for uri, said in (
        (unknown, r"\d+ of people whose cameras nobody knows, so that none is another one" + same),
        (one, r"\d+ of people seen there by the query's own camera alone" + same),
        (others, r"\d+ of people who are not in the gallery: are they named alike\?$"),
    ):
        with pytest.raises(UserError, match=f"^--eval {uri}: no query has an answer in the gallery: {said}"):
            run("--model", weights, "--eval", uri)
        with pytest.raises(UserError, match=f"^{uri}: no query has an answer in the gallery: {said}"):
            measure_on(uri, model, RetrievalSettings())
    capsys.readouterr()
    assert run("--model", weights, "--eval", unknown, "--eval", one, "--count-same-camera") == 0
    text = capsys.readouterr().out
    assert text.startswith("images by the query's own camera are answers too")
    people = embed_people(one, model)
    query, gallery = people["query"], people["gallery"]
    nowhere = np.full(len(gallery.cameras), 2)
    by_hand = evaluate(query.features, query.identities, query.cameras, gallery.features, gallery.identities, nowhere)
    assert text.count(f": rank-1 {by_hand.rank1:.2%}, rank-5") == 2
    with pytest.raises(UserError, match="leave --count-same-camera out"):
        run("--model", weights, "--eval", one, "--count-same-camera", "--protocol", "cuhk03_new")


def test_a_copy_of_the_query_is_no_answer(toy_sources: ToySources, model: ReidModel, tmp_path: Path) -> None:
    rows, same = open_dataset(toy_sources.market).read().to_pylist(), RetrievalSettings(count_same_camera=True)
    query = next(row for row in rows if row["split"] == "query")
    copy = query | {"split": "gallery", "image_id": "0" * 32}

    def measured(name: str, part: list[dict[str, Any]]) -> float:
        uri = write(str(tmp_path / name), "source", pa.Table.from_pylist(part, schema=SOURCE_SCHEMA)).uri
        return measure_on(uri, model, same).retrieval.mean_ap

    gallery = [row for row in rows if row["split"] == "gallery"]
    assert measured("both", [query, *gallery, copy]) == measured("plain", [query, *gallery]) < 1
    with pytest.raises(UserError, match=r"1 of people shown there by the query's own picture alone$"):
        measured("copies", [query, copy])


def test_queries_that_are_left_out_are_said(
    toy_sources: ToySources, weights: str, model: ReidModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = open_dataset(toy_sources.market).read().to_pylist()
    lost = next(row["identity"] for row in rows if row["split"] == "query")
    kept = [row for row in rows if row["identity"] != lost or row["split"] != "gallery"]
    uri = write(str(tmp_path / "some"), "source", pa.Table.from_pylist(kept, schema=SOURCE_SCHEMA)).uri
    asked = sum(row["identity"] == lost and row["split"] == "query" for row in rows)
    found = measure_on(uri, model, RetrievalSettings())
    assert found.as_dict()["left_out"] == {"not_in_gallery": asked}
    run("--model", weights, "--eval", uri)
    said = f"; without an answer and left out: {asked} of people who are not in the gallery"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("fusion", ["max", "mean", "concatenation"])
def test_poses_are_fused_by_their_image(fusion: Any) -> None:
    features = np.eye(4, dtype=np.float32)
    part = Embedded(np.array([1, 2]), np.array([1, 1]), ("a", "b"), features[:2])
    other = replace(part, features=features[2:] * np.float32(0.5))
    poses = PoseFeatures({"a": {"class 0": features[2], "class 1": features[3]}, "b": {"class 1": features[0]}},
                         ("class 0", "class 1"))  # fmt: skip
    fused, lacking = with_poses(part, other, poses, fusion)
    assert lacking.tolist() == [False, True]
    # In the place of class 0 of b what the poses' network makes of b itself.
    slots = np.stack([[features[2], features[3]], [other.features[1], features[0]]])
    assert np.array_equal(fused.features, fuse_poses(part.features, slots, fusion))


@pytest.mark.parametrize("chosen", [{}, {"fusion": "mean", "pose_weight": 0.5}, {"fusion": "concatenation"}])
def test_what_comes_without_generated_images_stands_beside(
    toy_sources: ToySources,
    model: ReidModel,
    weights: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    chosen: dict[str, Any],
) -> None:
    market = toy_sources.market
    poses = write_poses(tmp_path / "poses", market, ["class 0", "class 1"])
    save_reid(tmp_path / "other.safetensors", untrained(2), 96, 32)
    flags = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    both = ["--model", weights, "--pose-model", str(tmp_path / "other.safetensors")]
    assert run(*both, "--eval", market, "--poses", poses, *flags, "--json", str(tmp_path / "found.json")) == 0
    record = json.loads((tmp_path / "found.json").read_text())
    digests = [record[name] for name in ("model_sha256", "pose_model_sha256", "poses_sha256")]
    other = load_reid(tmp_path / "other.safetensors")
    assert digests == [model.sha256, other.sha256, open_dataset(poses).digest()]
    found = record["results"][0]
    text, kind = capsys.readouterr().out, cast(FeatureKind, "neck" if chosen else "pooled")
    mine = embed_people(market, model, kind)
    theirs = embed_people(market, other, kind)
    how = chosen.get("fusion", "max"), chosen.get("pose_weight")
    by_hand = {"one_network": mine, "two_networks": {}}
    for split, part in mine.items():
        twice = np.repeat(theirs[split].features[:, None], 2, axis=1)
        by_hand["two_networks"][split] = replace(part, features=fuse_poses(part.features, twice, *how))
    for name, people in by_hand.items():
        parts = [people[split] for split in ("query", "gallery")]
        figures = evaluate(*(array for part in parts for array in (part.features, part.identities, part.cameras)))
        assert found["controls"][name] == figures.as_dict()
        assert f"without a generated image, {name.replace('_', ' ')}: rank-1 {figures.rank1:.2%}" in text
    assert found["mean_ap"] not in [one["mean_ap"] for one in found["controls"].values()]
    alone = measure_on(market, model, RetrievalSettings(poses=poses, **chosen))
    assert set(alone.controls) == {"one_network"}, "of one network there is no ensemble"


def test_pooled_features_are_never_negative(toy_sources: ToySources, model: ReidModel) -> None:
    pooled, neck = (embed_people(toy_sources.market, model, kind)["query"].features for kind in ("pooled", "neck"))
    assert pooled.min() >= 0 > neck.min()
    assert np.linalg.norm(pooled, axis=1) == pytest.approx(np.ones(len(pooled)), abs=1e-6)


def test_poses_of_other_images(toy_sources: ToySources, model: ReidModel, tmp_path: Path) -> None:
    drawn = write_poses(tmp_path / "drawn", toy_sources.market, ["ab" * 32, "cd" * 32], people_only=False)
    assert measure_on(toy_sources.market, model, RetrievalSettings(poses=drawn)).without_poses == 0
    with pytest.raises(UserError, match="needs canonical ones"):
        measure_on(toy_sources.market, model, RetrievalSettings(poses=drawn, fusion="concatenation"))
    twice = write_poses(tmp_path / "twice", toy_sources.market, ["class 0", "class 0"])
    wide = as_model(build_network(NetworkSettings(channels=8), 3), 96, 32)
    with pytest.raises(UserError, match="of the poses gives 64 numbers for an image, that of the images 32"):
        measure_on(toy_sources.market, model, RetrievalSettings(poses=drawn), wide)
    with pytest.raises(UserError, match="in class 0 more than once"):
        measure_on(toy_sources.market, model, RetrievalSettings(poses=twice))
    with pytest.raises(UserError, match="make it with --splits query,gallery"):
        measure_on(toy_sources.duke, model, RetrievalSettings(poses=drawn))


def test_cuhk03_by_its_new_protocol(model: ReidModel, tmp_path: Path) -> None:
    """Two people, three pictures by each of two views; one of each view asks, the rest is the gallery."""
    names = [f"1_00{who}_{view}_0{5 * view - 5 + shot}.png" for who in (1, 2) for view in (1, 2) for shot in (1, 2, 3)]
    (tmp_path / "images_detected").mkdir()
    split: dict[str, list[Any]] = {"train": [], "query": [], "gallery": []}
    for number, name in enumerate(names):
        (tmp_path / "images_detected" / name).write_bytes(picture(number, 32, 96)[0])
        part = "query" if number % 3 == 0 else "gallery"
        split[part].append([name, int(name[4]), int(name[6]) - 1])
    both = {name: [*split["query"][:1], *split["gallery"]] if name == "query" else split[name] for name in split}
    both["gallery"] = split["query"][1:]
    (tmp_path / "splits_new_detected.json").write_text(json.dumps([split, both]))
    new = RetrievalSettings(protocol="cuhk03_new")
    found = measure_on(ingested(tmp_path, 0), model, new)
    assert (found.retrieval.queries, found.gallery) == (4, 8)
    assert found.retrieval.as_dict() == measure_on(found.uri, model, RetrievalSettings()).retrieval.as_dict()
    with pytest.raises(
        UserError, match="no split of CUHK03's new protocol: somebody has several queries by one camera"
    ):
        measure_on(ingested(tmp_path, 1), model, new)


def ingested(root: Path, split_index: int) -> str:
    provenance = Provenance("cuhk03", "campus", "drawn by a test", "nobody is shown")
    plan = make_plan(root, get_layout("cuhk03"), provenance, ScanOptions(split_index=split_index))
    return ingest(root, plan, provenance, str(root / f"manifest{split_index}")).uri


def test_mistakes_are_one_line(toy_sources: ToySources, weights: str, tmp_path: Path) -> None:
    market = ("--model", weights, "--eval", toy_sources.market)
    with pytest.raises(UserError, match="no data set at"):
        run(*market, "--eval", str(tmp_path / "nothing"), "--json", str(tmp_path / "found.json"))
    unasked = write(str(tmp_path / "unasked"), "source", people_source("A", ["ann"], 2)).uri
    with pytest.raises(UserError, match=r"--eval .*unasked: a source manifest with queries and a gallery is needed"):
        run(*market, "--eval", unasked, "--json", str(tmp_path / "found.json"))
    shutil.rmtree(unasked)
    with pytest.raises(UserError, match="name a file in a folder that exists"):
        run(*market, "--json", str(tmp_path))
    with pytest.raises(UserError, match="name them with --poses"):
        run(*market, "--pose-model", weights)
    with pytest.raises(UserError, match="--pose-weight belongs to --poses with --fusion mean"):
        run(*market, "--pose-weight", "2")
    with pytest.raises(UserError, match="--pose-weight belongs to --poses with --fusion mean"):
        run(*market, "--poses", toy_sources.market, "--pose-weight", "2")
    with pytest.raises(UserError, match="--fusion is of an image and its generated poses: name those with --poses"):
        run(*market, "--fusion", "mean")
    for flag, value in (("--k1", "10"), ("--k2", "3"), ("--rerank-lambda", "0.5")):
        with pytest.raises(UserError, match=f"{flag} is of re-ranking: add --rerank"):
            run(*market, flag, value)
    with pytest.raises(UserError, match="--adapt-splits are those of --adapt-norm"):
        run(*market, "--adapt-splits", "gallery")
    with pytest.raises(UserError, match="at most 6"):
        run(*market, "--rerank", "--k1", "5", "--k2", "7")
    with pytest.raises(UserError, match="too few for 100 neighbours"):
        run(*market, "--rerank", "--k1", "100")
    with pytest.raises(UserError, match="has 6 cameras, not 2; leave --protocol out"):
        run(*market, "--protocol", "cuhk03_new")
    with pytest.raises(UserError, match="holds source rows"):
        run(*market, "--poses", toy_sources.market)
    assert not list(tmp_path.iterdir())


def test_statistics_of_another_place(
    toy_sources: ToySources, weights: str, model: ReidModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market, duke, file = toy_sources.market, toy_sources.duke, tmp_path / "found.json"
    asked = ["--model", weights, "--eval", duke, "--adapt-norm", duke, "--json", str(file)]
    assert run(*asked) == 0
    found = json.loads(file.read_text())
    train = open_dataset(duke).scan().filter(pl.col("split") == "train").select("split").collect().height
    assert found["adapted"] == {"manifest_sha256": open_dataset(duke).digest(), "images": train}
    assert f"batch norms: statistics of {train} images of {duke}" in capsys.readouterr().out
    adapted = measure_on(duke, adapt_to(model, duke).model, RetrievalSettings()).retrieval
    assert found["results"][0] | adapted.as_dict() == found["results"][0]
    assert adapted != measure_on(duke, model, RetrievalSettings()).retrieval
    both = adapt_to(model, market, ("query", "gallery"))
    assert both.images == open_dataset(market).scan().filter(pl.col("split") != "train").collect().height


def test_features_that_are_not_finite_have_no_figures(toy_sources: ToySources, tmp_path: Path) -> None:
    broken = as_model(spoiled(build_network(NetworkSettings(channels=4), 3)), 96, 32)
    said = rf"^{toy_sources.market}: the ReID network \S* answers (\d+) of \1 images with NaN: [^\n]*$"
    for chosen in ({}, {"lmp": True}, {"rerank": True, "k1": 6}):
        with pytest.raises(UserError, match=said):
            measure_on(toy_sources.market, broken, RetrievalSettings.model_validate(chosen))
