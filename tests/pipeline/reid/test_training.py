"""The ReID training: its loss, its batches, learning, stopping and going on."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap, expand, lsro, one_hot
from pipeline.common.finite import NotFiniteError, first_not_finite
from pipeline.reid.batches import LabelledBatches
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.model import ReidModel, as_model, load_reid, save_reid
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.sets import LabelledImages, TrainingSets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings, soft_cross_entropy
from pipeline.reid.triplet import TripletSettings
from pipeline.training.data import Columns
from tests.pipeline.spoiled import spoil_file, spoiled

SMALL = NetworkSettings(channels=4)


def people(rows: int = 12) -> LabelledImages:
    """Three people in noise, told by the channel that is bright."""
    rng = np.random.Generator(np.random.Philox(0))
    images = rng.integers(0, 90, (rows, 32, 16, 3), dtype=np.uint8)
    numbers = np.arange(rows) % 3
    images[np.arange(rows), ..., numbers] += 150
    return LabelledImages(images, expand(one_hot(numbers, 3)), numbers.astype(np.int32))


def training(batches: LabelledBatches | None = None, **changed: Any) -> ReidTraining:
    settings = {"steps": 6, "batch_size": 4, "precision": "float32", **changed}
    batches = batches or LabelledBatches(people(), seed=1)
    return ReidTraining(build_network(SMALL, 3, seed=2), batches, ReidTrainingSettings.model_validate(settings))


class StopsAt(LabelledBatches):
    """Sends this process SIGTERM when the batch of step 2 is asked for."""

    def batch(self, step: int, size: int) -> Columns:
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().batch(step, size)


def test_loss_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
    hard = torch.from_numpy(expand(one_hot([0, 2], 3)))
    even = torch.full((2,), 0.5)
    assert float(soft_cross_entropy(logits, hard, even)) == pytest.approx(-(math.log(0.5) + math.log(0.7)) / 2)
    uniform = torch.from_numpy(expand(lsro(2, 3)))
    first, second = math.log(0.5 * 0.25 * 0.25) / 3, math.log(0.1 * 0.2 * 0.7) / 3
    assert float(soft_cross_entropy(logits, uniform, even)) == pytest.approx(-(first + second) / 2)
    # Two means added, as CamStyle adds real to generated: each row alone in its mean.
    assert float(soft_cross_entropy(logits, uniform, torch.ones(2))) == pytest.approx(-(first + second))


def test_stopped_and_taken_up_again_is_as_unbroken(tmp_path: Path) -> None:
    unbroken = training().run(tmp_path / "unbroken").state_dict()
    with pytest.raises(KeyboardInterrupt):
        training(StopsAt(people(), seed=1)).run(tmp_path / "stopped")
    resumed = training()
    found = resumed.run(tmp_path / "stopped").state_dict()
    assert resumed.step == 6
    assert all(torch.equal(tensor, found[name]) for name, tensor in unbroken.items())
    files = [tmp_path / name for name in ("one.safetensors", "two.safetensors")]
    assert save_reid(files[0], training().run(), 32, 16) == save_reid(files[1], resumed.network, 32, 16)
    with pytest.raises(UserError, match="started with learning_rate"):
        training(learning_rate=1e-3).run(tmp_path / "stopped")
    with pytest.raises(UserError, match="started with data="):
        training(LabelledBatches(people(9), seed=1)).run(tmp_path / "stopped")


def test_a_run_from_before_the_settings_of_the_mix_goes_on(tmp_path: Path) -> None:
    of_then = {"mix": "shuffled", "synthetic_per_real": None, "real_to_synthetic": 3.0}
    with pytest.raises(KeyboardInterrupt):
        training(StopsAt(people(), seed=1)).run(tmp_path, of_then)
    resumed = training()
    resumed.run(tmp_path, MixSettings().described())
    assert resumed.step == 6
    with pytest.raises(UserError, match=r"was started with synthetic_until=1\.0, now it is 0\.5"):
        training().run(tmp_path, MixSettings(synthetic_until=0.5).described())


def test_warm_up_then_cosine_to_nothing() -> None:
    run = training(steps=100, warm_up=0.1, learning_rate=1.0)
    rates = []
    for run.step in range(101):
        rates.append(run.learning_rate())
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_learns_who_is_who(optimizer: str) -> None:
    rate, decay = (5e-3, 0.05) if optimizer == "adamw" else (0.1, 5e-4)
    run = training(steps=40, batch_size=12, optimizer=optimizer, learning_rate=rate, weight_decay=decay)
    model = as_model(run.run(), 32, 16)
    data = people(24)
    assert (model.probabilities(data.images).argmax(axis=1) == data.targets.argmax(axis=1)).all()
    assert not run.network.neck.bias.any(), "the neck has no shift"


def test_half_precision_learns_too() -> None:
    triplet = TripletSettings(triplet_weight=1.0, identities_per_batch=3, images_per_identity=2)
    sets = TrainingSets(people(), 12, ClassMap(("a", "b", "c")), {})
    settings = ReidTrainingSettings(steps=12, batch_size=6, precision="bfloat16", learning_rate=5e-3)
    run = ReidTraining(build_network(SMALL, 3, seed=2), mixed_batches(sets, 1, triplet=triplet), settings, triplet)
    losses = [sum(float(term.detach()) for term in run.train_step().values()) for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]
    assert {parameter.dtype for parameter in run.network.parameters()} == {torch.float32}


@pytest.fixture(scope="module")
def model() -> ReidModel:
    """A network of random weights: real arithmetic."""
    return as_model(build_network(SMALL, 3, seed=7), 32, 16)


def test_a_row_depends_on_its_image_alone(model: ReidModel) -> None:
    rng = np.random.Generator(np.random.Philox(1))
    images = rng.integers(0, 256, (40, 32, 16, 3), dtype=np.uint8)
    whole = model.embed(images)
    assert whole.shape == (40, model.network.num_features)
    assert np.linalg.norm(whole, axis=1) == pytest.approx(np.ones(40), abs=1e-6)
    for rows in (np.array([33]), np.array([39, 5, 12]), np.arange(3, 38)):
        assert np.array_equal(model.embed(images[rows]), whole[rows])
    assert model.embed(images[:0]).shape == (0, model.network.num_features)


def test_images_of_another_size_are_brought_to_its_own(model: ReidModel) -> None:
    coarse = np.random.Generator(np.random.Philox(2)).integers(0, 256, (2, 32, 16, 3), dtype=np.uint8)
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2)
    assert np.allclose(model.embed(fine), model.embed(coarse), atol=1e-5)
    with pytest.raises(ValueError, match="must be"):
        model.embed(coarse.astype(np.float32))


def test_probabilities_flatten_with_temperature(model: ReidModel) -> None:
    images = people().images
    sharp, flat = model.probabilities(images, 0.01), model.probabilities(images, 100.0)
    assert sharp.sum(axis=1) == pytest.approx(np.ones(12), abs=1e-6)
    assert flat.max() < sharp.max()
    expected = torch.from_numpy(model.logits(images)).div(100.0).softmax(dim=1).numpy()
    assert np.allclose(flat, expected, atol=1e-6)


def test_saved_and_loaded_is_the_same(model: ReidModel, tmp_path: Path) -> None:
    classes = ClassMap(("a", "b", "c"))
    digest = save_reid(tmp_path / "reid.safetensors", model.network, 32, 16, classes)
    loaded = load_reid(tmp_path)
    assert (loaded.sha256, loaded.classes, loaded.height, loaded.width) == (digest, classes, 32, 16)
    images = people().images
    assert np.array_equal(loaded.embed(images), model.embed(images))
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot read the checkpoint"):
        load_reid(tmp_path / "other.safetensors")


def test_networks_follow_from_their_seed_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    one = build_network(SMALL, 3, seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before), "nobody else's draws change"
    torch.manual_seed(99)
    same, other = (build_network(SMALL, 3, seed=seed).state_dict() for seed in (1, 2))
    assert all(torch.equal(tensor, same[name]) for name, tensor in one.items())
    assert not torch.equal(one["stem.0.weight"], other["stem.0.weight"])


def test_resnet50_keeps_the_resolution_of_its_last_stage_and_takes_torchvision_weights(tmp_path: Path) -> None:
    from torchvision.models import resnet50

    weights = resnet50(weights=None).state_dict()
    torch.save(weights, tmp_path / "weights.pth")
    settings = NetworkSettings(backbone="resnet50")
    network = build_network(settings, 5, pretrained=str(tmp_path / "weights.pth")).eval()
    assert torch.equal(network.stages[3][0].conv2.weight, weights["layer4.0.conv2.weight"])
    # Files from before PyTorch 0.4.1 count no batches.
    old = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    again = build_network(settings, 5, pretrained=str(tmp_path / "old.pth")).eval()
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in network.state_dict().items())
    with torch.inference_mode():
        last = network.activations(torch.zeros(1, 3, 64, 32))[-1]
        assert last.shape == (1, 2048, 4, 2)
    with pytest.raises(UserError, match="does not fit a resnet18"):
        build_network(SMALL, 5, pretrained=str(tmp_path / "weights.pth"))


def test_a_training_that_diverges_stops(tmp_path: Path) -> None:
    wild = {"steps": 60, "optimizer": "sgd", "learning_rate": 1e20}
    for _ in range(2):  # the same command fails the same way
        with pytest.raises(NotFiniteError, match=r"^training stopped at step \d+: [^\n]* --learning-rate [^\n]*$"):
            training(**wild, checkpoint_every=1).run(tmp_path)
    for kept in (tmp_path / "checkpoints").iterdir():
        assert first_not_finite(torch.load(kept, weights_only=True)) is None
    assert {path.name for path in tmp_path.iterdir()} <= {"checkpoints", "samples", "tensorboard"}
    with pytest.raises(NotFiniteError):
        training(**wild).run()


def test_a_network_that_is_not_finite_is_neither_written_nor_read_nor_used(model: ReidModel, tmp_path: Path) -> None:
    path = tmp_path / "reid.safetensors"
    save_reid(path, model.network, 32, 16)
    spoil_file(path)
    with pytest.raises(UserError, match=r"^\S+reid\.safetensors holds weights that are not finite \([\w.]+\): [^\n]*$"):
        load_reid(tmp_path)
    network = spoiled(build_network(SMALL, 3, seed=7))
    with pytest.raises(UserError, match=r"other\.safetensors is not written: [^ ]+ is not finite"):
        save_reid(tmp_path / "other.safetensors", network, 32, 16)
    assert [one.name for one in tmp_path.iterdir()] == ["reid.safetensors"]
    broken, images = as_model(network, 32, 16), people().images
    for use in (broken.embed, broken.pooled, broken.logits, broken.probabilities, broken.activations):
        with pytest.raises(NotFiniteError, match="answers 12 of 12 images with NaN"):
            use(images)


def test_half_precision_files_hold_what_they_can(tmp_path: Path) -> None:
    network = build_network(SMALL, 3, seed=7)
    with torch.no_grad():
        network.classifier.weight[0, 0] = 1e5
    with pytest.raises(UserError, match=r"classifier\.weight is not finite, or too great for the precision"):
        save_reid(tmp_path / "reid.safetensors", network, 32, 16, dtype=torch.float16)
    save_reid(tmp_path / "reid.safetensors", network, 32, 16)
