"""Statistics taken anew, against those worked out by hand on a shifted domain."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.common.tensors import to_signed
from pipeline.reid.model import ReidModel, as_model
from pipeline.reid.network import build_network
from pipeline.reid.norm import adapt_norm
from tests.pipeline.reid.test_training import SMALL, people


@pytest.fixture
def model() -> ReidModel:
    network = build_network(SMALL, 3, seed=7)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            layer.running_mean.fill_(0.3)  # type: ignore[union-attr]
            layer.running_var.fill_(2.0)  # type: ignore[union-attr]
    return as_model(network, 32, 16)


def shifted(rows: int) -> np.ndarray:
    """Darker and flatter people."""
    return (people(rows).images // 3 + 20).astype(np.uint8)


def before_first_norm(model: ReidModel, images: np.ndarray) -> Tensor:
    network = model.network
    seen: Tensor = network.stem[0]((to_signed(images) * 0.5 + 0.5 - network.mean) / network.deviation)
    return seen.detach().transpose(0, 1).flatten(1)


def test_of_one_batch_each_layer_normalises_by_it(model: ReidModel) -> None:
    images = shifted(10)
    adapted = adapt_norm(model, images)
    found, seen = adapted.network.stem[1], before_first_norm(model, images)
    assert found.running_mean == pytest.approx(seen.mean(dim=1).numpy(), abs=1e-5)
    assert found.running_var == pytest.approx(seen.var(dim=1).numpy(), rel=1e-4)
    # To the last layer, the neck: its input, with every layer before it normalising by the batch.
    network = deepcopy(model.network).train()
    features, neck = network.pooled(to_signed(images)).detach(), adapted.network.neck
    assert neck.running_mean == pytest.approx(features.mean(dim=0).numpy(), rel=1e-4)
    assert neck.running_var == pytest.approx(features.var(dim=0).numpy(), rel=1e-3)


def test_of_several_batches_it_is_the_mean_of_theirs(model: ReidModel) -> None:
    images = shifted(10)
    adapted = adapt_norm(model, images, batch_size=4)
    parts = [before_first_norm(model, images[first::3]) for first in range(3)]  # 4, 3 and 3 images
    mean = torch.stack([part.mean(dim=1) for part in parts]).mean(dim=0)
    variance = torch.stack([part.var(dim=1) for part in parts]).mean(dim=0)
    assert adapted.network.stem[1].running_mean == pytest.approx(mean.numpy(), abs=1e-5)
    assert adapted.network.stem[1].running_var == pytest.approx(variance.numpy(), rel=1e-4)


def test_weights_stay_and_the_model_that_was_given_too(model: ReidModel) -> None:
    before = {name: one.clone() for name, one in model.network.state_dict().items()}
    adapted, again = (adapt_norm(model, shifted(10), batch_size=4).network for _ in range(2))
    assert all(torch.equal(one, before[name]) for name, one in model.network.state_dict().items())
    after = adapted.state_dict()
    moved = {name for name, one in after.items() if not torch.equal(one, before[name])}
    assert moved == {name for name in before if "running" in name or "num_batches" in name}
    assert all(torch.equal(one, after[name]) for name, one in again.state_dict().items())
    assert not adapted.training
    assert {layer.momentum for layer in adapted.modules() if isinstance(layer, nn.BatchNorm2d)} == {0.1}


def test_one_image_has_no_variance(model: ReidModel) -> None:
    with pytest.raises(ValueError, match="statistics need two images"):
        adapt_norm(model, shifted(1))
