"""One ReID training from its data sets to a measured network: what a job and a worker of Ray Train call alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from manifests.reading.dataset import open_dataset
from pipeline.common.devices import check_device
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.mixing import MixSettings, mixed_batches
from pipeline.reid.model import ReidModel, start_from
from pipeline.reid.network import NetworkSettings, build_network
from pipeline.reid.result import CARD, write_card, write_reid
from pipeline.reid.retrieval import evaluate_on
from pipeline.reid.sets import load_sets
from pipeline.reid.training import ReidTraining, ReidTrainingSettings
from pipeline.reid.triplet import TripletSettings
from pipeline.training.workers import ALONE, Workers


@dataclass(frozen=True)
class ReidRun:
    """What decides a training. Small and picklable: workers load the images for themselves."""

    uris: tuple[str, ...]
    """Of the data sets to train on, real and synthetic."""
    output: Path
    settings: ReidTrainingSettings = field(default_factory=ReidTrainingSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    mix: MixSettings = field(default_factory=MixSettings)
    triplet: TripletSettings = field(default_factory=TripletSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    height: int = 128
    width: int = 64
    min_reliability: float | None = None
    """Of generated images."""
    pretrained: str | None = None
    """Weights of the backbone."""
    start_from: str | None = None
    """A trained ReID network: PN-GAN's network B may start from A."""
    measured_on: str | None = None
    """URI of a source manifest with queries and gallery."""
    count_same_camera: bool = False
    """Whether images by the query's own camera are answers there."""

    def train(self, workers: Workers = ALONE, device: str | None = None) -> Path:
        """Train, or go on; the first worker writes weights and card, and measures. Returns the card's path.

        Raises:
            UserError: an input is missing or does not fit, or ``output`` holds another run.
        """
        settings = self.settings.model_copy(update={"device": device or self.settings.device})
        check_device(settings.device)
        sets = load_sets(self.uris, self.height, self.width, self.min_reliability, self.mix.weigh_by)
        batches = mixed_batches(sets, settings.seed, self.mix, self.augmentation, self.triplet, settings.steps)
        network = build_network(self.network, len(sets.classes), settings.seed, self.pretrained)
        started = start_from(network, self.start_from) if self.start_from is not None else None
        training = ReidTraining(network, batches, settings, self.triplet, workers, self.mix)
        if workers.rank == 0:
            generated = len(sets.images) - sets.real_images
            print(
                f"train: {sets.real_images} real, {generated} generated images of {len(sets.classes)} people",
                flush=True,
            )
        others = {**self.mix.described(), **self.augmentation.model_dump(), "pretrained": self.pretrained}
        if started is not None:
            others |= {"start_from": self.start_from, "start_from_sha256": started}
        training.run(self.output, others)
        card = self.output / CARD
        if workers.rank == 0:
            model = write_reid(training, sets, self.output)
            card = write_card(training, sets, model, self._measure(model), self.output)
        return card

    def _measure(self, model: ReidModel) -> dict[str, float | str]:
        if self.measured_on is None:
            return {}
        found = evaluate_on(model, self.measured_on, self.count_same_camera).as_dict()
        print(f"{self.measured_on}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
        counted = {"count_same_camera": True} if self.count_same_camera else {}
        digest = open_dataset(self.measured_on).digest()
        return {**found, **counted, "eval": self.measured_on, "manifest_sha256": digest}
