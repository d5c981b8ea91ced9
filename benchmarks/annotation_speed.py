"""Milliseconds of CPU a person for pose and mask on one thread, ours beside the packages' own, and what packing costs.

python benchmarks/annotation_speed.py --output benchmarks/results/annotation_speed.json [--people N] [--official]

``--official`` also encodes one canvas by ViT-B as the package does it and as we do, with random weights (half a minute
each). Rounds alternate, the quickest counts: ratios of one run mean something, times of two runs little.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import sam_model_registry
from torch.utils.flop_counter import FlopCounterMode

from pipeline.annotation.masks import CanvasGrid, Foreground, Segmenter, load_segmenter
from pipeline.annotation.poses import PoseEstimator, build_model, find_config, load_pose_estimator, load_weights
from pipeline.annotation.sam_fused import fuse
from pipeline.annotation.sam_tiny import build_sam_tiny
from pipeline.annotation.shipped.segmenter_evaluation import measure_drawn, true_keypoints
from pipeline.annotation.shipped.segmenter_training import SegmentationData
from pipeline.checkpoints import CHECKPOINTS, load_state, resolve
from pipeline.common.keypoints import COCO_MIRROR
from pipeline.sources.toyworld import CAMERAS, ToyWorldSettings, render_sample

ROUNDS = 12
GRIDS = (CanvasGrid(1, 1), CanvasGrid(1, 2), CanvasGrid(2, 2), CanvasGrid(2, 4), CanvasGrid(4, 4), CanvasGrid(4, 8))
SEED = 52_301


def draw_people(count: int) -> SegmentationData:
    """People of a world that no training saw, in both domains by turns."""
    world = ToyWorldSettings(identities=count, seed=SEED)
    samples = [
        render_sample(world, domain, who, who % CAMERAS[domain] + 1, 0)
        for who in range(1, count // 2 + 1)
        for domain in CAMERAS
    ]
    parts = ([getattr(sample, name) for sample in samples] for name in ("image", "mask", "keypoints"))
    images, masks, keypoints = map(np.stack, parts)
    return SegmentationData(images, masks, keypoints.astype(np.float32))


def plain_pose() -> PoseEstimator:
    """The shipped model as mmpose builds it."""
    config = find_config(CHECKPOINTS["pose_tiny"].config)
    model = build_model(config).eval()
    load_weights(model, load_state(resolve("pose_tiny")), "pose_tiny")
    return PoseEstimator("plain", "", model, config)


def plain_segmenter(ours: Segmenter) -> Segmenter:
    """The shipped model of the package's own layers, in float32 weights: `plainly` has it compute in our dtype."""
    model = build_sam_tiny().eval()
    model.load_state_dict({name: tensor.float() for name, tensor in load_state(resolve("sam_tiny")).items()})
    return replace(ours, model=model, dtype=torch.float32)


def plainly(segmenter: Segmenter, dtype: torch.dtype, *crops: Sequence[Any]) -> list[Foreground]:
    """Masks by the package's layers, in ``dtype`` wherever PyTorch's autocast has it."""
    with torch.autocast("cpu", dtype, dtype != torch.float32):
        return segmenter.segment(*crops)


def pose_one_by_one(model: Any, images: Sequence[Any]) -> None:
    """mmpose's own inference of each image, without reading it."""
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample

    size = np.array(images[0].shape[1::-1])
    where = {"input_size": tuple(size), "input_center": size / 2, "input_scale": size}
    for image in images:
        sample = PoseDataSample(metainfo=where | {"flip_indices": COCO_MIRROR.tolist()})
        sample.gt_instances = InstanceData(bboxes=np.array([[0, 0, *size]]), bbox_scores=np.ones(1))
        planar = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1])).permute(2, 0, 1)
        with torch.inference_mode():
            model.test_step({"inputs": [planar], "data_samples": [sample]})


def time_side_by_side(ways: Mapping[str, Callable[[], Any]], people: int) -> dict[str, float]:
    """CPU milliseconds a person of each way: the quickest of rounds in which all take turns."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.process_time()
            way()
            best[name] = min(best[name], (time.process_time() - started) * 1e3 / people)
    return {name: round(value, 2) for name, value in best.items()}


def million_operations(way: Callable[[], Any]) -> float:
    """Floating-point operations of a call by PyTorch's own count, in millions."""
    with FlopCounterMode(display=False) as counter:
        way()
    return counter.get_total_flops() / 1e6


def matrix_peak(dtype: torch.dtype) -> float:
    """GFLOP/s of one thread's matrix product: operations over this is the least time that a network can take."""
    a = torch.randn(1024, 1024).to(dtype)
    return 2 * 1024**3 / 1e6 / time_side_by_side({"product": lambda: a @ a}, 1)["product"]


def compare_small(data: SegmentationData) -> dict[str, Any]:
    """Times of both models three ways, and how results of the plain ones in float32 differ from ours."""
    images, keypoints = list(data.images), true_keypoints(data)
    pose, segmenter = load_pose_estimator("pose_tiny"), load_segmenter("sam_tiny")
    old_pose, old_segmenter = plain_pose(), plain_segmenter(segmenter)
    alone = replace(old_segmenter, canvases=1)
    part, points = images[:32], keypoints[:32]
    poses = {
        "mmpose_one_by_one": lambda: pose_one_by_one(old_pose._model, part),
        "plain_layers": lambda: old_pose.estimate(part),
        "ours": lambda: pose.estimate(part),
    }
    masks = {
        "package_one_by_one": lambda: plainly(alone, segmenter.dtype, part, points),
        "plain_layers": lambda: plainly(old_segmenter, segmenter.dtype, part, points),
        "ours": lambda: segmenter.segment(part, points),
    }
    moved = np.abs(pose.estimate(images) - old_pose.estimate(images))
    exact = old_segmenter.segment(images, keypoints)
    made = list(zip(segmenter.segment(images, keypoints), exact, strict=True))
    differ = sum(int((ours.mask != plain.mask).sum()) for ours, plain in made)
    overlap = np.mean([(ours.mask & plain.mask).sum() / max(1, (ours.mask | plain.mask).sum()) for ours, plain in made])
    return {
        "pose_ms": time_side_by_side(poses, len(part)),
        "pose_mflop": round(million_operations(poses["plain_layers"]) / len(part), 1),
        "joints_moved": int((moved[..., :2] > 1e-3).any(axis=-1).sum()),
        "largest_score_difference": float(moved[..., 2].max()),
        "mask_ms": time_side_by_side(masks, len(part)),
        "mask_mflop": round(million_operations(masks["plain_layers"]) / len(part), 1),
        "mask_dtype": str(segmenter.dtype).removeprefix("torch."),
        "mask_iou_with_float32": round(float(overlap), 4),
        "mask_pixels_that_differ": differ,
        "largest_quality_difference": max(abs(ours.quality - plain.quality) for ours, plain in made),
    }


def pack_small(data: SegmentationData) -> dict[str, Any]:
    """Mean IoU with the drawn masks and milliseconds a person, by cells a canvas of 128 x 128."""
    segmenter, keypoints = load_segmenter("sam_tiny"), true_keypoints(data)
    packed = {grid.cells: replace(segmenter, grid=grid, canvases=max(1, 8 // grid.cells)) for grid in GRIDS}
    quality = {cells: measure_drawn(one, data, keypoints) for cells, one in packed.items()}
    part = list(data.images[:32])
    points = keypoints[: len(part)]
    ways = {str(cells): partial(one.segment, part, points) for cells, one in packed.items()}
    times = time_side_by_side(ways, len(part))
    return {str(n): {"iou": round(float(quality[n].mean()), 4), "ms": times[str(n)]} for n in packed}


def pack_official() -> dict[str, Any]:
    """Seconds of ViT-B with random weights: a canvas, a person's decoding, and a person by cells a canvas."""
    torch.manual_seed(SEED)
    model = sam_model_registry["vit_b"]().eval().requires_grad_(False)
    canvas, took = torch.randn(1, 3, 1024, 1024), {}
    with torch.inference_mode():
        for name, change in (("package", lambda _: None), ("ours", fuse)):
            change(model)
            started = time.process_time()
            embedded = model.image_encoder(canvas)
            took[name] = time.process_time() - started
        prompts = (torch.rand(8, 17, 2) * 1024, torch.ones(8, 17, dtype=torch.int64)), torch.rand(8, 4) * 1024, None
        sparse, dense = model.prompt_encoder(*prompts)
        started = time.process_time()
        model.mask_decoder(embedded, model.prompt_encoder.get_dense_pe(), sparse, dense, False)
        decoding = (time.process_time() - started) / 8
    by_cells = {str(grid.cells): round(took["ours"] / grid.cells + decoding, 3) for grid in GRIDS}
    return {"encoder_seconds": took, "decoder_seconds_a_person": decoding, "seconds_a_person_by_cells": by_cells}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--people", type=int, default=256)
    parser.add_argument("--official", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    data = draw_people(chosen.people)
    found: dict[str, Any] = {
        "people": len(data.images),
        "load": os.getloadavg()[0],
        "gflops_of_a_thread": {
            str(dtype).removeprefix("torch."): round(matrix_peak(dtype), 1) for dtype in (torch.float32, torch.bfloat16)
        },
    }
    found |= {"small": compare_small(data), "small_by_cells": pack_small(data)}
    found |= {"official": pack_official()} if chosen.official else {}
    text = json.dumps(found, indent=2)
    print(text)
    chosen.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
