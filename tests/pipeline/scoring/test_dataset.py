"""A whole data set scored by a small trained ReID model: mixed identities are found, nothing else of a row changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import jobs.score_dataset as score_job
from manifests.__main__ import main as manifests_main
from manifests.checking.validate import validate
from manifests.errors import UserError
from manifests.format.names import content_id
from manifests.format.schema import SYNTHETIC_SCHEMA
from manifests.reading.dataset import open_dataset
from manifests.reading.runs import runs
from manifests.writing.merge import merge
from manifests.writing.run import Dataset, DatasetRun, ShardSink
from pipeline.common.settings import parse_settings
from pipeline.measures.reliability import auroc
from pipeline.reid.model import as_model, load_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.sets import load_sets
from pipeline.scoring import dataset as scoring
from pipeline.scoring.row_facts import person_of
from pipeline.scoring.source_people import shown_people, source_people
from tests.manifests.manifest_rows import source_rows
from tests.pipeline.scoring.paper_people import (
    HEIGHT,
    HOME,
    IMAGES,
    PEOPLE,
    WIDTH,
    Laboratory,
    drawn,
    source_row,
    synthetic_row,
    write_made,
    write_source,
)
from tests.pipeline.spoiled import spoiled


def quality(dataset: Dataset) -> pl.DataFrame:
    return dataset.scan().select("sample_id", "quality").unnest("quality").sort("sample_id").collect()


def test_the_filter_finds_mixed_identities(lab: Laboratory) -> None:
    scores = quality(lab.scored)
    reliability = scores["reliability"].to_numpy()
    assert auroc(reliability, ~lab.mixed) >= 0.9
    assert reliability[lab.mixed].mean() < 0.1 < 0.7 < reliability[~lab.mixed].mean()
    plausibility = scores["plausibility"].to_numpy()
    assert plausibility[lab.mixed].mean() < 0.4 < 0.8 < plausibility[~lab.mixed].mean()
    assert (scores.filter(pl.col("reliability") > 0.5)["identity_rank"] == 1).all()
    kept = lab.scored.scan().filter(pl.col("quality").struct.field("reliability") >= 0.5).collect()
    assert {int(name, 16) for name in kept["sample_id"]} == set(np.flatnonzero(reliability >= 0.5))


def test_training_takes_the_reliable_rows_alone(lab: Laboratory) -> None:
    kept = int((quality(lab.scored)["reliability"] >= 0.5).sum())
    assert 0 < kept < PEOPLE * IMAGES
    assert len(load_sets([lab.scored.uri], HEIGHT, WIDTH, min_reliability=0.5).images) == kept
    assert len(load_sets([lab.scored.uri], HEIGHT, WIDTH).images) == PEOPLE * IMAGES
    for uri, least, reason in (
        (lab.generated, 0.5, "score it with jobs/score_dataset.py"),
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
    assert {"fid_camera_1", "fid_real_camera_3", "kid", "coverage", "diversity_real", "sharpness"} <= set(scores)
    assert scores["reliability_auroc"] == calibration["auroc"] > 0.8
    assert scores["plausibility_auroc"] == calibration["plausibility_auroc"] > 0.9
    assert scores["plausibility"] == pytest.approx(quality(lab.scored)["plausibility"].mean())
    # Where somebody else is shown, the own name is worth no more than a planted one.
    shown = 1 - lab.mixed.mean()
    assert scores["plausibility_auroc_generated"] == pytest.approx(shown + (1 - shown) / 2, abs=0.06)
    assert scores["reliability_auroc_generated"] < scores["plausibility_auroc_generated"]
    assert sum(bar["share"] for bar in calibration["diagram"]) == pytest.approx(1.0)
    assert (calibration["people"], calibration["splits"]) == (PEOPLE, ["gallery", "query"])
    assert runs(lab.scored)[-1].checkpoints[0].role == "judge of identities"


def test_people_in_another_light_are_recognised_by_norms_taken_anew(lab: Laboratory, tmp_path: Path) -> None:
    source = open_dataset(lab.source).read(["image_sha256", "identity", "split", "camera"]).to_pylist()
    light = np.array([0.5, 0.4, 0.3])
    people = [row for row in source if row["split"] == "train"]
    dusk = [(drawn(int(row["identity"]), 400 + number) * light).astype(np.uint8) for number, row in enumerate(people)]
    rows = [synthetic_row(number, *one) for number, one in enumerate(zip(people, dusk, strict=True))]
    made = write_made(tmp_path / "dusk", rows, [lab.source], PEOPLE)
    recognised = {}
    for flag in ("--adapt-norm", "--no-adapt-norm"):
        arguments = [
            made,
            "--model",
            lab.model,
            "--output",
            str(tmp_path / flag),
            "--no-likeness",
            "--target-steps",
            "0",
        ]
        score_job.main(parse_settings(score_job.Settings, [*arguments, flag, "--threads", "1"]))
        recognised[flag] = open_dataset(str(tmp_path / flag)).run["run"]["scores"]
    before, after = recognised["--no-adapt-norm"], recognised["--adapt-norm"]
    assert after["recognised"] > before["recognised"] + 0.2
    assert after["plausibility_auroc_generated"] > max(0.9, before["plausibility_auroc_generated"])
    # Distances of sets are of one network to both.
    assert after["fid"] == before["fid"]


def test_near_duplicates_are_a_score_like_any_other(lab: Laboratory, tmp_path: Path) -> None:
    source = open_dataset(lab.source).read(["image_sha256", "identity", "camera"]).to_pylist()
    people = [0, 1, 2, 3, 3, 4, 5, 6, 7, 7, 8, 9]
    pictures = [drawn(person, 300) for person in people]
    pictures[9] = np.ascontiguousarray(pictures[8][:, ::-1])
    rows = [synthetic_row(index, source[person * IMAGES], pictures[index]) for index, person in enumerate(people)]
    made = write_made(tmp_path / "made", rows, [lab.source], PEOPLE)
    model, settings = load_reid(lab.model, "cpu"), scoring.ScoreSettings(target_steps=0, map_images=8)
    scored = scoring.score(scoring.open_scoring(made, [], model, lab.model, settings), str(tmp_path / "scored"))
    assert scored.where("quality.repeats > 0").rows.tolist() == [4, 9]
    assert set(scored.where("quality.uniqueness = 0").rows) == {3, 4, 8, 9}
    assert len(scored.where("quality.map_x BETWEEN 0 AND 1 AND quality.map_y BETWEEN 0 AND 1")) == 8
    record = scored.run["run"]
    assert record["scores"]["repeated"] == pytest.approx(2 / 12)
    assert 0.9 < record["near_duplicates"]["least_similarity"] < 1
    without = settings.model_copy(update={"likeness": False})
    again = scoring.score(scoring.open_scoring(scored.uri, [], model, lab.model, without), str(tmp_path / "again"))
    assert quality(again)["uniqueness"].null_count() == 12, "no earlier scoring's stay"


def test_people_of_merged_sources_are_those_that_rows_name(tmp_path: Path) -> None:
    rows = [source_row(person, 0, drawn(person, 0)) for person in range(2)]
    others = [source_row(person, 1, drawn(person, 1), dataset_id="others") for person in range(2)]
    parts = [write_source(tmp_path / "ours", rows), write_source(tmp_path / "others", others)]
    merged = merge(parts, str(tmp_path / "merged"))
    assert f"{HOME}:0000" in merged.read(["identity"]).column("identity").to_pylist()
    model = as_model(build_network(NetworkSettings(channels=4), 2), HEIGHT, WIDTH)
    people, _ = source_people([merged], {str(rows[0]["image_sha256"])}, model)
    # A row that was made before the merge, and one that was merged too.
    for name in ("0000", f"{HOME}:0000"):
        assert people.numbers[person_of({"dataset_id": HOME, "identity": name})] == 0
    assert len(people.numbers) == 4


def test_an_image_that_is_there_twice_does_not_vouch_for_itself(tmp_path: Path) -> None:
    rows = [source_row(person, number, drawn(person, number)) for person in range(2) for number in range(2)]
    again = [row | {"image_id": content_id("again", str(row["image_id"]))} for row in rows]
    once, twice = (open_dataset(write_source(tmp_path / str(len(some)), some)) for some in (rows, rows + again))
    model = as_model(build_network(NetworkSettings(channels=4), 2), HEIGHT, WIDTH)
    digests = {str(row["image_sha256"]) for row in rows}
    alone = shown_people([once], digests, model)
    for sources in ([twice], [once, once]):
        found = shown_people(sources, digests, model)
        assert (found.rows, found.numbers) == (alone.rows, alone.numbers)
        assert (found.gallery.features == alone.gallery.features).all()


@pytest.mark.parametrize(("images", "splits"), [(1, ("train",)), (2, ("query",))])
def test_strangers_calibrate_where_enough_are_seen_twice(tmp_path: Path, images: int, splits: tuple[str, ...]) -> None:
    rows = [source_row(person, number, drawn(person, number)) for person in range(4) for number in range(2)]
    others = [(person, number) for person in range(4, 8) for number in range(images)]
    rows += [source_row(*which, drawn(*which), split="query") for which in others]
    source = open_dataset(write_source(tmp_path / "source", rows))
    model = as_model(build_network(NetworkSettings(channels=4), 2), HEIGHT, WIDTH)
    people, strangers = source_people([source], {str(rows[0]["image_sha256"])}, model)
    assert (people.splits, strangers.splits) == (("train",), splits)


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
    monkeypatch.setattr(scoring, "target_judges", None)  # a finished scoring does nothing again
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
