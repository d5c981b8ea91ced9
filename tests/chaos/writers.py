"""What the chaos of data sets runs in processes of its own: a driver, its workers, both in one."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from manifests.writing.run import DatasetRun, ShardSink
from tests.manifests.manifest_rows import FOOTER, PLAN_ID, reject_rows, synthetic_rows

SHARD_ROWS = dict.fromkeys(range(8), 6)
"""Planned rows by shard; of odd shards one is rejected."""
OTHER_PLAN = "cd" * 32


def expected(plan: str = PLAN_ID) -> list[str]:
    """Ids of the rows that a run of ``plan`` writes."""
    return [name for shard in SHARD_ROWS for name in _rows(shard, plan, 0).column("sample_id").to_pylist()]


def drive(uri: str, plan: str = PLAN_ID, append: bool = False, variant: int = 0) -> None:
    """A whole run in one process; ``variant`` gives the same rows other bytes."""
    run = _start(uri, plan, append)
    for shard in run.pending():
        _write(run.sink, shard, variant)
    run.close()


def rival(uri: str, variant: int) -> None:
    """The same, shards in an order of its own, looking at what others have done meanwhile."""
    random = np.random.Generator(np.random.Philox(variant))
    run = _start(uri, PLAN_ID, False)
    while pending := run.pending():
        _write(run.sink, int(random.choice(pending)), variant)
    run.close()


def lead(uri: str) -> None:
    """A driver that leaves the work to workers and closes the run when all is committed."""
    run = _start(uri, PLAN_ID, False)
    while run.pending():
        time.sleep(0.01)
    run.close()


def work(uri: str, variant: int) -> None:
    """A worker: commits what nobody has committed, until nothing is left."""
    random = np.random.Generator(np.random.Philox(variant))
    run = _start(uri, PLAN_ID, False)
    while pending := run.pending():
        _write(run.sink, int(random.choice(pending)), variant)


def _start(uri: str, plan: str, append: bool) -> DatasetRun:
    return DatasetRun.start(uri, "synthetic", plan, SHARD_ROWS, footer=FOOTER, append=append)


def _rows(shard: int, plan: str, variant: int) -> pa.Table:
    return synthetic_rows(shard, SHARD_ROWS[shard] - shard % 2, plan, variant)


def _write(sink: ShardSink, shard: int, variant: int) -> None:
    sink.commit(shard, _rows(shard, sink.plan_id, variant), reject_rows(shard % 2))
