"""Train the small Segment Anything that ships with the package, or measure the shipped one.

python jobs/train_sam_tiny.py --output runs/sam_tiny
python jobs/train_sam_tiny.py --evaluate
python jobs/train_sam_tiny.py --evaluate --source runs/room_a --teachers WEIGHTS --hold-out 0006
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

if __name__ == "__main__":
    import _start  # noqa: F401

import numpy as np
import torch
from pydantic import Field

from manifests.errors import UserError
from pipeline.annotation.masks import load_segmenter
from pipeline.annotation.poses import PoseEstimator, load_pose_estimator
from pipeline.annotation.shipped.segmenter_evaluation import measure_drawn, measure_real, true_keypoints
from pipeline.annotation.shipped.segmenter_training import SegmentationData, SegmenterTraining, train_segmenter
from pipeline.annotation.shipped.teachers import Teachers
from pipeline.annotation.shipped.toyworld_samples import ToySamples, evaluation_samples, is_varied, training_samples
from pipeline.checkpoints import load_state, save_state, ship
from pipeline.common.settings import Input, JobSettings, Measure, Output, Run, run_job


class Settings(JobSettings):
    """Train the small Segment Anything on the toy world and, if given, on pseudo-labelled real crops."""

    group = "training"
    output: Output[Path] = Field(
        Path("runs/sam_tiny"), description="folder for state and weights; taken up again if there"
    )
    images: int = Field(16000, ge=200, description="toy world crops to train on")
    cache: Input[Path | None] = Field(None, description="file that keeps these crops between runs (.npz)")
    pseudo_labels: Input[Path | None] = Field(None, description="real crops that make_pseudo_labels.py wrote (.npz)")
    start_from: Input[Path | None] = Field(None, description="weights to begin with, in place of drawn ones")
    steps: int = Field(2000, ge=1, description="training steps")
    batch_size: int = Field(32, ge=1, description="crops a step")
    learning_rate: float = Field(1e-3, gt=0, description="AdamW's step size after warm-up")
    seed: int = Field(0, ge=0, description="of weights and draws")
    threads: Run[int] = Field(2, ge=1, description="CPU threads")
    ship_weights: Output[bool] = Field(False, description="write the package's own checkpoint and card")
    evaluate: Measure[bool] = Field(False, description="train nothing: measure --checkpoint on held-out people")
    checkpoint: Measure[str] = Field("sam_tiny", description="name or path of the checkpoint that --evaluate measures")
    pose: Measure[str | None] = Field(None, description="pose model whose keypoints prompt too in --evaluate")
    source: Measure[list[str]] = Field(
        [], description="source manifests of real crops for --evaluate, judged by --teachers"
    )
    teachers: Measure[Path | None] = Field(
        None, description="folder with bodypix/, mediapipe/ and movenet/ for --evaluate"
    )
    hold_out: Measure[list[str]] = Field([], description="identities of --source that training left out")


def main(settings: Settings) -> None:
    torch.set_num_threads(settings.threads)
    if settings.evaluate:
        evaluate(settings)
        return
    real = _read_pseudo_labels(settings.pseudo_labels)
    toy = training_samples(settings.images, settings.cache)
    training = SegmenterTraining(settings.steps, settings.batch_size, settings.learning_rate, seed=settings.seed)
    kept = real["train"] if real else None
    first = load_state(settings.start_from) if settings.start_from else None
    weights = train_segmenter(_to_train_on(toy), kept, training, settings.output, first)
    half = {name: tensor.half() for name, tensor in weights.items()}
    path = settings.output / "sam_tiny.safetensors"
    save_state(half, path)
    metrics = measure(str(path), real)
    for name, value in metrics.items():
        print(f"{name}: {value:.3f}")
    if settings.ship_weights:
        ship(
            "sam_tiny",
            half,
            format="segment-anything",
            licence="Apache-2.0",
            trained_on=_trained_on(len(toy.images), real),
            command=_command(settings),
            metrics=metrics,
        )
    print(f"weights: {path}")


def evaluate(settings: Settings) -> None:
    """Print what the checkpoint's card says, measured anew from its file."""
    if bool(settings.source) != bool(settings.teachers):
        raise UserError("--source and --teachers go together")
    real = _read_pseudo_labels(settings.pseudo_labels)
    pose = load_pose_estimator(settings.pose) if settings.pose else None
    for name, value in measure(settings.checkpoint, real, pose).items():
        print(f"{name}: {value:.3f}")
    if settings.teachers is None:
        return
    segmenter, teachers = load_segmenter(settings.checkpoint), Teachers(settings.teachers)
    for uri in settings.source:
        for name, (value, count) in measure_real(segmenter, uri, teachers, settings.hold_out, pose).items():
            print(f"{uri} {name}: {value:.3f} over {count} crops")


def measure(
    checkpoint: str, real: dict[str, SegmentationData] | None, pose: PoseEstimator | None = None
) -> dict[str, float]:
    """Mean IoU on toy people of a world that training never saw and, if given, with agreed labels of real crops.

    Prompts: the box and the true keypoints; the box alone; the box and the keypoints of ``pose``.
    """
    segmenter = load_segmenter(checkpoint)
    toy = _of(evaluation_samples())
    overlaps = {"toy_iou": measure_drawn(segmenter, toy, true_keypoints(toy))}
    overlaps["toy_iou_box_only"] = measure_drawn(segmenter, toy)
    if pose is not None:
        overlaps["toy_iou_pose"] = measure_drawn(segmenter, toy, list(pose.estimate(list(toy.images))))
    for name, data in (real or {}).items():
        overlaps[f"real_iou_{name}"] = measure_drawn(segmenter, data, true_keypoints(data))
        overlaps[f"real_iou_{name}_box_only"] = measure_drawn(segmenter, data)
    return {name: round(float(values.mean()), 4) for name, values in overlaps.items()}


def _of(samples: ToySamples) -> SegmentationData:
    return SegmentationData(samples.images, samples.masks, samples.keypoints)


def _to_train_on(samples: ToySamples) -> SegmentationData:
    """Training draws half of its crops from the two fixed domains, half from any place and light."""
    varied = is_varied(np.arange(len(samples.images)))
    chances = np.where(varied, 0.5 / max(1, varied.sum()), 0.5 / max(1, (~varied).sum()))
    return replace(_of(samples), chances=chances / chances.sum())


def _read_pseudo_labels(path: Path | None) -> dict[str, SegmentationData] | None:
    """Real crops by part: ``train`` and ``held_out`` (people that training leaves out)."""
    if path is None:
        return None
    try:
        with np.load(path) as arrays:
            images, masks, keypoints = (arrays[name] for name in ("images", "masks", "keypoints"))
            held_out = arrays["held_out"]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"cannot read pseudo-labels from {path}: {error}") from None
    parts = {"train": ~held_out, "held_out": held_out}
    return {
        name: SegmentationData(images[rows], masks[rows], keypoints[rows].astype(np.float32))
        for name, rows in parts.items()
    }


def _trained_on(toy: int, real: dict[str, SegmentationData] | None) -> str:
    crops = f"{toy} crops of the toy world (drawn people)"
    if real is None:
        return crops
    return f"{crops}; {len(real['train'].images)} real crops of staged people with masks by two teachers"


def _command(settings: Settings) -> str:
    real = " --pseudo-labels PSEUDO.npz" if settings.pseudo_labels else ""
    return (
        f"python jobs/train_sam_tiny.py --images {settings.images} --steps {settings.steps} "
        f"--batch-size {settings.batch_size} --learning-rate {settings.learning_rate:g} --seed {settings.seed}"
        f"{real} --ship-weights"
    )


if __name__ == "__main__":
    run_job(Settings, main)
