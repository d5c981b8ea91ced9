"""Two workers that share every batch learn as one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes
from torch.nn.modules.batchnorm import _BatchNorm

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.network import NetworkSettings, ReidNetwork, build_network
from pipeline.reid.sets import TrainingSets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.reid.triplet import TripletSettings
from pipeline.training.workers import ALONE, Workers
from tests.pipeline.reid.test_training import people

STEPS = 3
SMALL = NetworkSettings(channels=4)
MEANS = MixSettings(mix="two_means")
APART = MixSettings(mix="two_means", real_to_synthetic=1, synthetic_norm="apart")
TRIPLET = TripletSettings(triplet_weight=1.0, identities_per_batch=3, images_per_identity=2)


class Frozen(ReidNetwork):
    """Normalises by running statistics in training too: each row depends on itself alone, and sums are exact."""

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        for module in self.modules():
            module.training = mode and not isinstance(module, _BatchNorm)
        return self


def training(network: ReidNetwork, workers: Workers, batch_size: int = 8, mix: MixSettings = MEANS) -> ReidTraining:
    """Six real images of three people and two generated ones in each batch, or six."""
    sets = TrainingSets(people(18), 9, ClassMap(("a", "b", "c")), {})
    settings = ReidTrainingSettings(
        steps=STEPS, batch_size=batch_size, optimizer="sgd", learning_rate=1e-3, precision="float32", warm_up=0.0
    )
    batches = mixed_batches(sets, 1, mix, triplet=TRIPLET)
    network.load_state_dict(build_network(SMALL, 3, seed=2).state_dict())
    return ReidTraining(network, batches, settings, TRIPLET, workers, mix)


def trained(workers: Workers, apart: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss terms of each step (`STEPS`, 2), and the weights they led to, under frozen statistics."""
    network = Frozen(SMALL, 3)
    run = training(network, workers, 12, APART) if apart else training(network, workers)
    terms = [run.train_step() for _ in range(STEPS)]
    losses = torch.tensor([[float(term.detach()) for term in step.values()] for step in terms])
    return losses, weights(run)


def weights(run: ReidTraining) -> dict[str, torch.Tensor]:
    norms = run.norms.layers.state_dict() if run.norms is not None else {}
    return {**run.network.state_dict(), **{f"generated {name}": one for name, one in norms.items()}}


def worker(rank: int, folder: Path, apart: bool) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    workers = Workers(rank, 2)
    losses, frozen = trained(workers, apart)
    network = ReidNetwork(SMALL, 3)
    ordinary = training(network, workers, 12, APART) if apart else training(network, workers)
    ordinary.run(folder / "ordinary")
    torch.save([losses, frozen, weights(ordinary)], folder / f"result_{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.usefixtures("forkserver")
@pytest.mark.parametrize("apart", [False, True])
def test_two_workers_are_as_one(tmp_path: Path, apart: bool) -> None:
    processes.start_processes(worker, (tmp_path, apart), nprocs=2, start_method="forkserver")
    found = [torch.load(tmp_path / f"result_{rank}.pt", weights_only=True) for rank in range(2)]
    losses, alone = trained(ALONE, apart)
    shared = (found[0][0] + found[1][0]) / 2
    assert torch.allclose(shared, losses, rtol=1e-4), "the batch's loss is the mean of the workers'"
    before = build_network(SMALL, 3, seed=2).state_dict()
    moved = torch.cat([(alone[name] - start).flatten().abs() for name, start in before.items()])
    off = torch.cat([(found[0][1][name] - weight).flatten().abs() for name, weight in alone.items()])
    assert float(off.max()) < 1e-3 * float(moved.max())
    for both in zip(found[0][1:], found[1][1:], strict=True):
        assert all(torch.equal(both[0][name], both[1][name]) for name in both[0]), "running statistics too"
    saved = torch.load(next((tmp_path / "ordinary" / "checkpoints").iterdir()), weights_only=True)
    assert saved["identity"]["workers"] == 2
    kept = {**saved["network"], **{f"generated {name}": one for name, one in saved.get("generated_norms", {}).items()}}
    assert kept.keys() == alone.keys()
    assert all(torch.equal(kept[name], found[0][2][name]) for name in kept)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(UserError, match="--batch-size 8 cannot be shared by 3 workers"):
        training(ReidNetwork(SMALL, 3), Workers(0, 3))
    with pytest.raises(UserError, match="--batch-size 8 leaves one image to each of 8 workers, and"):
        training(ReidNetwork(SMALL, 3), Workers(0, 8))
    with pytest.raises(UserError, match="--synthetic-norm apart: 2 generated images of a batch for 2 workers"):
        training(ReidNetwork(SMALL, 3), Workers(0, 2), mix=MEANS.model_copy(update={"synthetic_norm": "apart"}))
