"""One training on workers of Ray Train: a worker that dies is brought back, a user's mistake is said once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest import mock

import pytest

from manifests.errors import UserError
from pipeline.cluster import stop_bell
from pipeline.cluster.train import _fit, train_on_workers
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


class EndlessTrainer:
    def fit(self) -> None:
        time.sleep(600)


class Rung:
    """In place of the bell that Ray carries."""

    def ring(self, signum: int) -> None:
        print(f"rung for {signum}", file=sys.stderr, flush=True)


def stopped_while_ray_starts(said: Path) -> None:
    """A signal comes, and Ray Train does not end in the time that there is to save."""
    with said.open("w") as sys.stderr, mock.patch.object(stop_bell, "SAVE_SECONDS", 0.1):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        _fit(EndlessTrainer(), Rung())  # type: ignore[arg-type]


def test_a_signal_ends_the_job_though_ray_train_goes_on(tmp_path: Path, forkserver: ForkServerContext) -> None:
    process = forkserver.Process(target=stopped_while_ray_starts, args=(tmp_path / "said",))
    process.start()
    process.join(120)
    assert process.exitcode == 128 + signal.SIGTERM
    rung, line = (tmp_path / "said").read_text().splitlines()
    assert rung == f"rung for {signal.SIGTERM.value}"
    assert line.startswith("stopped by SIGTERM; the workers were told to save")


@pytest.mark.ray
def test_a_worker_that_dies_is_brought_back_and_a_mistake_is_not_tried_again(
    tmp_path: Path, local_ray: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=r"^no such weights$"):
        train_on_workers(dies_once_then_refuses(tmp_path), 2, "cpu", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.glob("met-*")) == ["met-0-of-2-on-cpu", "met-1-of-2-on-cpu"]
    assert len(list(tmp_path.glob("1-*"))) == 2
    assert "Ray Train Controller actor state" not in capfd.readouterr().err  # the cleaner of a Ray without dashboard
