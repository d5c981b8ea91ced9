"""Ray nodes on this machine; of three one is killed, or the head, while a job runs on them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manifests.format.schema import ROW_ID
from manifests.reading.dataset import open_dataset
from tests.chaos.bench import Bench
from tests.chaos.commands import ROOT, Ended, Started, environment, python
from tests.chaos.datasets import look
from tests.chaos.tally import Tally
from tests.pipeline.tiny_generators import save_tiny
from tests.toy_inputs import make_sources

PATIENCE = 300.0
_IMAGES = 600
_STARTS = 4
_THREE = (1, 1, 1)


class Nodes:
    """A head and more nodes with so many cores each; all are gone when the block ends."""

    def __init__(self, *cores: int) -> None:
        self._cores = cores

    def __enter__(self) -> Nodes:
        for left in reversed(range(_STARTS)):
            try:
                return self._start()
            except Exception:  # bare, where a node is not there after Ray's 30 seconds: a busy machine takes longer
                self._cluster.shutdown()
                if not left:
                    raise
        raise AssertionError

    def _start(self) -> Nodes:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster()
        self._cluster.add_node(num_cpus=self._cores[0], include_dashboard=False)
        self._others = [self._cluster.add_node(num_cpus=cores) for cores in self._cores[1:]]
        self.address = str(self._cluster.address)
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.shutdown()

    def kill(self, head: bool) -> None:
        """End all processes of one node at once."""
        node: Any = self._cluster.head_node if head else self._others[0]
        node.kill_all_processes(check_alive=False, allow_graceful=False, wait=True)


def variables(bench: Bench) -> dict[str, str]:
    """Our packages for the workers, a short folder for sockets (107 characters), no token of somebody's own Ray."""
    return {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(bench.folder.parent / "r"), "RAY_AUTH_MODE": "disabled"}


def run(bench: Bench) -> Iterator[Tally]:
    """The rows of the table, each when it is complete."""
    source = make_sources(bench.folder / "inputs").market
    save_tiny(bench.folder / "generator", "cgan", cameras=[1, 2])
    words: list[str | Path] = ["--source", source, "--generator", bench.folder / "generator", "--images", str(_IMAGES)]
    command = python(ROOT / "jobs" / "synthesize_random_people.py", *words, "--shard-size", "8", "--batch-size", "4")
    with environment(variables(bench)):
        with Nodes(*_THREE) as nodes:
            whole = _start(nodes, command, bench.folder, "whole").wait(PATIENCE)
        if whole.status != 0:
            raise RuntimeError(f"the unbroken run failed: {whole.err}")
        yield broken(bench, command, "one of three Ray nodes killed", head=False)
        yield broken(bench, command, "head of three Ray nodes killed", head=True)


def broken(bench: Bench, command: list[str | Path], fault: str, *, head: bool) -> Tally:
    """A node is killed while all work. Without one of them the job ends well, without the head in a line."""
    tally = bench.tally(fault, 2)
    whole = open_dataset(str(bench.folder / "whole"))
    expected = whole.read([ROW_ID[whole.kind]]).column(0).to_pylist()
    for place in bench.trials(tally):
        with Nodes(*_THREE) as nodes:
            job = _start(nodes, command, place, "set")
            if not _at_work(job, place / "set", int(bench.random.integers(3, 20))):
                job.wait(PATIENCE)
                continue
            nodes.kill(head)
            first = job.wait(PATIENCE)
        with Nodes(*_THREE) if first.status != 0 else contextlib.nullcontext() as nodes:
            again = _start(nodes, command, place, "set").wait(PATIENCE) if nodes else first
        found = look(str(place / "set"), expected, whole.digest())
        tally.add(found, [first], again=again, problems=_unexpected(first, head))
    return tally


def _unexpected(first: Ended, head: bool) -> list[str]:
    if not head and first.status != 0:
        return [f"with two nodes left the job ended with {first.status}: {first.err.strip()}"]
    return []


def _start(nodes: Nodes, command: list[str | Path], place: Path, name: str) -> Started:
    where: list[str | Path] = ["--ray-address", nodes.address, "--workers", "3", "--output", place / name]
    return Started(place / "logs", [*command, *where])


def _at_work(job: Started, output: Path, shards: int) -> bool:
    """Wait until so many shards are committed; False if the job ended or hung before."""
    until = time.monotonic() + PATIENCE
    while job.alive() and time.monotonic() < until:
        if len(list(output.glob("_commits/*.json"))) >= shards:
            return True
        time.sleep(0.02)
    return False
