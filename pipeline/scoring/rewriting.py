"""A synthetic data set written anew, shard by shard: scores are added to its rows, or some of them are left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from manifests.disk.snapshots import Snapshot
from manifests.errors import UserError
from manifests.format.schema import REJECT_SCHEMA
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.earlier_runs import inherited_runs, row_plans
from manifests.storage.whole_files import open_storage
from manifests.writing.attempt import attempt
from manifests.writing.run import DatasetRun
from pipeline.common.progress import Progress


class Rewriting(NamedTuple):
    """What becomes of a data set."""

    change: Callable[[int, pa.Table, Progress], tuple[pa.Table, pa.Table | None]]
    """The rows of the file of that number -> those to write, and what the rejects table says of those left out;
    advances the progress by the rows it was given."""
    figures: Callable[[Dataset], Mapping[str, Any]]
    """What the run's record says of the rows written."""


def check_output(output: str, inputs: Collection[Dataset]) -> None:
    """Raises UserError where ``output`` is one of the data sets that are read."""
    if open_storage(output).uri in {one.uri for one in inputs}:
        raise UserError(f"{output} is one of the data sets to read: choose another folder for the output")


def rewrite(
    dataset: Dataset,
    output: str,
    plan_id: str,
    record: Mapping[str, object],
    prepare: Callable[[], Rewriting],
    stage: str,
) -> Dataset:
    """Write what ``prepare`` makes of ``dataset`` to ``output``; the same call goes on with what was stopped.

    A shard stays a shard with its metadata, what was rejected stays rejected, and every row keeps its plan. ``prepare``
    runs before the output is begun, so that what it refuses leaves nothing behind, and not where all is done already.
    ``record`` goes into ``run.json``, with the runs that made the rows.

    Raises:
        UserError: ``output`` holds something else, or ``prepare`` refuses.
    """
    rejects = {entry.shard: entry for entry in dataset.snapshot.rejects}
    planned = {
        number: entry.rows + (rejects[entry.shard].rows if entry.shard in rejects else 0)
        for number, entry in enumerate(dataset.snapshot.files)
    }
    run_record = {**record, "merged": inherited_runs([dataset])}
    begin = partial(DatasetRun.start, output, "synthetic", plan_id, planned, footer=dataset.footer, run=run_record)
    # What is closed there is begun by nobody: another plan is refused before any work, this one is done.
    if Snapshot.newest(open_storage(output)) is not None and begin().finished:
        return open_dataset(output)
    rewriting = prepare()
    run = begin()
    todo = {number: dataset.snapshot.files[number] for number in run.pending()}
    with attempt(run, len(planned)):
        with Progress(stage, sum(entry.rows for entry in todo.values()), "rows") as progress:
            for number, entry in todo.items():
                rows, dropped = rewriting.change(number, dataset.read_file(entry), progress)
                lost = [dropped] if dropped is not None else []
                if entry.shard in rejects:
                    lost.insert(0, dataset.read_file(rejects[entry.shard]).cast(REJECT_SCHEMA))
                together = pa.concat_tables(lost) if lost else None
                run.sink.commit(number, rows, together, row_plans=row_plans(dataset, entry))
        run.note(rewriting.figures(run.written()))
        run.close()
    return open_dataset(output)
