"""One training on workers of Ray Train: a worker that dies is brought back, a user's mistake is said once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import UserError
from pipeline.cluster.train import train_on_workers
from pipeline.training.workers import Workers


def started(folder: Path, workers: Workers) -> int:
    """How often this worker has been started, this time counted."""
    (folder / f"{workers.rank}-{os.getpid()}").touch()
    return len(list(folder.glob(f"{workers.rank}-*")))


def dies_once_then_refuses(folder: Path) -> Callable[[Workers, str], None]:
    """Worker 1 dies in its first life; in their second both meet, and what the user did wrong is found."""

    def train(workers: Workers, device: str) -> None:
        if started(folder, workers) == 1 and workers.rank == 1:
            time.sleep(5)  # Ray Train gives up where one dies while it still starts the others
            os._exit(1)
        assert workers.gather(workers.rank) == [0, 1]
        (folder / f"met-{workers.rank}-of-{workers.count}-on-{device}").touch()
        raise UserError("no such weights")

    return train


@pytest.mark.ray
def test_a_worker_that_dies_is_brought_back_and_a_mistake_is_not_tried_again(tmp_path: Path, local_ray: str) -> None:
    with pytest.raises(UserError, match=r"^no such weights$"):
        train_on_workers(dies_once_then_refuses(tmp_path), 2, "cpu", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.glob("met-*")) == ["met-0-of-2-on-cpu", "met-1-of-2-on-cpu"]
    assert len(list(tmp_path.glob("1-*"))) == 2
