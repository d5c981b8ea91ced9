"""Worthless results are told: before, where the generator is of another world, and after, by what the rows say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import UserError
from manifests.format.schema import SYNTHETIC_SCHEMA
from manifests.reading.dataset import Dataset, open_dataset
from manifests.writing.run import DatasetRun
from pipeline.cluster.synthesis_job import run_synthesis_job
from pipeline.common.images import encode, pixel_sha256, sha256
from pipeline.common.row_images import decode_row
from pipeline.common.settings import parse_settings
from pipeline.generators.trained_set import open_generators
from pipeline.synthesis.doubts import doubts_of_images, doubts_of_inputs, doubts_of_target
from tests.conftest import ToySources
from tests.manifests.manifest_rows import FOOTER, synthetic_rows
from tests.manifests.people_rows import people_source, write
from tests.pipeline.tiny_generators import save_tiny

SHIPPED = "ptgan_market_like_to_duke_like"


def made_of(folder: Path, source: str, blur: int, **scores: float) -> Dataset:
    """Rows that are some of the source's pictures, blurred over so many pixels."""
    import cv2

    pictures = [decode_row(row) for row in open_dataset(source).read().slice(0, 6).to_pylist()]
    rows: list[dict[str, Any]] = synthetic_rows(0, len(pictures)).to_pylist()
    for row, picture in zip(rows, pictures, strict=True):
        image = np.asarray(cv2.blur(picture, (blur, blur)))
        data = encode(image, "png")
        row |= {"image": {"bytes": data, "path": "a.png"}, "image_sha256": sha256(data), "quality": dict(scores)}
        row |= {"pixel_sha256": pixel_sha256(image), "height": image.shape[0], "width": image.shape[1]}
    run = DatasetRun.start(str(folder), "synthetic", "ab" * 32, {0: len(rows)}, footer=FOOTER)
    run.sink.commit(0, pa.Table.from_pylist(rows, schema=SYNTHETIC_SCHEMA))
    run.close()
    return open_dataset(str(folder))


def test_what_the_rows_say(toy_sources: ToySources, tmp_path: Path) -> None:
    real = [open_dataset(toy_sources.market)]
    good = made_of(tmp_path / "good", toy_sources.market, 1, style_shift=0.1, foreground_fidelity=0.9)
    assert list(doubts_of_images(good, real)) == []
    bad = made_of(tmp_path / "bad", toy_sources.market, 9, style_shift=-0.31, foreground_fidelity=0.2)
    shift, fidelity, blurred = doubts_of_images(bad, real)
    assert shift.endswith("further from the look asked for than their sources: mean style_shift -0.31")
    assert fidelity.startswith("people were redrawn: mean foreground_fidelity 0.20")
    assert blurred.startswith("the images are blurred: ")
    # Where the target itself is as blurred, that is its look.
    [*others] = doubts_of_images(bad, [*real, replace(bad)])
    assert others == [shift, fidelity]
    unscored = made_of(tmp_path / "unscored", toy_sources.market, 1)
    assert list(doubts_of_images(unscored, real)) == []


def test_the_drawn_worlds_generator_is_for_the_drawn_world(toy_sources: ToySources, tmp_path: Path) -> None:
    shipped = open_generators(SHIPPED)
    assert list(doubts_of_inputs(shipped, open_dataset(toy_sources.market))) == []
    real = open_dataset(write(str(tmp_path / "real"), "source", people_source("A", ["ann", "bob"], 2)).uri)
    [doubt] = doubts_of_inputs(shipped, real)
    assert doubt.startswith(f"{SHIPPED} learned from drawn people alone and {real.uri} is none of theirs")
    rows = people_source("A", ["ann", "bob"], 2)
    drawn = write(str(tmp_path / "drawn"), "source", rows, run={"settings": {"layout": "toyworld"}})
    assert list(doubts_of_inputs(shipped, open_dataset(drawn.uri))) == []


def test_a_generator_of_ones_own_is_judged_by_its_card(tmp_path: Path) -> None:
    real = open_dataset(write(str(tmp_path / "real"), "source", people_source("A", ["ann", "bob"], 2)).uri)
    for number, (basis, doubts) in enumerate((("drawn by a program; shows nobody", 1), ("consented", 0))):
        digest = save_tiny(tmp_path / str(number), "cyclegan")
        data = {"source": {"dataset_ids": ["x"], "licences": ["MIT"], "consent_bases": [basis]}}
        card = {"format": "reid-synth generator", "sha256": {"generator": digest}, "data": data}
        (tmp_path / str(number) / "generator.json").write_text(json.dumps(card))
        own = open_generators(str(tmp_path / str(number)))
        assert len(list(doubts_of_inputs(own, real))) == doubts


def test_a_target_that_the_generator_did_not_learn(toy_sources: ToySources, tmp_path: Path) -> None:
    target, digest = open_dataset(toy_sources.duke), save_tiny(tmp_path, "cyclegan")
    assert list(doubts_of_target(open_generators(str(tmp_path)), target)) == []
    for domains, doubts in ((["duke-like"], 0), (["duke-like", "ours"], 0), ([], 0), (["ours", "yours"], 1)):
        card = {"sha256": {"generator": digest}, "data": {"target": {"domains": domains}}}
        (tmp_path / "generator.json").write_text(json.dumps(card))
        found = list(doubts_of_target(open_generators(str(tmp_path)), target))
        assert len(found) == doubts
    assert found[0].startswith(f"{tmp_path} learned the look of ours and yours, {target.uri} is of duke-like: ")


def dry_run(tmp_path: Path, *given: str) -> None:
    import jobs.synthesize_duke_style as job

    arguments = [*given, "--output", str(tmp_path / "set"), "--dry-run"]
    run_synthesis_job(parse_settings(job.Settings, arguments))


def test_a_dry_run_checks_what_a_run_would(
    toy_sources: ToySources,
    toy_annotations: str,
    untrained_generator: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    named = ("--source", toy_sources.market, "--generator", untrained_generator)
    dry_run(tmp_path, *named, "--annotations", toy_annotations, "--limit", "5")
    assert "annotations: of 5 of 5 images\n" in capsys.readouterr().out
    dry_run(tmp_path, *named, "--limit", "5")
    assert "annotations: of 0 of 5 images, the others by sam_tiny and pose_tiny\n" in capsys.readouterr().out
    with pytest.raises(UserError, match="--device cuda: no CUDA GPU can be used here"):
        dry_run(tmp_path, *named, "--device", "cuda")
    with pytest.raises(UserError, match="no_such_segmenter"):
        dry_run(tmp_path, *named, "--segmenter", "no_such_segmenter")
    with pytest.raises(UserError, match="holds annotations of other images"):
        dry_run(tmp_path, "--source", toy_sources.duke, "--generator", untrained_generator,
                "--annotations", toy_annotations)  # fmt: skip
    nowhere = str(tmp_path / "mistyped")
    dry_run(tmp_path, *named, "--annotations", nowhere, "--limit", "5")
    out = capsys.readouterr().out
    assert f"annotations: none at {nowhere} yet, they are made there\nannotations: of 0 of 5 images, the others" in out
    with pytest.raises(UserError, match=f"--annotations {toy_annotations}/data holds files and no annotations"):
        dry_run(tmp_path, *named, "--annotations", f"{toy_annotations}/data")
    assert not list(tmp_path.iterdir())
    made_of(tmp_path / "set", toy_sources.market, 1)
    with pytest.raises(UserError, match="holds a finished data set of another plan: choose another --output"):
        dry_run(tmp_path, *named)
