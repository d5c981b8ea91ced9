"""Trains the shipped pose model on drawn people and, where there are any, on real crops that teachers have labelled.

python jobs/train_pose_tiny.py --output runs/pose_tiny --crops people --pseudo-labels labels.npz --ship
python jobs/train_pose_tiny.py --evaluate

A stopped training is taken up again by the same command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

if __name__ == "__main__":
    import _start  # noqa: F401

import cv2
import torch
from pydantic import Field, model_validator

from manifests.errors import UserError
from pipeline.annotation.shipped.pose_data import (
    PoseCrops,
    RealCrop,
    as_training_crops,
    load_crops,
    load_pseudo_labels,
    read_real_crops,
    render_crops,
    save_crops,
)
from pipeline.annotation.shipped.pose_evaluation import measure, ship_pose_tiny
from pipeline.annotation.shipped.pose_training import WEIGHTS, PoseTrainer, PoseTrainingSettings
from pipeline.checkpoints import file_sha256, resolve
from pipeline.common.settings import Advanced, JobSettings, Measure, Output, Run, run_job


class Settings(PoseTrainingSettings, JobSettings):
    """Train pose_tiny, or measure it again."""

    group = "input"
    output: Output[Path | None] = Field(None, description="folder for drawn crops, checkpoints and weights")
    evaluate: Measure[bool] = Field(False, description="train nothing: measure --model (and ship it)")
    model: Measure[str] = Field("pose_tiny", description="what --evaluate measures: a name or a file")
    images: int = Field(16_000, ge=1, description="drawn crops to train on")
    cache: Path | None = Field(None, description=".npz of drawn crops (images, keypoints) instead of drawing them")
    crops: Path | None = Field(None, description="folder of the real crops that --pseudo-labels names")
    pseudo_labels: Path | None = Field(None, description=".npz: files, and keypoints (N, teachers, 17, 3)")
    hold_out: str = Field("0006,0106,0107", description="identities among the real crops that are kept for measuring")
    workers: Run[int] = Field(2, ge=1, description="processes that draw")
    threads: Run[int] = Field(1, ge=1, description="CPU threads of the training")
    ship: Output[bool] = Field(False, description="put the result among the shipped checkpoints, with its card")
    data: Output[str] = Field(
        "crops drawn by the toy world", description="for the card: what it was trained on, on what terms"
    )
    command: Advanced[Output[str]] = Field(
        "python jobs/train_pose_tiny.py --output runs/pose_tiny", description="for the card"
    )

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        if not self.evaluate and self.output is None:
            raise ValueError("give --output DIR, or --evaluate")
        if (self.crops is None) != (self.pseudo_labels is None):
            raise ValueError("--crops and --pseudo-labels go together")
        return self


def main(settings: Settings) -> int:
    """Train, write ``pose_tiny.safetensors``, measure; or measure alone."""
    torch.set_num_threads(settings.threads)
    cv2.setNumThreads(1)
    training, held_out = _real(settings)
    weights = settings.model
    if settings.output is not None and not settings.evaluate:
        _train(settings, settings.output, training)
        weights = str(settings.output / WEIGHTS)
    metrics = measure(weights, held_out)
    for name, value in metrics.items():
        print(f"{name}: {value:.4f}", flush=True)
    if settings.ship:
        ship_pose_tiny(resolve(weights), metrics, settings.data, settings.command)
    return 0


def _train(settings: Settings, folder: Path, training: list[RealCrop]) -> None:
    """Train, or go on."""
    folder.mkdir(parents=True, exist_ok=True)
    real = as_training_crops(training) if training else None
    trainer = PoseTrainer(settings, _toy(settings, folder), real)
    trainer.run(folder, _unchanged(settings))


def _toy(settings: Settings, folder: Path) -> PoseCrops:
    if settings.cache is not None:
        return load_crops(settings.cache)
    cache = folder / f"drawn_{settings.images}_{settings.seed}.npz"
    if not cache.exists():
        save_crops(render_crops(settings.images, settings.seed, settings.workers), cache)
    return load_crops(cache)


def _real(settings: Settings) -> tuple[list[RealCrop], list[RealCrop]]:
    """Real crops to train on, and those held out for measuring."""
    if settings.crops is None or settings.pseudo_labels is None:
        return [], []
    labels = load_pseudo_labels(settings.pseudo_labels)
    crops = read_real_crops(settings.crops, labels)
    kept = {identity.strip() for identity in settings.hold_out.split(",") if identity.strip()}
    held = [Path(file).name.partition("_")[0] in kept for file in labels.files]
    if kept and not any(held):
        raise UserError(f"--hold-out {settings.hold_out}: none of these identities is in {settings.pseudo_labels}")
    both = list(zip(crops, held, strict=True))
    return [crop for crop, out in both if not out], [crop for crop, out in both if out]


def _unchanged(settings: Settings) -> dict[str, Any]:
    """What must stay the same for a stopped training to go on."""
    run = settings.part(PoseTrainingSettings).model_dump(mode="json")
    for name in ("cache", "pseudo_labels"):
        path = getattr(settings, name)
        run[name] = file_sha256(path) if path is not None else ""
    return run | {"images": settings.images, "hold_out": settings.hold_out}


if __name__ == "__main__":
    run_job(Settings, main)
