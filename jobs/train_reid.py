"""Trains a ReID network on the training splits of manifests, real and synthetic, and measures it on another's queries.

python jobs/train_reid.py --train runs/market --output runs/reid --eval runs/market
python jobs/train_reid.py --train runs/market,runs/market-all-cameras --mix two_means --output runs/camstyle-reid
python jobs/train_reid.py --train runs/market,runs/made --real-from 0.33 --synthetic-until 0.33 --output runs/two-stages

A stopped training is taken up again by the same command.
"""

from __future__ import annotations

from pathlib import Path

if __name__ == "__main__":
    import _start  # noqa: F401

from pydantic import Field, model_validator

from manifests.errors import UserError
from manifests.reading.inputs import open_input
from pipeline.checkpoints.cards import absolute
from pipeline.cluster.session import check_device_of_job, ray_session
from pipeline.cluster.train import train_on_workers
from pipeline.common.devices import Threads, use_threads
from pipeline.common.images import LARGEST_SIDE
from pipeline.common.settings import Advanced, Cluster, Input, Measure, Output, run_job
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.data import with_queries
from pipeline.reid.mixing import MixSettings
from pipeline.reid.model import FILE_NAME
from pipeline.reid.network import NetworkSettings
from pipeline.reid.result import CARD
from pipeline.reid.run import ReidRun
from pipeline.reid.training import ReidTrainingSettings, check_share
from pipeline.reid.triplet import TripletSettings
from pipeline.training.workers import Workers


class Settings(ReidTrainingSettings, NetworkSettings, MixSettings, TripletSettings, AugmentationSettings):
    """Train a ReID network: images and labels of manifests' training splits, weights and a card out of them."""

    group = "network"
    train: Input[list[str]] = Field(
        min_length=1, description="URI of a source or synthetic data set to train on; several: repeat, or use commas"
    )
    output: Output[Path] = Field(description="folder for weights, card, checkpoints and TensorBoard files")
    min_reliability: Input[float | None] = Field(
        default=None,
        ge=0,
        le=1,
        description="of generated images, only those that score_dataset.py finds so reliable",
    )
    eval: Measure[str | None] = Field(
        default=None, description="URI of a source manifest with queries and gallery to measure on"
    )
    count_same_camera: Advanced[Measure[bool]] = Field(
        default=False, description="with --eval: images by the query's own camera are answers too, as in evaluate_reid"
    )
    height: int = Field(
        default=128, ge=32, le=LARGEST_SIDE, multiple_of=16, description="height of the network's images, pixels"
    )
    width: int = Field(
        default=64, ge=32, le=LARGEST_SIDE, multiple_of=16, description="width of the network's images, pixels"
    )
    pretrained: Advanced[str | None] = Field(
        default=None, description="weights of the backbone, a state dict of torchvision's"
    )
    start_from: Advanced[str | None] = Field(
        default=None,
        description="a trained ReID network, of whichever people, to start from instead: all its weights but the "
        "classifier's (PN-GAN's second network)",
    )
    workers: Cluster[int] = Field(default=1, ge=1, description="processes or GPUs that share each batch, by Ray Train")
    ray_address: Cluster[str | None] = Field(
        default=None, description="a running cluster; by default the submitted job's, or local"
    )
    threads: Threads = None

    @model_validator(mode="after")
    def _no_flag_is_ignored(self) -> Settings:
        if self.pretrained is not None and self.start_from is not None:
            raise UserError("--pretrained and --start-from both say what to start from: leave one out")
        if self.backbone != "resnet18" and self.channels != NetworkSettings.model_fields["channels"].default:
            raise UserError(f"--channels are resnet18's: leave them out with --backbone {self.backbone}")
        if self.count_same_camera and self.eval is None:
            raise UserError("--count-same-camera says how --eval is counted: name it")
        return self


def main(settings: Settings) -> int:
    """Train (or go on training), write the result, measure it."""
    check_device_of_job(settings.device, settings.ray_address, ray=settings.workers > 1)
    use_threads(settings.threads)
    run = ReidRun(
        # In full: workers may run in another folder.
        uris=tuple(open_input(uri, "source", "synthetic", flag="--train").uri for uri in settings.train),
        output=settings.output.resolve(),
        settings=settings.part(ReidTrainingSettings),
        network=settings.part(NetworkSettings),
        mix=settings.part(MixSettings),
        triplet=settings.part(TripletSettings),
        augmentation=settings.part(AugmentationSettings),
        height=settings.height,
        width=settings.width,
        min_reliability=settings.min_reliability,
        pretrained=absolute(settings.pretrained) if settings.pretrained is not None else None,
        start_from=absolute(settings.start_from) if settings.start_from is not None else None,
        measured_on=_measured_on(settings),
        count_same_camera=settings.count_same_camera,
    )
    if settings.workers == 1:
        run.train()
    else:
        check_share(settings.batch_size, Workers(count=settings.workers))
        with ray_session(settings.ray_address, device=settings.device):
            train_on_workers(run.train, settings.workers, settings.device, settings.output)
    print(f"network: {settings.output / FILE_NAME}\ncard: {settings.output / CARD}")
    return 0


def _measured_on(settings: Settings) -> str | None:
    if settings.eval is None:
        return None
    return with_queries(settings.eval, "--eval", settings.count_same_camera)


if __name__ == "__main__":
    run_job(Settings, main)
