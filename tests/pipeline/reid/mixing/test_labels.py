"""Labels of images of nobody by the network in training: the same formula as rows are labelled by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from manifests.format.soft_labels import expand, mprl
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.mixing.labels import dynamic_mprl
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from tests.pipeline.reid.mixing.test_batches import sets


def test_ranks_by_hand() -> None:
    logits = torch.tensor([[0.3, 2.0, -1.0, 0.3]])
    # The likeliest of four classes weighs 4 of 4 + 3 + 2 + 1; of equal ones the lower number is the likelier.
    assert dynamic_mprl(logits).tolist() == [pytest.approx([0.3, 0.4, 0.1, 0.2])]


def test_it_is_the_rule_that_rows_are_labelled_by() -> None:
    logits = torch.randn(20, 11, generator=torch.Generator().manual_seed(3), requires_grad=True)
    logits.data[4, 2:7] = 1.0
    labels = dynamic_mprl(logits)
    assert not labels.requires_grad
    assert np.array_equal(labels.numpy(), expand(mprl(logits.detach().double().softmax(dim=1).numpy())))


def test_the_training_labels_nobody_anew_and_leaves_all_others() -> None:
    """The loss of one step, from the logits of that step."""
    mix = MixSettings(nobody_labels="mprl", synthetic_from=0, synthetic_weight=0.5)
    plain = AugmentationSettings(padding=0, flip=0, erasing=0)
    data = sets(5, 3, people=4)
    data.images.people[5] = 2  # a generated image of somebody keeps its own label
    settings = ReidTrainingSettings(steps=2, batch_size=8, precision="float32")
    images = np.random.Generator(np.random.Philox(1)).integers(0, 256, (8, 32, 16, 3), dtype=np.uint8)
    batches = mixed_batches(data, 1, mix, plain, steps=2)
    batches.data = type(data.images)(images, data.images.targets, data.images.people)
    run = ReidTraining(build_network(NetworkSettings(channels=4), 4, seed=2), batches, settings, mix=mix)
    batch = run.own_batch(batches.batch(0, 8))
    logits = build_network(NetworkSettings(channels=4), 4, seed=2).logits(batch["image"]).detach()
    targets = batch["target"].clone()
    nobody = (batch["generated"] == 1) & (batch["person"] == -1)
    assert int(nobody.sum()) == 2
    targets[nobody] = torch.from_numpy(expand(mprl(logits[nobody].double().softmax(dim=1).numpy())))
    weights = torch.where(batch["generated"] == 1, 0.5 / 8, 1 / 8)
    expected = -(weights[:, None] * targets * logits.log_softmax(dim=1)).sum()
    assert float(run.train_step()["cross_entropy"].detach()) == pytest.approx(float(expected), rel=1e-5)
