"""Influence is an inner product of two gradients: checked against both, formed one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.common.tensors import to_signed
from pipeline.measures.reliability import IdentityGallery, fit_temperature
from pipeline.reid.model import ReidModel, as_model
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.scoring.influence import Influence, Known, Strangers, own_centre_of_each
from tests.pipeline.scoring.paper_people import HEIGHT, WIDTH, drawn

CLASSES = 5


@pytest.fixture(scope="module")
def model() -> ReidModel:
    network = build_network(NetworkSettings(channels=4), CLASSES, seed=3)
    with torch.no_grad():
        network.classifier.weight.mul_(100)  # as large as training makes it
    return as_model(network, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def watched() -> Strangers:
    people = np.repeat(np.arange(4), 3)
    images = np.stack([drawn(100 + person, number) for number, person in enumerate(people)])
    return Strangers(images, people.astype(np.int64), np.tile([1, 2, 2], 4).astype(np.int64))


def validation_loss(model: ReidModel, watched: Strangers) -> torch.Tensor:
    """The mean loss of finding the watched people, written down a second time, image by image."""
    features = model.embed(watched.images)
    gallery = IdentityGallery(features, watched.identities)
    temperature = fit_temperature(gallery, np.arange(len(features)))
    found, losses = model.network.embed(to_signed(watched.images)), []
    for row, person in enumerate(watched.identities):
        cosines = []
        for other in range(4):
            rows = watched.identities == other
            rows &= (watched.cameras != watched.cameras[row]) if other == person else True
            centre = torch.from_numpy(features[rows].sum(axis=0))
            cosines.append(found[row] @ F.normalize(centre, dim=0))
        losses.append(F.cross_entropy(torch.stack(cosines) / temperature, torch.tensor(person)))
    return torch.stack(losses).mean()


def gradient(model: ReidModel, loss: torch.Tensor) -> torch.Tensor:
    """Over all weights but the classifier's."""
    weights = [one for name, one in model.network.named_parameters() if "classifier" not in name]
    found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
    return torch.cat([one.flatten() for one in found]).double()


def test_influence_is_the_product_of_the_gradients(model: ReidModel, watched: Strangers) -> None:
    images = np.stack([drawn(person, 1) for person in range(CLASSES)])
    targets = np.full((CLASSES, CLASSES), 0.02, np.float32) + 0.9 * np.eye(CLASSES, dtype=np.float32)
    found = Influence(model, None, watched).of(images, targets)
    trained = as_model(build_network(NetworkSettings(channels=4), CLASSES), HEIGHT, WIDTH)
    trained.network.load_state_dict(model.network.state_dict())
    trained.network.requires_grad_(True)
    towards = gradient(trained, validation_loss(trained, watched))
    assert towards.norm() > 1e-3
    for row in range(CLASSES):
        loss = F.cross_entropy(
            trained.network(to_signed(images[row : row + 1])), torch.from_numpy(targets[row : row + 1])
        )
        assert found[row] == pytest.approx(float(gradient(trained, loss) @ towards), rel=1e-3)


def test_people_of_the_classes_act_through_the_last_layer(model: ReidModel, watched: Strangers) -> None:
    """In closed form: the gradient of cross-entropy by the classifier is (p - q) f'."""
    images = np.stack([drawn(person, 1) for person in range(CLASSES)])
    targets = np.eye(CLASSES, dtype=np.float32)[[0, 1, 2, 4, 3]]
    seen, classes = np.stack([drawn(person, 2) for person in (0, 3, 3)]), np.array([0, 3, 3])
    features, own_features = (
        model.network.neck(model.network.pooled(to_signed(some))).double().numpy() for some in (seen, images)
    )
    pull = (model.probabilities(seen) - np.eye(CLASSES)[classes]).T @ features / 3
    expected = ((model.probabilities(images) - targets) @ pull * own_features).sum(axis=1)
    found = Influence(model, Known(seen, classes), None).of(images, targets)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
    # With strangers beside them the mean is over all, and either's part is over weights of its own.
    both = Influence(model, Known(seen, classes), watched).of(images, targets)
    strange = Influence(model, None, watched).of(images, targets)
    assert both == pytest.approx((3 * found + 12 * strange) / 15, rel=1e-3, abs=1e-6)


def test_a_step_along_a_row_changes_the_loss_by_its_influence(model: ReidModel, watched: Strangers) -> None:
    images, targets = drawn(7, 0)[None], np.eye(CLASSES, dtype=np.float32)[:1]
    [influence] = Influence(model, None, watched).of(images, targets)
    stepped = as_model(build_network(NetworkSettings(channels=4), CLASSES), HEIGHT, WIDTH)
    stepped.network.load_state_dict(model.network.state_dict())
    stepped.network.requires_grad_(True)
    before = validation_loss(stepped, watched).item()
    loss = F.cross_entropy(stepped.network(to_signed(images)), torch.from_numpy(targets))
    slopes = torch.autograd.grad(loss, list(stepped.network.parameters()), allow_unused=True, materialize_grads=True)
    rate = 1e-3 * before / abs(influence)
    with torch.no_grad():
        for parameter, slope in zip(stepped.network.parameters(), slopes, strict=True):
            parameter.sub_(slope, alpha=rate)
    assert np.sign(before - validation_loss(stepped, watched).item()) == np.sign(influence)


def test_own_centres_are_of_other_cameras() -> None:
    features = np.eye(6, dtype=np.float32)
    people = np.array([0, 0, 0, 1, 1, 2])
    images = np.zeros((6, 2, 2, 3), np.uint8)
    centres = own_centre_of_each(features, Strangers(images, people, np.array([1, 2, 2, 5, 5, 1])))
    half = np.sqrt(0.5)
    assert centres[0] == pytest.approx([0, half, half, 0, 0, 0])  # by the two of camera 2
    assert centres[1] == pytest.approx([1, 0, 0, 0, 0, 0])  # not by row 2, of the same camera
    assert centres[3] == pytest.approx([0, 0, 0, 0, 1, 0])  # all by one camera: by the other image
    assert (centres[5] == 0).all()  # seen once
    unknown = own_centre_of_each(features, Strangers(images, people, np.full(6, -1)))
    assert unknown[0] == pytest.approx([0, half, half, 0, 0, 0])


def test_nobody_to_find_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two people are seen twice"):
        Strangers(np.zeros((3, 2, 2, 3), np.uint8), np.array([0, 0, 1]), np.zeros(3, np.int64))
