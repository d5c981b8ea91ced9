"""A whole data set scored by a small trained ReID model: mixed identities are found, nothing else of a row changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch

import jobs.score_dataset as score_job
from manifests.__main__ import main as manifests_main
from manifests.checking.validate import validate
from manifests.errors import UserError
from manifests.format.names import content_id, subject_key
from manifests.format.schema import SOURCE_SCHEMA, SYNTHETIC_SCHEMA
from manifests.format.soft_labels import ClassMap, one_hot
from manifests.format.terms import UNSTATED
from manifests.reading.dataset import open_dataset
from manifests.reading.runs import runs
from manifests.writing.run import Dataset, DatasetRun, ShardSink
from pipeline.common.images import encode, pixel_sha256
from pipeline.common.settings import parse_settings
from pipeline.measures.identity import auroc
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import mixed_batches
from pipeline.reid.model import as_model, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.sets import load_sets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.scoring import dataset as scoring
from tests.manifests.manifest_rows import source_rows
from tests.pipeline.spoiled import spoiled

HEIGHT, WIDTH = 32, 16
PEOPLE, IMAGES = 24, 6
HOME = "paper dolls"


def drawn(person: int, number: int) -> np.ndarray:
    """A person in two colours of their own, never in the same light twice, (32, 16, 3) uint8."""
    own, rng = np.random.default_rng(person), np.random.default_rng((person, number))
    image = np.full((HEIGHT, WIDTH, 3), 128.0)
    coat, trousers = own.integers(20, 236, (2, 3))
    left = 4 + int(rng.integers(-1, 2))
    image[4:17, left : left + 8] = coat
    image[17:30, left : left + 8] = trousers
    image = image * rng.uniform(0.85, 1.15) + rng.normal(0, 12, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def name_of(person: int) -> str:
    return f"{person:04d}"


class Laboratory:
    """Half of the people to train on, half kept apart; a model of the former; a generator that mixes people up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def source(self) -> str:
        rows = []
        for person in range(2 * PEOPLE):
            for number in range(IMAGES):
                data = encode(drawn(person, number), "png")
                row = {"image_id": content_id(person, number), "image": {"bytes": data, "path": "a.png"}}
                row |= {"image_sha256": hashlib.sha256(data).hexdigest(), "width": WIDTH, "height": HEIGHT}
                row |= {"identity": name_of(person), "camera": number % 3 + 1, "domain": "flat", "role": "person"}
                split = "train" if person < PEOPLE else "query" if number < 2 else "gallery"
                rows.append({**row, "split": split, "relative_path": "a.png", "dataset_id": HOME})
        run = DatasetRun.start(str(self.folder / "source"), "source", "drawn", {0: len(rows)})
        run.sink.commit(0, pa.Table.from_pylist(rows, schema=SOURCE_SCHEMA))
        run.close()
        return run.uri

    @cached_property
    def model(self) -> str:
        sets = load_sets([self.source], HEIGHT, WIDTH)
        network = build_network(NetworkSettings(channels=8), PEOPLE, 0)
        batches = mixed_batches(sets, 0, augmentation=AugmentationSettings(erasing=0.0))
        ReidTraining(network, batches, ReidTrainingSettings(steps=150, batch_size=16)).run()
        path = self.folder / "reid.safetensors"
        save_reid(path, network, HEIGHT, WIDTH, sets.classes)
        return str(path)

    @cached_property
    def mixed(self) -> np.ndarray:
        """Which of the generated rows show somebody else: a fifth."""
        return np.random.default_rng(0).random(PEOPLE * IMAGES) < 0.2

    @cached_property
    def generated(self) -> str:
        """Each training image in other light; a fifth of the rows show another person under the asked name."""
        source = open_dataset(self.source).read(["image_sha256", "identity", "split", "camera"]).to_pylist()
        rng, rows = np.random.default_rng(1), []
        for index, row in enumerate(one for one in source if one["split"] == "train"):
            person = int(row["identity"])
            shown = (person + int(rng.integers(1, PEOPLE))) % PEOPLE if self.mixed[index] else person
            rows.append(synthetic_row(index, row, drawn(shown, 100 + index)))
        labels = one_hot([int(row["identity"]) for row in rows], PEOPLE)
        shape = pa.schema([field for field in SYNTHETIC_SCHEMA if field.name not in labels])
        bare = pa.Table.from_pylist(rows, schema=shape)
        table = pa.table({**labels, **{name: bare.column(name) for name in bare.column_names}})
        footer = {ClassMap.FOOTER_KEY: ClassMap(tuple(map(name_of, range(PEOPLE)))).to_json()}
        half = len(rows) // 2
        record = {"job": "mixer", "inputs": [{"role": "source", "uri": self.source, "id": HOME}]}
        run = DatasetRun.start(
            str(self.folder / "made"), "synthetic", "mixer", {0: half, 1: half}, footer=footer, run=record
        )
        run.sink.commit(0, table.slice(0, half))
        run.sink.commit(1, table.slice(half))
        run.close()
        assert validate(run.uri).faults == []
        return run.uri

    @cached_property
    def scored(self) -> Dataset:
        return self.score(str(self.folder / "scored"))

    def score(self, output: str, *more: str) -> Dataset:
        arguments = [self.generated, "--model", self.model, "--output", output, "--threads", "1", *more]
        score_job.main(parse_settings(score_job.Settings, arguments))
        return open_dataset(output)


UNKNOWN = {"licence": UNSTATED, "consent_basis": UNSTATED}


def synthetic_row(index: int, source: dict[str, object], image: np.ndarray) -> dict[str, object]:
    data, identity = encode(image, "png"), str(source["identity"])
    row = {"sample_id": f"{index:032x}", "image": {"bytes": data, "path": "a.png"}, "width": WIDTH, "height": HEIGHT}
    row |= {"image_sha256": hashlib.sha256(data).hexdigest(), "pixel_sha256": pixel_sha256(image), "identity": identity}
    row |= {"camera": source["camera"], "domain": "flat", "split": "train", "seed": 0, "draw": 0, "plan_id": "mixer"}
    row |= {"subject_keys": [subject_key(HOME, identity)], "recipe": "ptgan", "recipe_version": "1"}
    row |= {"sources": [{"sha256": source["image_sha256"], "role": "content", "dataset_id": HOME}]}
    row |= {"settings_sha256": "0" * 64, "checkpoint_sha256s": ["1" * 64], "target": {"camera": source["camera"]}}
    return {**row, "quality": {"pose_error": 0.25}, "digital_source_type": "trainedAlgorithmicMedia", **UNKNOWN}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # of images so small, several threads make a slow thing of it
    yield Laboratory(tmp_path_factory.mktemp("paper"))
    torch.set_num_threads(threads)


def quality(dataset: Dataset) -> pl.DataFrame:
    return dataset.scan().select("sample_id", "quality").unnest("quality").sort("sample_id").collect()


def test_the_filter_finds_mixed_identities(lab: Laboratory) -> None:
    scores = quality(lab.scored)
    reliability = scores["reliability"].to_numpy()
    assert auroc(reliability, ~lab.mixed) >= 0.9
    assert reliability[lab.mixed].mean() < 0.4 < 0.8 < reliability[~lab.mixed].mean()
    kept = lab.scored.scan().filter(pl.col("quality").struct.field("reliability") >= 0.5).collect()
    assert {int(name, 16) for name in kept["sample_id"]} == set(np.flatnonzero(reliability >= 0.5))


def test_training_takes_the_reliable_rows_alone(lab: Laboratory) -> None:
    kept = int((quality(lab.scored)["reliability"] >= 0.5).sum())
    assert 0 < kept < PEOPLE * IMAGES
    assert len(load_sets([lab.scored.uri], HEIGHT, WIDTH, min_reliability=0.5).images) == kept
    assert len(load_sets([lab.scored.uri], HEIGHT, WIDTH).images) == PEOPLE * IMAGES
    for uri, least, reason in (
        (lab.generated, 0.5, "score it with jobs/score_dataset.py"),
        (lab.scored.uri, 1.0, "no row of .* has a reliability of 1 or more"),
        (lab.source, 0.5, "only synthetic rows"),
    ):
        with pytest.raises(UserError, match=reason):
            load_sets([uri], HEIGHT, WIDTH, min_reliability=least)


def test_only_the_scores_of_a_row_change(lab: Laboratory) -> None:
    before, after = open_dataset(lab.generated), lab.scored
    rest = [name for name in SYNTHETIC_SCHEMA.names if name != "quality"]
    assert after.read(rest).equals(before.read(rest))
    assert [entry.rows for entry in after.snapshot.files] == [entry.rows for entry in before.snapshot.files]
    assert set(quality(after)["pose_error"]) == {0.25}
    assert quality(before)["reliability"].null_count() == before.snapshot.rows
    assert (after.classes, validate(after.uri).faults) == (before.classes, [])
    assert [run.job for run in runs(after)] == ["mixer", "score_dataset"]


def test_figures_of_the_set_stand_in_its_run_record(lab: Laboratory) -> None:
    record = lab.scored.run["run"]
    scores, calibration = record["scores"], record["calibration"]
    assert scores["reliability"] == pytest.approx(quality(lab.scored)["reliability"].mean())
    assert scores["pose_error"] == 0.25
    # The same drawer draws both.
    assert scores["fid"] < 10 * scores["fid_real"]
    assert {"fid_camera_1", "fid_real_camera_3", "kid", "coverage", "diversity_real"} <= set(scores)
    assert scores["reliability_auroc"] == calibration["auroc"] > 0.9
    assert sum(bar["share"] for bar in calibration["diagram"]) == pytest.approx(1.0)
    assert (calibration["people"], calibration["splits"]) == (PEOPLE, ["gallery", "query"])
    assert runs(lab.scored)[-1].checkpoints[0].role == "judge of identities"


def test_the_report_tells_them(lab: Laboratory, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert manifests_main(["report", lab.scored.uri, "--output", str(page)]) == 0
    assert "Reliability" in page.read_text()
    assert "fid_camera_1" in page.read_text()
    assert "Reliability against truth" in page.read_text()


def test_a_stopped_scoring_goes_on_to_the_same_bytes(lab: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, output = ShardSink.commit, "memory:stopped-scoring"

    def stopped(self: ShardSink, shard: int, *arguments: object, **more: object) -> object:
        if shard == 1:
            raise KeyboardInterrupt
        return commit(self, shard, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ShardSink, "commit", stopped)
    with pytest.raises(KeyboardInterrupt):
        lab.score(output)
    monkeypatch.undo()
    again = lab.score(output)
    assert [entry.sha256 for entry in again.snapshot.files] == [entry.sha256 for entry in lab.scored.snapshot.files]
    assert again.run["run"]["scores"] == lab.scored.run["run"]["scores"]
    monkeypatch.setattr(scoring, "source_people", None)  # a finished scoring does nothing again
    assert lab.score(output).snapshot.number == again.snapshot.number


def test_mistakes_are_one_line(lab: Laboratory, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds source rows, synthetic rows are needed"):
        score_job.main(parse_settings(score_job.Settings, [lab.source, "--model", lab.model]))
    with pytest.raises(UserError, match="choose another folder"):
        lab.score(lab.generated)
    with pytest.raises(UserError, match="source rows are needed: see --source"):
        lab.score(str(tmp_path / "out"), "--source", lab.generated)
    with pytest.raises(UserError, match="name their source manifest with --source"):
        lab.score(str(tmp_path / "out"), "--source", unrelated_source(tmp_path / "unrelated"))
    assert not (tmp_path / "out").exists()


def unrelated_source(folder: Path) -> str:
    run = DatasetRun.start(str(folder), "source", "unrelated", {0: 4})
    run.sink.commit(0, source_rows(4))
    run.close()
    return run.uri


def test_a_model_that_answers_nan_scores_nothing(lab: Laboratory, tmp_path: Path) -> None:
    broken = as_model(spoiled(build_network(NetworkSettings(channels=4), PEOPLE)), HEIGHT, WIDTH)
    job = scoring.open_scoring(lab.generated, [], broken, "broken", scoring.ScoreSettings())
    output = tmp_path / "scored"
    with pytest.raises(UserError, match=rf"^{lab.source}: the ReID network \S* answers \d+ of \d+ images with NaN"):
        scoring.score(job, str(output))
    assert not output.exists()
