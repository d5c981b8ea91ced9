"""From a folder of a published ReID data set to a source data set: plan, shards, commit, summary."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from manifests.common.json_text import json_text
from manifests.detecting.embedded import says_generated
from manifests.errors import UserError
from manifests.reading.dataset import open_dataset
from manifests.writing.attempt import attempt
from manifests.writing.run import Dataset, DatasetRun
from pipeline.common.digests import plan_digest
from pipeline.common.progress import Progress
from pipeline.sources.files import SPLITS, SourceFile, Split
from pipeline.sources.known_layouts import scan_and_remark
from pipeline.sources.layout_base import Layout, ScanOptions
from pipeline.sources.reading import GENERATED, STAGE, Provenance, read_shard

_HOW_TO_ACCEPT = "; --accept-generated reads images that were generated"
SHARD_BYTES = 256 << 20
"""A shard is held in memory while it is read: it ends before this many bytes of files."""


@dataclass(frozen=True)
class Plan:
    """What will be read: the shards' files in order, and the digest that names the plan."""

    plan_id: str
    shards: tuple[tuple[SourceFile, ...], ...]
    remarks: tuple[str, ...] = ()
    """Lines about what a person may not expect of the files."""
    accept_generated: bool = False

    @property
    def files(self) -> int:
        return sum(len(shard) for shard in self.shards)


def make_plan(
    root: Path,
    layout: Layout,
    provenance: Provenance,
    options: ScanOptions | None = None,
    splits: Sequence[Split] = SPLITS,
    shard_size: int = 4096,
    shard_bytes: int = SHARD_BYTES,
    choose: Callable[[list[SourceFile]], Sequence[SourceFile]] | None = None,
    accept_generated: bool = False,
) -> Plan:
    """List the files of a data set and cut them into shards. The same files and settings give the same plan.

    ``choose`` keeps some of the files found; ``accept_generated`` reads images that say that they were generated.

    Raises:
        UserError: the folder is not of this layout, or holds nothing to read in these splits.
    """
    found, remarks = scan_and_remark(layout, root, options or ScanOptions())
    files = [file for file in found if file.split in splits]
    if choose is not None:
        files = list(choose(files))
    if not files:
        raise UserError(f"{root} holds no image of the splits {', '.join(splits)} (layout {layout.name})")
    if all(file.fault for file in files):
        first = min(files, key=lambda file: file.fault is not None and file.fault.reason == "not_listed")
        because = f"{first.relative_path}: {first.fault.message}" if first.fault else ""
        raise UserError(f"none of the {len(files)} images in {root} can be used; the first: {because}")
    parts = list(_by_split(files))
    settings = {
        **asdict(provenance),
        "layout": layout.name,
        "shard_size": shard_size,
        "shard_bytes": shard_bytes,
        **({"shards": "by split"} if len(parts) > 1 else {}),
        **({"accept_generated": True} if accept_generated else {}),
    }
    items = (_item(file) for part in parts for file in part)
    shards = (shard for part in parts for shard in _cut(part, shard_size, shard_bytes))
    return Plan(plan_digest(STAGE, settings, items), tuple(shards), tuple(remarks), accept_generated)


def _item(file: SourceFile) -> str:
    """A file as the plan's digest has it; few have an origin of their own, and all others are called as ever."""
    return json_text([value for name, value in vars(file).items() if name != "origin" or value], separators=(",", ":"))


def _by_split(files: Sequence[SourceFile]) -> Iterator[Sequence[SourceFile]]:
    """The files of each split in their order: a shard holds rows of one, so that readers can ask for it alone."""
    for split in dict.fromkeys(file.split for file in files):
        yield [file for file in files if file.split == split]


def _cut(files: Sequence[SourceFile], shard_size: int, shard_bytes: int) -> Iterator[tuple[SourceFile, ...]]:
    shard: list[SourceFile] = []
    held = 0
    for file in files:
        size = max(file.size, 0)
        if shard and (len(shard) == shard_size or held + size > shard_bytes):
            yield tuple(shard)
            shard, held = [], 0
        shard.append(file)
        held += size
    yield tuple(shard)


def ingest(
    root: Path,
    plan: Plan,
    provenance: Provenance,
    uri: str,
    run: dict[str, Any] | None = None,
    threads: int | None = None,
) -> Dataset:
    """Read every file of the plan and write the source data set at ``uri``; a stopped run is taken up again.

    Memory: one shard's files (`SHARD_BYTES` at most, but for a single larger file) and one decoded image a
    thread.

    Raises:
        UserError: ``uri`` holds another data set, cannot be written, or no image could be read.
    """
    shard_rows = {number: len(shard) for number, shard in enumerate(plan.shards)}
    started = DatasetRun.start(uri, "source", plan.plan_id, shard_rows, run=run)
    pending = started.pending()
    if started.resumed_shards:
        print(f"{STAGE}: {started.resumed_shards} of {len(plan.shards)} shards are there already", flush=True)
    total = sum(shard_rows[number] for number in pending)
    workers = threads or len(os.sched_getaffinity(0))
    with attempt(started, len(plan.shards)):
        with _quiet_decoders(), _threads(workers) as pool, Progress(STAGE, total) as progress:
            for number in pending:
                rows, rejects = read_shard(root, plan.shards[number], provenance, pool, progress, plan.accept_generated)
                started.sink.commit(number, rows, rejects)
        closed = started.close()
    if closed.rows == 0:
        why = f" ({_counts(closed.reasons)}{_HOW_TO_ACCEPT if GENERATED in closed.reasons else ''})"
        raise UserError(f"no image in {root} could be read{why}; the reasons are in {started.uri}/rejects")
    return open_dataset(uri)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that forget what they have not begun when the block ends early."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """What Pillow has to say of broken images is in the rejects; on stderr it would be a screen of lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@dataclass(frozen=True)
class Summary:
    """What a source data set holds.

    Images with the same bytes are all kept: published sets have their counts, and which label is wrong is for
    a person to say. ``repeated`` counts the images whose bytes another has too, ``contradicting`` those of
    them that are said to be different persons.
    """

    images: dict[str, int]
    roles: dict[str, int]
    identities: int
    cameras: list[int]
    rejects: dict[str, int]
    first_rejects: dict[str, str]
    """By reason what is wrong with the first image that has it, and where."""
    repeated: int
    contradicting: int
    generated: int
    """Images that say of themselves that they were generated."""

    def lines(self) -> list[str]:
        """For people: three lines or some more."""
        lines = [
            f"images: {sum(self.images.values())} ({_counts(self.images)}); {_counts(self.roles)}",
            f"identities: {self.identities}; cameras: {len(self.cameras)} ({_ranges(self.cameras)})",
            f"rejects: {sum(self.rejects.values())} ({_counts(self.rejects)})",
            *(f"  {reason}, the first: {said}" for reason, said in self.first_rejects.items()),
        ]
        if self.repeated:
            twins = f"{self.contradicting} of them under another identity"
            lines.append(f"same bytes as another image: {self.repeated}, {twins}; all are kept")
        if self.generated:
            lines.append(f"generated images: {self.generated}, read as real ones")
        if refused := self.rejects.get(GENERATED):
            lines.append(f"generated images: {refused} not read{_HOW_TO_ACCEPT}")
        return lines


def summarize(dataset: Dataset, accepted_generated: bool = False) -> Summary:
    """Count a source data set's rows; reads images only where generated ones among them were accepted."""
    columns = ("split", "role", "identity", "camera", "image_sha256")
    rows = dataset.scan().select(columns).collect()
    generated = sum(map(_generated, dataset.shards(["image"]))) if accepted_generated else 0
    twins = rows.group_by("image_sha256").agg(
        pl.len().alias("images"), pl.col("identity").drop_nulls().n_unique().alias("identities")
    )
    repeated = twins.filter(pl.col("images") > 1)
    return Summary(
        images={split: count for split in SPLITS if (count := rows.filter(pl.col("split") == split).height)},
        roles=dict(rows["role"].value_counts(sort=True).iter_rows()),
        identities=rows["identity"].drop_nulls().n_unique(),
        cameras=sorted(rows["camera"].drop_nulls().unique()),
        rejects=dict(dataset.snapshot.reasons),
        first_rejects=_first_rejects(dataset),
        repeated=int(repeated["images"].sum()),
        contradicting=int(repeated.filter(pl.col("identities") > 1)["images"].sum()),
        generated=generated,
    )


def _first_rejects(dataset: Dataset) -> dict[str, str]:
    found: dict[str, str] = {}
    for reject in dataset.rejects().select(["reason", "message", "relative_path"]).to_pylist():
        found.setdefault(reject["reason"], f"{reject['relative_path']}: {reject['message']}")
    return found


def _generated(shard: pa.Table) -> int:
    return sum(says_generated(image["bytes"]) for image in shard.column("image").to_pylist())


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _ranges(numbers: Sequence[int]) -> str:
    """``1-3, 7`` for 1, 2, 3, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ", ".join("-".join(str(end) for end in run) for run in runs) or "none"
