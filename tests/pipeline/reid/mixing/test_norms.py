"""Batch norms of generated images: their statistics leave those of real ones alone, and travel with checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from pipeline.common.tensors import to_signed
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.mixing.norms import GeneratedNorms
from pipeline.reid.model import load_reid, save_reid
from pipeline.reid.network import build_network
from pipeline.reid.sets import LabelledImages, TrainingSets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from tests.pipeline.reid.test_training import SMALL, people

APART = MixSettings(mix="two_means", real_to_synthetic=1, synthetic_norm="apart")


def domains() -> TrainingSets:
    """Twelve real images, and the same with their contrast halved in the place of generated ones."""
    real = people()
    made = (real.images // 2 + 100).astype(np.uint8)
    both = [np.concatenate([getattr(real, name)] * 2) for name in ("targets", "people")]
    images = LabelledImages(np.concatenate([real.images, made]), *both)
    return TrainingSets(images, 12, ClassMap(("a", "b", "c")), {})


def training(mix: MixSettings = APART, **changed: Any) -> ReidTraining:
    settings = ReidTrainingSettings.model_validate({"steps": 4, "batch_size": 8, "precision": "float32", **changed})
    batches = mixed_batches(domains(), 1, mix, steps=settings.steps)
    return ReidTraining(build_network(SMALL, 3, seed=2), batches, settings, mix=mix)


def test_either_kind_is_normalised_by_itself() -> None:
    run = training()
    batch = run.own_batch(run.batches.batch(0, 8))
    first = run.network.stem[0]
    assert isinstance(first, nn.Conv2d)
    mean, deviation = run.network.mean, run.network.deviation
    seen = first((batch["image"] * 0.5 + 0.5 - mean) / deviation).detach()
    run.train_step()
    assert run.norms is not None
    for rows, norm in ((seen[:4], run.network.stem[1]), (seen[4:], run.norms.layers[0])):
        assert torch.allclose(norm.running_mean, 0.1 * rows.mean(dim=(0, 2, 3)), atol=1e-6)
        variance = rows.transpose(0, 1).flatten(1).var(dim=1)
        assert torch.allclose(norm.running_var, 0.9 + 0.1 * variance, atol=1e-5)
    assert not torch.equal(run.norms.layers[0].weight, run.network.stem[1].weight), "a scale of their own is learned"
    assert len(run.norms.layers) == sum(
        isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d) for one in run.network.modules()
    )
    assert not run.norms.layers[-1].bias.any(), "the neck has no shift"


def test_with_generated_images_that_weigh_nothing_real_ones_train_as_if_alone() -> None:
    """What is shared is the gradient alone: where that is all but nothing, the two trainings are one."""
    tiny = MixSettings(mix="two_means", real_to_synthetic=1, synthetic_norm="apart", synthetic_weight=1e-30)
    shared = MixSettings(mix="two_means", real_to_synthetic=1, synthetic_weight=1e-30)
    apart, mixed, alone = training(tiny, optimizer="sgd"), training(shared, optimizer="sgd"), training(optimizer="sgd")
    alone.batches.order = alone.batches.order._real  # the real half of two means
    alone.norms, alone.settings = None, alone.settings.model_copy(update={"batch_size": 4})
    for run in (apart, mixed, alone):
        run.batches.settings = run.batches.settings.model_copy(update={"padding": 0, "flip": 0, "erasing": 0})
        run.run()
    far, near = (
        max(float((run.network.state_dict()[name].float() - one.float()).abs().max()) for name, one in same.items())
        for run, same in ((mixed, alone.network.state_dict()), (apart, alone.network.state_dict()))
    )
    assert near < 1e-4 < far


def test_the_network_is_whole_again_and_of_its_own_shape(tmp_path: Path) -> None:
    network = build_network(SMALL, 3, seed=2)
    names, first = list(network.state_dict()), network.stem[1]
    norms = GeneratedNorms(network)
    with norms.in_place():
        assert network.stem[1] is norms.layers[0]
    assert network.stem[1] is first
    run = training()
    save_reid(tmp_path / "reid.safetensors", run.run(), 32, 16)
    assert list(run.network.state_dict()) == names
    images = people().images
    found = load_reid(tmp_path / "reid.safetensors").logits(images)
    with torch.inference_mode():
        assert found == pytest.approx(run.network(to_signed(images)).numpy(), abs=1e-5)


@pytest.mark.parametrize("late", [{"synthetic_from": 0.5}, {"real_from": 0.5}])
def test_who_joins_later_begins_with_what_the_others_learned(late: dict[str, float], tmp_path: Path) -> None:
    """Also where the training was stopped right before."""
    mix = MixSettings.model_validate({**APART.model_dump(), **late})
    fast = {"learning_rate": 0.05, "warm_up": 0.0, "checkpoint_every": 2}
    first = training(mix, **fast)
    first.steps = 2
    first.run(tmp_path, mix.described())
    unbroken, resumed = training(mix, **fast), training(mix, **fast)
    resumed.steps = 3
    resumed.run(tmp_path, mix.described())
    scales: list[list[torch.Tensor]] = []
    for _ in range(3):
        scales.append([layer.weight.detach().clone() for layer in both_norms(unbroken)])
        unbroken.train_step()
    (before, idle), (own, made) = scales[2], both_norms(unbroken)
    if "real_from" in late:
        before, idle, own, made = idle, before, made, own
    assert torch.equal(idle, torch.ones_like(idle)), "who takes no part learns nothing"
    assert (before - 1).abs().max() > 0.05
    # The first step of AdamW moves a weight by the learning rate: from the others', not from 1.
    assert (made.weight - before).abs().max() <= 0.0251
    assert not torch.equal(made.weight, own.weight)
    for mine, again in zip(both_norms(unbroken), both_norms(resumed), strict=True):
        assert torch.equal(mine.weight, again.weight)


def both_norms(run: ReidTraining) -> list[nn.Module]:
    """The first norm of real images, and that of generated ones."""
    assert run.norms is not None
    return [run.network.stem[1], run.norms.layers[0]]


def test_going_on_from_a_checkpoint_is_as_unbroken(tmp_path: Path) -> None:
    unbroken = training()
    unbroken.run(tmp_path / "unbroken", APART.described())
    first = training(checkpoint_every=2)
    first.steps = 2
    first.run(tmp_path / "stopped", APART.described())
    resumed = training(checkpoint_every=2)
    resumed.run(tmp_path / "stopped", APART.described())
    assert resumed.norms is not None
    assert unbroken.norms is not None
    for mine, other in ((unbroken.network, resumed.network), (unbroken.norms.layers, resumed.norms.layers)):
        again = other.state_dict()
        assert all(torch.equal(tensor, again[name]) for name, tensor in mine.state_dict().items())


def test_batches_too_small_for_statistics_are_refused() -> None:
    with pytest.raises(UserError, match="--synthetic-norm apart: 1 generated images of a batch for 1 workers"):
        training(MixSettings(mix="two_means", synthetic_norm="apart"), batch_size=4)
