"""Rows that help are kept: planted wrong identities go first, a random choice keeps them in proportion."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

import jobs.choose_rows as choose_job
from manifests.checking.validate import validate
from manifests.erasing.erase import Request, erase
from manifests.errors import UserError
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.runs import runs
from manifests.writing.run import DatasetRun, ShardSink
from pipeline.common.settings import parse_settings
from pipeline.scoring import choosing
from pipeline.scoring.choices import Choice, _scored_rows, _worth
from tests.pipeline.edited_sets import edited
from tests.pipeline.scoring.paper_people import IMAGES, PEOPLE, Laboratory

ROWS = PEOPLE * IMAGES


def chosen(output: Path | str, dataset: str, *more: str) -> Dataset:
    arguments = [dataset, "--output", str(output), "--threads", "1", *more]
    choose_job.main(parse_settings(choose_job.Settings, arguments))
    return open_dataset(str(output))


def kept(dataset: Dataset) -> np.ndarray:
    """The numbers of the rows that are left, which are their names."""
    return np.array([int(name, 16) for name in dataset.read(["sample_id"]).column("sample_id").to_pylist()])


def test_wrong_identities_are_left_out_first(lab: Laboratory, tmp_path: Path) -> None:
    wrong = int(lab.mixed.sum())
    assert wrong > 20
    best = chosen(tmp_path / "best", lab.scored.uri, "--keep", "0.5", "--model", lab.model)
    assert best.snapshot.rows == ROWS // 2
    assert lab.mixed[kept(best)].mean() < 0.05
    # Everybody has as many: half of six.
    assert set(Counter(best.read(["identity"]).column("identity").to_pylist()).values()) == {IMAGES // 2}
    drawn = chosen(tmp_path / "random", lab.scored.uri, "--rows", str(ROWS // 2), "--by", "random")
    # Hypergeometric: 72 of 144 rows, of which a fifth is wrong, have 14 wrong ones, give or take 2.4.
    assert abs(lab.mixed[kept(drawn)].sum() - wrong / 2) < 8
    other = chosen(tmp_path / "other", lab.scored.uri, "--rows", str(ROWS // 2), "--by", "random", "--seed", "1")
    assert set(kept(other)) != set(kept(drawn))


def test_rows_are_the_same_and_each_other_one_has_a_reason(lab: Laboratory, tmp_path: Path) -> None:
    uri = chosen(tmp_path / "best", lab.scored.uri, "--keep", "0.5", "--model", lab.model).uri
    best, whole = open_dataset(uri), lab.scored.scan().collect()
    assert validate(uri).faults == []
    left = best.scan().collect()
    assert left.equals(whole.join(left, "sample_id", "semi", maintain_order="left"))
    rejects = pl.DataFrame(pl.from_arrow(best.rejects()))
    assert set(rejects["item_id"]) == set(whole["sample_id"]) - set(left["sample_id"])
    assert set(rejects["stage"]) == {"choose"}
    contents = dict(whole.select("sample_id", pl.col("sources").list.first().struct.field("sha256")).iter_rows())
    assert all(contents[name] == digest for name, digest in rejects.select("item_id", "source_sha256").iter_rows())
    reliability = dict(whole.select("sample_id", pl.col("quality").struct.field("reliability")).iter_rows())
    below = {name for name, value in reliability.items() if value < 0.5}
    assert set(rejects.filter(reason="unreliable")["item_id"]) == below
    assert rejects.filter(reason="unreliable")["message"].str.contains("0.5 is asked for").all()
    assert best.snapshot.reasons == {"adds_less": ROWS // 2 - len(below), "unreliable": len(below)}
    assert [run.job for run in runs(best)] == ["mixer", "score_dataset", "choose_rows"]
    assert best.run["run"]["choice"] == {"candidates": ROWS, "kept": ROWS // 2}


def test_thresholds_come_before_the_size(lab: Laboratory, tmp_path: Path) -> None:
    few = chosen(tmp_path / "few", lab.scored.uri, "--keep", "0.95", "--model", lab.model)
    scores = lab.scored.scan().select(pl.col("quality").struct.field("reliability")).collect().to_series()
    assert few.snapshot.rows == (scores >= 0.5).sum() < 0.95 * ROWS
    everything = "--rows", str(ROWS), "--model", lab.model, "--min-reliability", "0"
    all_rows = chosen(tmp_path / "all", lab.scored.uri, *everything)
    assert all_rows.snapshot.rows == ROWS
    confidence = lab.scored.scan().select(pl.col("quality").struct.field("target_confidence")).collect().to_series()
    middle = float(confidence.median())  # type: ignore[arg-type]
    moved = chosen(tmp_path / "moved", lab.scored.uri, *everything, "--min-confidence", str(middle))
    assert moved.snapshot.reasons == {"not_moved": int((confidence < middle).sum())}


def test_what_raises_the_loss_of_real_rows_goes_first(lab: Laboratory, tmp_path: Path) -> None:
    arguments = lab.generated, "--rows", str(ROWS // 2), "--by", "influence", "--model", lab.model
    best = chosen(tmp_path / "best", *arguments)
    assert best.snapshot.rows == ROWS // 2
    assert lab.mixed[kept(best)].mean() < 0.05
    assert validate(best.uri).faults == []
    rejects = pl.DataFrame(pl.from_arrow(best.rejects()))
    raising = [int(name, 16) for name in rejects.filter(reason="raises_loss")["item_id"]]
    assert lab.mixed[raising].mean() > 0.8
    assert len(raising) == best.run["run"]["choice"]["raising_loss"]
    assert set(best.snapshot.reasons) == {"raises_loss", "less_influence"}
    # Two networks are summed over; of one twice it is the same order.
    twice = chosen(tmp_path / "twice", *arguments, "--model", lab.model)
    assert set(kept(twice)) == set(kept(best))


def test_strangers_may_be_watched(lab: Laboratory, tmp_path: Path) -> None:
    arguments = lab.generated, "--rows", "30", "--by", "influence", "--model", lab.model, "--validation", lab.source
    assert chosen(tmp_path / "best", *arguments).snapshot.rows == 30
    nobody = edited(lab.source, tmp_path / "nobody", lambda rows: [row.update(identity=None) for row in rows])
    with pytest.raises(UserError, match=r"\(train\): nobody with an identity to watch"):
        chosen(tmp_path / "out", *arguments[:-1], nobody, "--validation-splits", "train")


def of_nobody(rows: list[dict[str, Any]]) -> None:
    """Rows made from noise alone, under LSRO."""
    del rows[40:]
    label = {"hard_label": -1, "label_rule": "lsro", "soft_label": [], "soft_label_rest": 1 / PEOPLE}
    made_from = {"identity": None, "sources": [], "subject_keys": [], "recipe": "gan_lsro", "target": None}
    for number, row in enumerate(rows):
        row.update({**label, **made_from, "quality": {"target_confidence": None if number % 2 else number / 40}})


def test_rows_of_nobody_are_chosen_among_themselves(lab: Laboratory, tmp_path: Path) -> None:
    noise = edited(lab.generated, tmp_path / "noise", of_nobody)
    arguments = noise, "--rows", "10", "--model", lab.model, "--source", lab.source
    new = chosen(tmp_path / "new", *arguments, "--min-confidence", "0.5")
    assert new.snapshot.reasons == {"adds_less": 20, "not_moved": 10}
    assert chosen(tmp_path / "acting", *arguments, "--by", "influence").snapshot.rows == 10


def test_what_nobody_judged_is_below_any_confidence(lab: Laboratory, tmp_path: Path) -> None:
    def half_judged(rows: list[dict[str, Any]]) -> None:
        del rows[4:]
        for row, confidence in zip(rows, (0.9, None, 0.1, None), strict=True):
            row["quality"] |= {"reliability": 1.0, "target_confidence": confidence}
        rows[3]["target"] = None  # asks for nothing: nothing to miss

    judged = edited(lab.generated, tmp_path / "judged", half_judged)
    arguments = judged, "--rows", "4", "--model", lab.model, "--source", lab.source, "--min-confidence", "0.5"
    best = chosen(tmp_path / "best", *arguments)
    assert kept(best).tolist() == [0, 3]
    messages = dict(zip(*best.rejects().select(["item_id", "message"]).to_pydict().values(), strict=True))
    assert messages == {
        f"{1:032x}": "its target_confidence is unknown, 0.5 is asked for",
        f"{2:032x}": "its target_confidence is 0.1, 0.5 is asked for",
    }
    # Without a threshold it stands between the others, at their mean.
    worth = _worth(_scored_rows(open_dataset(judged), 0.0), 0.5, 0.0, Choice.nothing(4))
    assert worth == pytest.approx([0.9, 0.5, 0.1, 1.0])

    def unjudged(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["quality"]["target_confidence"] = None

    nowhere = edited(judged, tmp_path / "nowhere", unjudged)
    with pytest.raises(UserError, match="has a target_confidence: score it with"):
        chosen(tmp_path / "out", nowhere, *arguments[1:])


def test_shards_keep_what_they_say_of_themselves(lab: Laboratory, tmp_path: Path) -> None:
    made = open_dataset(lab.generated)
    footer = made.footer | {"reid_synth.digital_source_type": "drawn"}
    run = DatasetRun.start(str(tmp_path / "drawn"), "synthetic", "drawn", {0: ROWS}, footer=footer)
    run.sink.commit(0, made.read())
    run.close()
    few = chosen(tmp_path / "few", run.uri, "--rows", "9", "--by", "random")
    assert few.footer == footer
    assert pq.read_schema(few.files()[0]).metadata[b"reid_synth.digital_source_type"] == b"drawn"


def test_an_erasure_reaches_the_rows_left_out(lab: Laboratory, tmp_path: Path) -> None:
    best = chosen(tmp_path / "best", lab.generated, "--keep", "0.5", "--by", "random")
    source = edited(lab.source, tmp_path / "source", lambda _: None)
    erase([best.uri, source], Request(frozenset({"0003"})))
    left = open_dataset(best.uri)
    assert left.snapshot.rows + left.snapshot.rejected == ROWS - IMAGES
    assert validate(best.uri).faults == []


def test_a_stopped_choice_goes_on_to_the_same_bytes(
    lab: Laboratory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, arguments = ShardSink.commit, (lab.scored.uri, "--keep", "0.5", "--model", lab.model)
    whole = chosen(tmp_path / "whole", *arguments)

    def stopped(self: ShardSink, shard: int, *arguments: object, **more: object) -> object:
        if shard == 1:
            raise KeyboardInterrupt
        return commit(self, shard, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ShardSink, "commit", stopped)
    with pytest.raises(KeyboardInterrupt):
        chosen(tmp_path / "stopped", *arguments)
    monkeypatch.undo()
    again = chosen(tmp_path / "stopped", *arguments)
    assert [one.sha256 for one in again.snapshot.files] == [one.sha256 for one in whole.snapshot.files]
    monkeypatch.setattr(choosing, "by_reliability", None)  # a finished choice does nothing again
    assert chosen(tmp_path / "stopped", *arguments).snapshot.number == again.snapshot.number
    with pytest.raises(UserError, match="finished data set of another plan"):  # before any work
        chosen(tmp_path / "stopped", *arguments, "--min-reliability", "0.1")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "--keep SHARE or --rows N"),
        (("--keep", "0.5", "--rows", "3"), "--keep SHARE or --rows N"),
        (("--keep", "1.5"), "--keep: Input should be less than 1"),
        (("--rows", "999", "--by", "random"), "999 rows are to be kept of 144"),
        (("--rows", "9"), "--by reliability takes one --model, got none"),
        (("--rows", "9", "--by", "influence"), "--by influence takes --model, once or more, got none"),
        (("--rows", "9", "--model", "MODEL", "--validation", "SOURCE"), "--by reliability takes no --validation"),
        (
            ("--rows", "9", "--by", "influence", "--model", "MODEL", "--validation", "SOURCE", "--source", "SOURCE"),
            "--by influence takes no --source beside --validation",
        ),
        (("--rows", "9", "--by", "random", "--model", "MODEL"), "--by random takes no --model, got 1"),
        (("--rows", "9", "--by", "random", "--validation", "SOURCE"), "--by random takes no --validation"),
        (("--rows", "9", "--by", "random", "--source", "SOURCE"), "--by random takes no --source"),
        (("--rows", "9", "--by", "random", "--min-confidence", "0.5"), "--by random takes no --min-confidence"),
        (("--rows", "9", "--model", "MODEL", "--seed", "1"), "--by reliability takes no --seed"),
        (
            ("--rows", "9", "--by", "influence", "--model", "MODEL", "--min-reliability", "0"),
            "--by influence takes no --min-reliability",
        ),
        (
            ("--rows", "9", "--by", "influence", "--model", "MODEL", "--validation-splits", "train"),
            "--validation-splits are those of --validation: name it",
        ),
        (("--rows", "9", "--model", "MODEL"), "score it with jobs/score_dataset.py first"),
        (
            ("--rows", "9", "--by", "influence", "--model", "MODEL", "--validation", "GENERATED"),
            "source rows are needed: see --validation",
        ),
    ],
)
def test_mistakes_are_one_line(lab: Laboratory, tmp_path: Path, arguments: tuple[str, ...], reason: str) -> None:
    known = {"MODEL": lab.model, "SOURCE": lab.source, "GENERATED": lab.generated}
    given = [known.get(one, one) for one in arguments]
    with pytest.raises(UserError, match=reason):
        chosen(tmp_path / "out", lab.generated, *given)
    assert not (tmp_path / "out").exists()


def test_labels_that_are_none_are_one_line(lab: Laboratory, tmp_path: Path) -> None:
    spoiled = edited(lab.generated, tmp_path / "spoiled", lambda rows: rows[3].update(hard_label=999))
    arguments = spoiled, "--rows", "9", "--by", "influence", "--model", lab.model, "--source", lab.source
    with pytest.raises(UserError, match="has labels that are none: hard_label from 0 to 999 does not fit 24 classes"):
        chosen(tmp_path / "out", *arguments)
    assert not (tmp_path / "out").exists()


def test_nothing_above_the_thresholds_is_said(lab: Laboratory, tmp_path: Path) -> None:
    def doubtful(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["quality"] |= {"reliability": 0.9}

    scored = edited(lab.generated, tmp_path / "doubtful", doubtful)
    arguments = scored, "--rows", "9", "--model", lab.model, "--source", lab.source, "--min-reliability", "1"
    with pytest.raises(UserError, match="lower --min-reliability"):
        chosen(tmp_path / "out", *arguments)
