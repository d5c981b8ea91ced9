"""What must hold of a data set, checked: its log, and through the files beside this one its files and their rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pyarrow.parquet as pq

from manifests.checking.faults import Report
from manifests.checking.metadata import check_metadata
from manifests.checking.rows import RowContext, check_rows
from manifests.checking.runs import check_run_record
from manifests.checking.shards import ShardChecks
from manifests.checking.terms import RecordedTerms
from manifests.describing.card import DATASET_CARD, SAMPLES_META
from manifests.disk.commits import COMMIT_NAME
from manifests.disk.shard_reading import UNREADABLE
from manifests.disk.shards import FILE_FOLDERS
from manifests.disk.snapshots import (
    COMMITS,
    BrokenDatasetError,
    CommitRecord,
    Snapshot,
    commit_path,
    snapshot_path,
)
from manifests.disk.tables import present_path
from manifests.errors import UserError, one_line
from manifests.format.schema import REJECT_SCHEMA, ROW_KEY, SCHEMAS
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import Dataset, open_dataset
from manifests.reading.erasure_log import ERASURES, read_log
from manifests.storage.whole_files import open_storage


def validate(uri: str) -> Report:
    """Check the newest snapshot at ``uri`` in full: every file and every row is read once.

    Raises:
        UserError: there is no closed data set, or a newer version of this package wrote it.

    Example:
        >>> from manifests import validate
        >>> report = validate("runs/market")
        >>> report.rows, report.faults
        (6, [])
    """
    report = Report(open_storage(uri).uri)
    try:
        dataset = open_dataset(uri)
    except BrokenDatasetError as error:
        report.add("log", error.file, str(error))
        return report
    report.kind = dataset.kind
    try:
        records = _check_log(dataset, report)
        _check_erasures(dataset, records, report)
    except BrokenDatasetError as error:
        report.add("log", error.file, str(error))
        records = {}
    _check_files(dataset, records, report)
    _check_inspection_files(dataset, report)
    check_metadata(dataset, report)
    return report


def _check_files(dataset: Dataset, records: dict[int, CommitRecord], report: Report) -> None:
    """Every file of the snapshot and every row in it, once."""
    classes = _classes(dataset, report)
    shards = ShardChecks(dataset, classes, report)
    terms = RecordedTerms(dataset)
    ids: Counter[tuple[Any, ...]] = Counter()
    with ThreadPoolExecutor() as pool:
        for entry in dataset.snapshot.files:
            record = records.get(entry.shard)
            plans = (record.row_plans or (record.plan_id,)) if record else None
            context = RowContext(dataset.kind, entry.path, classes, plans, pool, terms)
            order: list[tuple[str, str]] = []
            for batch in shards.batches(entry, SCHEMAS[dataset.kind]):
                keys = (batch.column(name).to_pylist() for name in ROW_KEY[dataset.kind])
                ids.update(zip(*keys, strict=True))
                check_rows(batch, context, report)
                if dataset.kind == "synthetic":
                    columns = (batch.column(name).to_pylist() for name in ("identity", "sample_id"))
                    order += [(identity or "", name or "") for identity, name in zip(*columns, strict=True)]
            _check_order(order, entry.path, report)
    for entry in dataset.snapshot.rejects:
        for _ in shards.batches(entry, REJECT_SCHEMA):
            pass
    for key, times in ids.items():
        if times > 1:
            report.add("unique", "data", f"{times} rows have this id", str(key[0]))


def _check_order(keys: list[tuple[str, str]], file: str, report: Report) -> None:
    """Rows of a person lie together, so that fetching them reads little."""
    for before, after in pairwise(keys):
        if before > after:
            report.add("order", file, "rows are not sorted by (identity, sample_id)", after[1])
            return


def _check_log(dataset: Dataset, report: Report) -> dict[int, CommitRecord]:
    """Run record, commit records, snapshot and listing against each other; the records by shard."""
    snapshot, storage = dataset.snapshot, dataset.storage
    under_way = check_run_record(dataset, report)
    records = {}
    by_shard = {entry.shard: entry for entry in snapshot.files}
    if len(by_shard) != len(snapshot.files):
        report.add("log", "_snapshots", "two files claim the same shard")
    rejects = {entry.shard: entry for entry in snapshot.rejects}
    for shard, entry in by_shard.items():
        path = commit_path(shard)
        try:
            record = CommitRecord.load(storage, path)
        except UserError as error:
            report.add("log", path, str(error))
            continue
        if record is None:
            report.add("log", path, "missing commit record of a shard in the snapshot")
            continue
        records[shard] = record
        if (record.data, record.rejects) != (entry, rejects.get(shard)):
            report.add("log", path, "commit record and snapshot name different files for this shard")
        if record.plan_id not in snapshot.plan_ids:
            report.add("log", path, f"plan {record.plan_id[:12]} is not one of the snapshot's")
        _check_conservation(record, path, report)
    if len(records) == len(by_shard):
        _check_sums(snapshot, records.values(), report)
    if not under_way:
        _check_listing(dataset, set(by_shard), report)
    return records


def _check_sums(snapshot: Snapshot, records: Collection[CommitRecord], report: Report) -> None:
    """The records of all shards add up to what the snapshot says."""
    planned = sum(record.planned for record in records)
    kept = snapshot.rows + snapshot.rejected + snapshot.erased
    if not planned == snapshot.planned == kept:
        report.add(
            "conservation",
            "_snapshots",
            f"planned {snapshot.planned} ({planned} by shard), written {snapshot.rows}, "
            f"rejected {snapshot.rejected}, erased {snapshot.erased}",
        )
    reasons = Counter[str]()
    for record in records:
        reasons.update(record.reasons)
    if +reasons != +Counter(snapshot.reasons):
        report.add("conservation", "_snapshots", f"rejected for {snapshot.reasons}, {dict(reasons)} by shard")


def _check_conservation(record: CommitRecord, path: str, report: Report) -> None:
    rejected = record.rejects.rows if record.rejects else 0
    if record.planned != record.data.rows + rejected + record.erased:
        erased = f", erased {record.erased}" if record.erased else ""
        report.add(
            "conservation", path, f"planned {record.planned}, written {record.data.rows}, rejected {rejected}{erased}"
        )
    if sum(record.reasons.values()) != rejected:
        report.add("conservation", path, f"{rejected} rejected rows, reasons for {sum(record.reasons.values())}")


def _check_listing(dataset: Dataset, shards: set[int], report: Report) -> None:
    """Nothing lies in the data set's folders that the snapshot does not name (an append may be under way else)."""
    known = {entry.path for entry in (*dataset.snapshot.files, *dataset.snapshot.rejects)}
    for folder in (*FILE_FOLDERS, COMMITS):
        for entry in dataset.storage.list(folder):
            record = COMMIT_NAME.fullmatch(entry.path)
            if entry.path not in known and not (record and int(record[1]) in shards):
                report.add("extra", entry.path, "not part of the snapshot")


def _classes(dataset: Dataset, report: Report) -> ClassMap | None:
    try:
        return dataset.classes
    except BrokenDatasetError as error:
        report.add("classes", error.file, str(error))
        return None


def _check_erasures(dataset: Dataset, records: dict[int, CommitRecord], report: Report) -> None:
    """What was erased is logged, counted, and named by no older snapshot."""
    snapshot = dataset.snapshot
    erased = sum(record.erased for record in records.values())
    if len(records) == len(snapshot.files) and erased != snapshot.erased:
        report.add("conservation", "_snapshots", f"{snapshot.erased} rows erased, {erased} by shard")
    if read_log(dataset.storage) != snapshot.erasures:
        report.add("erasure", ERASURES, "it does not list the erasures that the snapshot does")
    newest = max((entry.snapshot for entry in snapshot.erasures), default=0)
    for number in Snapshot.numbers(dataset.storage):
        if number < newest:
            report.add("erasure", snapshot_path(number), f"it names what the erasure of snapshot {newest} took out")


def _check_inspection_files(dataset: Dataset, report: Report) -> None:
    card = dataset.storage.read(DATASET_CARD)
    if card is None:
        report.add("missing", DATASET_CARD, "the data set has no card")
    elif not card.strip() or not _is_text(card):
        report.add("metadata", DATASET_CARD, "it holds no text: `describe --force` writes it anew")
    index = present_path(dataset.storage, SAMPLES_META)
    try:
        with dataset.storage.open(index) as source:
            rows = pq.ParquetFile(source).metadata.num_rows
    except (UserError, *UNREADABLE) as error:
        report.add("missing", index, one_line(error))
        return
    if rows != dataset.snapshot.rows:
        report.add("rows", index, f"{rows} rows, the data set has {dataset.snapshot.rows}")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
