"""Trains a ReID network on the training split of a manifest, and measures it on queries and gallery.

python jobs/train_reid.py --source runs/market --output runs/reid --eval runs/market

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
from pipeline.reid.data import AugmentationSettings, LabelledBatches, load_labelled
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.result import write_card, write_reid
from pipeline.reid.retrieval import evaluate_on
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.settings import JobSettings, run_job


class Settings(ReidTrainingSettings, NetworkSettings, AugmentationSettings):
    """Train a ReID network: images and labels of a manifest's training split, weights and a card out of it."""

    source: str = Field(description="URI of the manifest to train on")
    output: Path = Field(description="folder for weights, card, checkpoints and TensorBoard files")
    min_reliability: float | None = Field(
        default=None, ge=0, le=1, description="train only on rows that jobs/score_dataset.py finds so reliable"
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
    data = load_labelled(settings.source, settings.height, settings.width, min_reliability=settings.min_reliability)
    print(f"train: {len(data)} images of {data.targets.shape[1]} people", flush=True)
    network = build_network(settings.part(NetworkSettings), data.targets.shape[1], settings.seed, settings.pretrained)
    augmentation = settings.part(AugmentationSettings)
    batches = LabelledBatches(data, settings.seed, augmentation)
    training = ReidTraining(network, batches, settings.part(ReidTrainingSettings))
    training.run(settings.output, {**augmentation.model_dump(), "pretrained": settings.pretrained})
    sets = {"source": data}
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
