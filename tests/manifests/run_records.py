"""A closed data set whose record says something else: what tests of readers need."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from manifests.disk.snapshots import RUN, dump, snapshot_path
from manifests.reading.dataset import Dataset, open_dataset


def rewrite_record(uri: str, change: Callable[[dict[str, Any]], None]) -> Dataset:
    """Let ``change`` edit what the snapshot and ``run.json`` say of the runs; both say the same afterwards."""
    dataset = open_dataset(uri)
    state: dict[str, Any] = dataset.run
    change(state)
    last = {key: value for key, value in state.items() if key != "earlier_runs"}
    snapshot = json.loads(dataset.snapshot.to_json())
    snapshot["runs"] = [*state.get("earlier_runs", []), last]
    dataset.storage.write(snapshot_path(dataset.snapshot.number), dump(snapshot))
    dataset.storage.write(RUN, dump(state))
    return open_dataset(uri)
