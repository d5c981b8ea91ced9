"""A disk that is full, an output folder that somebody removes while it is written, a shard that is gone."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from manifests.__main__ import main
from manifests.reading.dataset import open_dataset
from tests.chaos.bench import Bench
from tests.chaos.commands import Ended, Forked, strike, timed
from tests.chaos.datasets import compare_folders, digests, look
from tests.chaos.tally import Tally
from tests.chaos.tools import Sets
from tests.chaos.writers import drive, expected

FULL = "No space left on device"


def run(bench: Bench) -> Iterator[Tally]:
    """The rows of the table, each when it is complete."""
    seconds = timed(bench.folder, drive, str(bench.folder / "first"))
    sets = Sets.make(bench.folder)
    yield full_run(bench, _size(bench.folder / "first"))
    yield full_export(bench, sets)
    yield gone(bench, seconds)
    yield shard_gone(bench, seconds)


def full_run(bench: Bench, size: int) -> Tally:
    """A run on a small file system of its own, full after a random part of it, which then grows."""
    tally = bench.tally("disk full in a run", 20)
    for place in _mounted(bench, tally):
        _room(place, int(bench.random.uniform(0.02, 0.9) * size))
        uri = str(place / "set")
        first = Forked(bench.folder, drive, uri).wait()
        if first.status == 0:
            continue
        _room(place, 4 * size)
        again = Forked(bench.folder, drive, uri).wait()
        tally.add(look(uri, expected()), [first], again=again, problems=_said(first))
    return tally


def full_export(bench: Bench, sets: Sets) -> Tally:
    """An export there."""
    tally = bench.tally("disk full in an export", 5)
    command = ["export", sets.inputs[0], "--to", "market1501", "--output"]
    timed(bench.folder, main, [*command, str(bench.folder / "export")])
    whole = digests(bench.folder / "export")
    size = _size(bench.folder / "export")
    for place in _mounted(bench, tally):
        _room(place, int(bench.random.uniform(0.1, 0.9) * size))
        first = Forked(bench.folder, main, [*command, str(place / "export")]).wait()
        if first.status == 0:
            continue
        left = tuple(f"{path.name} was left on the full disk" for path in place.iterdir())
        _room(place, 4 * size)
        again = Forked(bench.folder, main, [*command, str(place / "export")]).wait()
        tally.add(compare_folders(place / "export", whole), [first], again=again, problems=[*_said(first), *left])
    return tally


def gone(bench: Bench, seconds: float) -> Tally:
    """The output folder is removed at a random moment; the run may fail in a line, and the same command succeeds."""
    tally = bench.tally("output folder removed in a run", 20)
    for place in bench.trials(tally):
        uri = str(place / "set")
        process = Forked(place, drive, uri)
        time.sleep(bench.moment(seconds))
        removed = Path(uri).exists() and process.alive()
        shutil.rmtree(uri, ignore_errors=True)
        first = process.wait()
        if removed:
            again = Forked(place, drive, uri).wait()
            tally.add(look(uri, expected()), [first], again=again)
    return tally


def shard_gone(bench: Bench, seconds: float) -> Tally:
    """A run that was killed, or has ended, loses a file that it had committed: the same command makes it again."""
    tally = bench.tally("file of a committed shard removed", 10)
    digest = open_dataset(str(bench.folder / "first")).digest()
    for place in bench.trials(tally):
        uri = place / "set"
        process = Forked(place, drive, str(uri))
        strike(process, bench.moment(seconds))
        process.wait()
        committed = sorted(uri.glob("_commits/*.json"))
        if committed:
            number = committed[int(bench.random.integers(len(committed)))].stem
            for file in (*uri.glob(f"data/{number}-*"), *uri.glob(f"rejects/{number}-*")):
                file.unlink()
            again = Forked(place, drive, str(uri)).wait()
            tally.add(look(str(uri), expected(), digest), again=again)
    return tally


def _mounted(bench: Bench, tally: Tally) -> Iterator[Path]:
    """Folders that are file systems in memory, gone afterwards; none where this user may not mount."""
    for place in bench.trials(tally):
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
        done = subprocess.run(mount, capture_output=True, check=False) if os.geteuid() == 0 else None
        if done is None or done.returncode != 0:
            tally.left_out = "left out: only root may mount a small disk"
            return
        try:
            yield place
        finally:
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["umount", "--lazy", str(place)], capture_output=True, check=True)


def _room(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], capture_output=True, check=True)


def _size(folder: Path) -> int:
    """Bytes that the files below ``folder`` take in whole pages, their folders with them."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(-(-path.stat().st_size // page) * page for path in folder.rglob("*") if path.is_file())


def _said(first: Ended) -> list[str]:
    return [] if FULL in first.err else [f"the full disk is not named: {first.err.strip()}"]
