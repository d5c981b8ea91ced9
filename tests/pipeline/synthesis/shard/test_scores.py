"""Whoever counts pixels, the device that makes images or the processor: rows are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.synthesis.shard import scores
from pipeline.synthesis.worker import SynthesisWorker
from tests.conftest import ToySources
from tests.pipeline.tiny_synthesis import Trained, settings_of


@pytest.mark.parametrize("convolutions", ["channels_last", "planar"])
def test_bytes_do_not_depend_on_who_counts(
    toy_sources: ToySources,
    toy_annotations: str,
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    convolutions: str,
) -> None:
    asked: dict[str, Any] = {"shard_size": 9, "reject_below": ["style_shift < 0"], "convolutions": convolutions}
    settings, generator = settings_of("camstyle_multidomain", **asked), trained("camstyle_multidomain")
    job = prepare_synthesis(toy_sources.market, None, generator, settings, annotations_uri=toy_annotations)
    made = []
    for there in (False, True):
        uri = str(tmp_path / str(there))
        run = DatasetRun.start(uri, "synthetic", job.plan.plan_id, job.plan.shard_rows)
        worker = SynthesisWorker(job.inputs, job.plan.head, job.settings, run.sink)
        worker.counts_there = there
        if there:
            monkeypatch.delattr(scores, "style_features")
            monkeypatch.delattr(scores.PersonScores, "of")
        for shard, part in job.plan.shards.items():
            assert sum(worker.run(shard, part.table())) == part.num_rows
        run.close()
        snapshot = open_dataset(uri).snapshot
        made.append([entry.sha256 for entry in (*snapshot.files, *snapshot.rejects)])
    assert made[0] == made[1]
    assert len(made[0]) > len(job.plan.shards), "some rows were rejected"
