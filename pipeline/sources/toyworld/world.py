"""Writing a world to disk: the Market-1501 layout, its ground truth beside it, and ``world.json`` last.

While a world is written, ``.partial`` holds its settings and the ground truth of every finished chunk; a run
that was stopped draws only the chunks that are missing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.common.json_text import json_text
from manifests.common.replacing import write_whole
from manifests.common.stopping import GO_ON, keeping
from manifests.errors import UserError, one_line
from pipeline.common.images import encode_mask
from pipeline.common.processes import spawned
from pipeline.sources.toyworld.plan import FOLDERS, Task, chunks, plan_world
from pipeline.sources.toyworld.render import ToySample, render_sample
from pipeline.sources.toyworld.settings import VERSION, ToyWorldSettings

Progress = Callable[[int, int], None]

_TEXT = (
    "sex", "age", "hair", "hair_color", "hat", "upper_kind", "upper_color", "upper_pattern", "sleeves", "lower_kind",
    "lower_color", "shoes_color", "bag", "bag_color",
)  # fmt: skip
TRUTH_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("split", pa.string()),
        ("identity", pa.int32()),
        ("camera", pa.int32()),
        ("kind", pa.string()),
        ("mask", pa.binary()),
        ("keypoints", pa.list_(pa.struct([("x", pa.float32()), ("y", pa.float32()), ("visibility", pa.int8())]))),
        ("heading_deg", pa.float32()),
        ("view", pa.string()),
        *((name, pa.string()) for name in _TEXT),
        ("open_front", pa.bool_()),
    ]
)
"""Columns of ``ground_truth/annotations.parquet``. ``mask`` is a 1-bit PNG of the person's visible pixels;
``kind`` is person, junk (badly framed) or empty (nobody: no mask pixels, no keypoints, no attributes)."""


def make_toyworld(
    settings: ToyWorldSettings,
    output: str | Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Write the world of ``settings`` to the folder ``output``, or find it there already.

    Args:
        workers: processes; by default as many as there are CPUs for this process. The bytes do not depend on it.
        progress: called with (images done, images in all); by default a line on stderr every two seconds.
        meanwhile: called once, as soon as other processes draw; not where none do.

    Returns:
        What ``world.json`` holds: settings, version, and counts by domain and split.

    Raises:
        UserError: ``output`` holds something else, another world, or cannot be written.
    """
    root = Path(output)
    tasks = plan_world(settings)
    record = _record(settings, tasks)
    if (finished := _find(root, record)) is not None:
        return finished
    count = len(os.sched_getaffinity(0)) if workers is None else workers
    if count < 1:
        raise UserError(f"the number of workers must be at least 1, not {count}")
    partial = _begin(root, record)
    pieces = list(enumerate(chunks(tasks)))
    missing = [(number, piece) for number, piece in pieces if not _part(partial, number).exists()]
    done = len(tasks) - sum(len(piece) for _, piece in missing)
    report = progress or _progress_line()
    report(done, len(tasks))
    with keeping(lambda: f"{done} of {len(tasks)} images of the toy world are kept in {root}; {GO_ON}"):
        for drawn in _draw_all(settings, root, partial, missing, count, meanwhile or (lambda: None)):
            done += drawn
            report(done, len(tasks))
    for domain in settings.domains:
        parts = [_part(partial, number) for number, piece in pieces if piece[0].domain == domain]
        _join_truth(parts, root / domain / "ground_truth" / "annotations.parquet")
    write_whole(root / "world.json", json_text(record, indent=2, sort_keys=True).encode())
    shutil.rmtree(partial)
    return record


def _record(settings: ToyWorldSettings, tasks: list[Task]) -> dict[str, Any]:
    counts: dict[str, dict[str, int]] = {}
    for domain in settings.domains:
        mine = [task for task in tasks if task.domain == domain]
        splits = Counter(task.split for task in mine)
        counts[domain] = {split: splits[split] for split in FOLDERS}
        counts[domain] |= {"junk": sum(task.identity == -1 for task in mine)}
        counts[domain] |= {"distractors": sum(task.identity == 0 for task in mine)}
    described = settings.model_dump(mode="json")
    return {"kind": "toyworld", "version": VERSION, "settings": described, "seed": settings.seed, "counts": counts}


def _find(root: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """The finished world in ``root`` if it is the one of ``record``; None if there is none yet."""
    path = root / "world.json"
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from None
    if found != record:
        raise UserError(f"{root} holds a toy world of other settings; choose another folder or remove it")
    shutil.rmtree(root / ".partial", ignore_errors=True)  # a stop between the last two steps leaves it
    return dict(found)


def _begin(root: Path, record: dict[str, Any]) -> Path:
    """Make the folders, or take up a run that was stopped; the folder for finished parts."""
    partial = root / ".partial"
    note = partial / "world.json"
    try:
        if note.exists():
            if json.loads(note.read_text(encoding="utf-8")) != record:
                raise UserError(
                    f"{root} holds a half-written toy world of other settings; remove it or choose another folder"
                )
        elif root.exists() and any(root.iterdir()):
            raise UserError(f"{root} is not empty and holds no toy world; choose an empty or new folder")
        partial.mkdir(parents=True, exist_ok=True)
        write_whole(note, json_text(record, indent=2, sort_keys=True).encode())
        for domain in record["settings"]["domains"]:
            for folder in (*FOLDERS.values(), "ground_truth"):
                (root / domain / folder).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write the toy world to {root}: {one_line(error)}") from None
    return partial


def _draw_all(
    settings: ToyWorldSettings,
    root: Path,
    partial: Path,
    missing: list[tuple[int, list[Task]]],
    workers: int,
    meanwhile: Callable[[], object],
) -> Iterator[int]:
    """Draw the missing chunks in ``workers`` processes; yields how many images each had."""
    if workers == 1 or len(missing) < 2:
        for number, piece in missing:
            yield _draw_chunk(settings, root, _part(partial, number), piece)
        return
    calls = [(settings, root, _part(partial, number), piece) for number, piece in missing]
    with spawned(_draw_chunk, calls, min(workers, len(missing))) as jobs:
        meanwhile()
        for job in as_completed(jobs):
            yield job.result()


def _draw_chunk(settings: ToyWorldSettings, root: Path, part: Path, tasks: list[Task]) -> int:
    """Write the images of ``tasks``, then their ground truth, whose file says that the chunk is finished."""
    rows = []
    for task in tasks:
        sample = render_sample(settings, task.domain, task.who, task.camera, task.draw, task.kind)
        (root / task.domain / task.path).write_bytes(sample.jpeg)
        rows.append(_truth(task, sample))
    table = pa.Table.from_pylist(rows, schema=TRUTH_SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    write_whole(part, sink.getvalue().to_pybytes())
    return len(tasks)


def _truth(task: Task, sample: ToySample) -> dict[str, Any]:
    row: dict[str, Any] = {"path": task.path, "split": task.split, "identity": task.identity, "camera": task.camera}
    row |= {"kind": task.kind, "mask": encode_mask(sample.mask)}
    if task.kind == "empty":
        return row | {"keypoints": []}
    points = [{"x": float(x), "y": float(y), "visibility": int(v)} for x, y, v in sample.keypoints]
    row |= {"keypoints": points, "heading_deg": sample.heading_deg, "view": sample.view}
    return row | sample.person.attributes()


def _part(partial: Path, number: int) -> Path:
    return partial / f"{number:06d}.parquet"


def _join_truth(parts: Iterable[Path], path: Path) -> None:
    tables = [pq.read_table(part, schema=TRUTH_SCHEMA) for part in parts]
    table = pa.concat_tables(tables).sort_by("path")
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_whole(path, sink.getvalue().to_pybytes())


def _progress_line(every: float = 2.0) -> Progress:
    """A line on stderr with count, rate and time left, at most once in ``every`` seconds."""
    start = last = time.monotonic()
    first = -1

    def report(done: int, total: int) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = done if first < 0 else first
        if done < total and now - last < every:
            return
        last = now
        rate = (done - first) / max(now - start, 1e-6)
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        print(f"toy world: {done}/{total} images, {rate:.0f} a second{left}", file=sys.stderr, flush=True)

    return report
