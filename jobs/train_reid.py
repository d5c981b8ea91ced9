"""Trains a ReID network on the training splits of manifests, real and synthetic, and measures it on another's queries.

python jobs/train_reid.py --train runs/market --output runs/reid --eval runs/market
python jobs/train_reid.py --train runs/market,runs/market-all-cameras --mix two_means --output runs/camstyle-reid

A stopped training is taken up again by the same command.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from manifests.store import open_dataset
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.result import write_card, write_reid
from pipeline.reid.retrieval import evaluate_on
from pipeline.reid.sets import load_sets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.reid.triplet import TripletSettings
from pipeline.settings import JobSettings, run_job


class Settings(ReidTrainingSettings, NetworkSettings, MixSettings, TripletSettings, AugmentationSettings):
    """Train a ReID network: images and labels of manifests' training splits, weights and a card out of them."""

    train: list[str] = Field(
        min_length=1, description="URI of a source or synthetic data set to train on; several: repeat, or use commas"
    )
    output: Path = Field(description="folder for weights, card, checkpoints and TensorBoard files")
    min_reliability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="of generated images, only those that score_dataset.py finds so reliable",
    )
    eval: str | None = Field(
        default=None, description="URI of a source manifest with queries and gallery to measure on"
    )
    height: int = Field(default=128, ge=32, multiple_of=16, description="of the network's images, pixels")
    width: int = Field(default=64, ge=32, multiple_of=16, description="of the network's images, pixels")
    pretrained: str | None = Field(default=None, description="weights of the backbone, as torchvision has them")
    threads: int | None = Field(default=None, ge=1, description="CPU threads; by default one for each core")

    def part(self, model: type[JobSettings]) -> Any:
        """Those of the settings that are ``model``'s."""
        return model.model_validate(self.model_dump(include=set(model.model_fields)))


def main(settings: Settings) -> int:
    """Train (or go on training), write the result, measure it."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    sets = load_sets(settings.train, settings.height, settings.width, settings.min_reliability)
    mix, augmentation = settings.part(MixSettings), settings.part(AugmentationSettings)
    triplet = settings.part(TripletSettings)
    batches = mixed_batches(sets, settings.seed, mix, augmentation, triplet)
    generated = len(sets.images) - sets.real_images
    print(f"train: {sets.real_images} real, {generated} generated images of {len(sets.classes)} people", flush=True)
    network = build_network(settings.part(NetworkSettings), len(sets.classes), settings.seed, settings.pretrained)
    training = ReidTraining(network, batches, settings.part(ReidTrainingSettings), triplet)
    training.run(settings.output, {**mix.model_dump(), **augmentation.model_dump(), "pretrained": settings.pretrained})
    model = write_reid(training, sets, settings.output)
    metrics: dict[str, float | str] = {}
    if settings.eval is not None:
        found = evaluate_on(model, settings.eval).as_dict()
        metrics = {**found, "manifest_sha256": open_dataset(settings.eval).digest()}
        print(f"{settings.eval}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
    card = write_card(training, sets, model, metrics, settings.output)
    print(f"network: {settings.output / 'reid.safetensors'}\ncard: {card}")
    return 0


if __name__ == "__main__":
    run_job(Settings, main)
