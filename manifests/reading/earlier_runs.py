"""What a data set that is written from others keeps of them: their runs, and the plans that made each shard's rows."""

from __future__ import annotations

from collections.abc import Sequence

from manifests.disk.run_form import RunRecord
from manifests.disk.snapshots import CommitRecord, FileEntry, commit_path
from manifests.reading.dataset import Dataset


def row_plans(dataset: Dataset, entry: FileEntry) -> tuple[str, ...]:
    """The plans that made the rows of one shard, whatever data set they were first written to."""
    record = CommitRecord.load(dataset.storage, commit_path(entry.shard))
    return dataset.snapshot.plan_ids if record is None else record.row_plans or (record.plan_id,)


def inherited_runs(inputs: Sequence[Dataset]) -> list[dict[str, object]]:
    """For the entry ``merged`` of ``run.json``: every input where it lay, its state, and its runs as its own
    ``run.json`` has them."""
    return [
        {
            "uri": dataset.uri,
            "digest": dataset.digest(),
            "snapshot": dataset.snapshot.number,
            "counts": dataset.snapshot.counts,
            "runs": [{key: value for key, value in one.items() if key in _OF_A_RUN} for one in _states(dataset.run)],
        }
        for dataset in inputs
    ]


_OF_A_RUN = ("schema_version", "plan", "started", "closed", "run")


def _states(state: RunRecord) -> list[RunRecord]:
    return [*state.get("earlier_runs", []), state]
