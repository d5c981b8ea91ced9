"""Two workers that share every batch end where one worker ends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch import nn

from manifests.errors import UserError
from pipeline.common.finite import NotFiniteError
from pipeline.generators.recipes.base import Batch, StepContext, Terms
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.training.data import UnpairedDomains
from pipeline.training.workers import Workers
from tests.pipeline.generators.training.test_loop import SMALL, domains


def train(output: Path, workers: Workers, recipe: CycleGAN | None = None) -> Training:
    settings = TrainingSettings(
        steps=4, batch_size=2, height=32, width=32, precision="float32", checkpoint_every=2, average_decay=0.9
    )
    data = UnpairedDomains(*domains(), 32, 32, seed=1)
    run = Training(recipe or CycleGAN(CycleGANSettings(**SMALL)), data, output, settings, workers)
    run.run()
    return run


class Diverges(CycleGAN):
    """In step 3 not finite for the second of two workers only, and without a trace in the gradient."""

    rank = 0

    def step(self, networks: nn.ModuleDict, batch: Batch, context: StepContext) -> Iterator[tuple[str, Terms]]:
        for player, terms in super().step(networks, batch, context):
            bad = context.step == 2 and self.rank == 1
            yield player, {**terms, "wrong": torch.tensor(math.nan if bad else 0.0)}


def worker(rank: int, folder: Path, attempt: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet_{attempt}", rank=rank, world_size=2)
    run = train(folder / "both", Workers(rank, 2))
    torch.save(run.networks.state_dict(), folder / f"weights_{rank}.pt")
    if attempt == 0:
        recipe = Diverges(CycleGANSettings(**SMALL))
        recipe.rank = rank
        with pytest.raises(NotFiniteError) as caught:
            train(folder / "diverging", Workers(rank, 2), recipe)
        (folder / f"said_{rank}").write_text(str(caught.value))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def trained(forkserver: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two workers trained, died after step 3 and went on."""
    folder = tmp_path_factory.mktemp("workers")
    checkpoints = folder / "both" / "checkpoints"
    for attempt in range(2):
        processes.start_processes(worker, (folder, attempt), nprocs=2, start_method="forkserver")
        assert [path.stem for path in sorted(checkpoints.iterdir())] == ["step_000000002", "step_000000004"]
        if attempt == 0:
            (checkpoints / "step_000000004.pt").unlink()  # as if both had died after step 3
    return folder


def test_all_stop_where_one_diverges(trained: Path) -> None:
    first, second = ((trained / f"said_{rank}").read_text() for rank in range(2))
    assert first == second
    assert first.startswith("training stopped at step 3: the loss term 'wrong' is not finite")
    assert [path.stem for path in (trained / "diverging" / "checkpoints").iterdir()] == ["step_000000002"]


def test_two_workers_are_as_one(trained: Path, tmp_path: Path) -> None:
    first, second = (torch.load(trained / f"weights_{rank}.pt", weights_only=True) for rank in range(2))
    alone = train(tmp_path, Workers()).networks.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in alone), "all workers hold the same weights"
    apart = torch.cat([(first[name] - weight).abs().flatten() for name, weight in alone.items()])
    # Adam turns the rounding of a gradient that is zero (a bias before a norm) into a step; all others agree.
    assert (apart < 2e-5).float().mean() > 0.98


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(UserError, match="--batch-size 3 cannot be shared by 2 workers"):
        Workers(0, 2).check(3)
