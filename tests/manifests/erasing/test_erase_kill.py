"""SIGKILL at every third step of an erasure: the old state or the new one, and the same command finishes it.

`test_interleavings` stops it at every single step, without processes.
"""

from __future__ import annotations

import shutil
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

from manifests.checking.validate import validate
from manifests.disk.snapshots import ERASING
from manifests.erasing.erase import erase
from manifests.erasing.traces import Request
from manifests.errors import UserError
from manifests.format.names import subject_key
from manifests.format.soft_labels import ClassMap
from manifests.reading.dataset import open_dataset
from manifests.writing.run import DatasetRun
from tests.manifests.erasing.family import GONE, PEOPLE
from tests.manifests.manifest_rows import name
from tests.manifests.people_rows import (
    assert_no_trace,
    people_annotations,
    people_source,
    people_synthetic,
    rejects,
    write,
)
from tests.manifests.writing.kill_worker import erase_person

REQUEST = Request(frozenset({GONE}))


@pytest.fixture(scope="module")
def uris(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = str(tmp_path_factory.mktemp("whole"))
    classes = ClassMap.of(PEOPLE)
    shards = [people_source("market", PEOPLE[:2], 2), people_source("market", PEOPLE[2:], 2)]
    broken = rejects({"source_sha256": shards[0].column("image_sha256")[2].as_py()})
    return [
        write(f"{root}/source", "source", *shards).uri,
        write(f"{root}/annotations", "annotation", *map(people_annotations, shards)).uri,
        write(
            f"{root}/synthetic",
            "synthetic",
            *(people_synthetic(shard, classes) for shard in shards),
            classes=classes,
            rejected=broken,
        ).uri,
    ]


def killed_at(forkserver: ForkServerContext, uris: list[str], step: int) -> None:
    process = forkserver.Process(target=erase_person, args=(uris, GONE, step))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def count_steps(forkserver: ForkServerContext, uris: list[str]) -> int:
    steps = forkserver.Value("i", 0)
    process = forkserver.Process(target=erase_person, args=(uris, GONE, None, steps))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    return int(steps.value)


def copied(uris: list[str], folder: Path) -> list[str]:
    return [str(shutil.copytree(uri, folder / Path(uri).name)) for uri in uris]


def test_a_kill_leaves_the_old_or_the_new_state(forkserver: ForkServerContext, uris: list[str], tmp_path: Path) -> None:
    synthetic = uris[2:]
    steps = count_steps(forkserver, copied(synthetic, tmp_path / "whole"))
    assert steps > 30
    old = open_dataset(synthetic[0]).read()
    new = open_dataset(str(tmp_path / "whole" / "synthetic"))
    seen = set()
    for step in range(0, steps, 3):
        (uri,) = copied(synthetic, tmp_path / str(step))
        killed_at(forkserver, [uri], step)
        state = open_dataset(uri)
        seen.add(state.snapshot.number)
        assert state.read().equals(old if state.snapshot.number == 1 else new.read())
        if state.run["status"] == ERASING:
            with pytest.raises(UserError, match=r"an erasure of .* was interrupted"):
                DatasetRun.start(uri, "synthetic", name("plan"), {0: 4, 1: 4}, footer=state.footer)
        erase([uri], REQUEST)
        assert validate(uri).faults == []
        assert_no_trace(uri, [GONE.encode(), subject_key("market", GONE).encode()])
        after = open_dataset(uri).snapshot
        assert (after.files, after.rejects, after.counts) == (
            new.snapshot.files,
            new.snapshot.rejects,
            new.snapshot.counts,
        )
        assert [(one.rows, one.rejects) for one in after.erasures] == [(2, 1)]
    assert seen == {1, 2}


def test_what_an_interrupted_erasure_left_is_a_fault(
    forkserver: ForkServerContext, uris: list[str], tmp_path: Path
) -> None:
    for step in (8, 20):
        (uri,) = copied(uris[2:], tmp_path / str(step))
        killed_at(forkserver, [uri], step)
        faults = [str(fault) for fault in validate(uri).faults]
        assert "erasure: run.json: an erasure was interrupted: run the same erase command again" in faults


def test_kills_between_data_sets(forkserver: ForkServerContext, uris: list[str], tmp_path: Path) -> None:
    steps = count_steps(forkserver, copied(uris, tmp_path / "whole"))
    for step in np.random.Generator(np.random.Philox(3)).choice(steps, 5, replace=False):
        mine = copied(uris, tmp_path / str(step))
        killed_at(forkserver, mine, int(step))
        erase(mine, REQUEST)
        for uri in mine:
            assert validate(uri).faults == []
            assert_no_trace(uri, [GONE.encode(), subject_key("market", GONE).encode()])
            assert [entry.rows for entry in open_dataset(uri).snapshot.erasures] == [2]
