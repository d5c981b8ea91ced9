"""What a trained generator does, measured by the gap it aims at, on people that no training saw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.annotation.canonical_poses import place_pose
from pipeline.common.images import RgbImage, draw_contact_sheet
from pipeline.common.skeletons import as_joints, draw_skeleton
from pipeline.experiments.comparison.laboratory import Laboratory
from pipeline.experiments.toyworld_data import WorldData
from pipeline.experiments.transfer_quality import measure_transfer
from pipeline.experiments.transfer_trial import translate
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.recipes.gan_lsro import GanLsro, draw_noise
from pipeline.generators.trained import FILE_NAME, Generator, load_generator, save_generator
from pipeline.measures.detail import compare_detail
from pipeline.measures.sets import camera_accuracy, frechet_distance, measure_generation
from pipeline.training.data import Columns, DomainData
from pipeline.training.randomness import SetStream, random_generator

Images = NDArray[np.uint8]
NOISE_IMAGES = 600
TESTED = 200
SHOWN = 12
_NEAR = 0.1


@dataclass(frozen=True)
class Effect:
    """``figures`` by name; ``picture``: what stands in the lines is said by ``lines``."""

    figures: Mapping[str, float]
    picture: RgbImage
    lines: tuple[str, ...]


Directions = Collection[tuple[int, int]]
"""Pairs of cameras, from one to the other."""
Measure = Callable[[Laboratory, Recipe, Path], Effect]


def measure_people(lab: Laboratory, recipe: Recipe, trained: Path) -> Effect:
    """Random people: distance to real ones (half or less of an untrained generator's), variety, the asked camera."""
    assert isinstance(recipe, GanLsro)
    generator, cameras = load_generator(trained), list(getattr(recipe.settings, "cameras", ()))
    asked = np.arange(NOISE_IMAGES) % max(1, len(cameras))
    noise = draw_noise(recipe.settings, NOISE_IMAGES, random_generator(lab.seed, SetStream.COMPARED_NOISE))
    columns: Columns = {"noise": noise, "camera": asked.astype(np.int64)}
    made = generator.generate(columns)
    untrained = _untrained(lab, recipe, trained).generate(columns)
    real = lab.train["source"].images
    quality, before = (measure_generation(lab.reid, images, real) for images in (made, untrained))
    figures = {
        "fid": quality.fid,
        "fid_untrained": before.fid,
        "fid_real": quality.real_fid,
        "coverage": quality.coverage,
        "coverage_real": quality.real_coverage,
        "diversity": quality.diversity,
        "diversity_real": quality.real_diversity,
        **_detail(made, real),
    }
    if cameras:
        figures["camera_accuracy"] = camera_accuracy(lab.camera_classifier, made, np.array(cameras)[asked])
        figures["camera_accuracy_real"] = _real_cameras(lab)
    rows = [made[start : start + SHOWN] for start in (0, SHOWN)]
    return _effect(lab, figures, {"generated": rows[0], "more": rows[1], "real": real[:: len(real) // SHOWN]})


def measure_cameras(lab: Laboratory, recipe: Recipe, trained: Path, directions: Directions | None = None) -> Effect:
    """Into other cameras, by default in all ``directions`` that were trained: is the asked one named, is the person
    still found, how far are the images from real ones by the cameras asked for; the same of the untouched images."""
    data = lab.tested(TESTED)
    sources, asked, made = [], [], []
    for path, target, column, rows in _camera_generators(recipe, trained, data, directions):
        columns: Columns = {"source": data.images[rows]}
        if column is not None:
            columns["camera"] = np.full(len(rows), column, np.int64)
        if "person" in recipe.inputs:
            columns["person"] = data.masks[rows]
        made.append(load_generator(path).generate(columns))
        sources.append(rows)
        asked.append(np.full(len(rows), target))
    rows, images, wanted = np.concatenate(sources), np.concatenate(made), np.concatenate(asked)
    before = data.take(rows)
    reals = lab.reid.pooled(_real_of(lab.train["source"], wanted))
    figures = {
        "camera_accuracy": camera_accuracy(lab.camera_classifier, images, wanted),
        "camera_accuracy_untransferred": camera_accuracy(lab.camera_classifier, before.images, wanted),
        "camera_accuracy_real": _real_cameras(lab),
        "fid": frechet_distance(reals, lab.reid.pooled(images)),
        "fid_untransferred": frechet_distance(reals, lab.reid.pooled(before.images)),
        "retrieval_source": lab.source_retrieval(images, before),
        "retrieval": lab.retrieval(images, before),
        "retrieval_untransferred": lab.retrieval(before.images, before),
        **_detail(images, data.images),
    }
    shown = np.linspace(0, len(images) - 1, SHOWN).astype(int)
    return _effect(lab, figures, {"source": before.images[shown], "as the other camera": images[shown]})


def measure_domains(lab: Laboratory, recipe: Recipe, trained: Path) -> Effect:
    """Into the other domain: change inside and outside the true mask, is the person still found."""
    source, target = lab.tested(TESTED), lab.tested(TESTED, "target")
    made = translate(load_generator(trained), source)
    quality = measure_transfer(source, made, target, lab.judge).as_dict()
    figures = {name: quality[name] for name in ("foreground_change", "foreground_structure", "background_change")}
    figures |= {"color_move": quality["color_move"], "judge_move": quality["judge_move"]}
    figures |= {
        "retrieval_source": lab.source_retrieval(made, source),
        "retrieval": lab.retrieval(made, source),
        "retrieval_untransferred": lab.retrieval(source.images, source),
        **_detail(made, target.images),
    }
    shown = np.linspace(0, len(made) - 1, SHOWN).astype(int)
    lines = {"source": source.images[shown], "as the target": made[shown], "real target": target.images[shown]}
    return _effect(lab, figures, lines)


def measure_poses(lab: Laboratory, recipe: Recipe, trained: Path) -> Effect:
    """Into asked poses: are the joints where they were asked for, is the person still found."""
    source = lab.tested(TESTED)
    generator = load_generator(trained)
    if "source" in generator.inputs:
        poses = np.array(generator.settings["canonical_poses"], np.float32)
        asked = np.stack([place_pose(poses[row % len(poses)], lab.height, lab.width) for row in range(len(source))])
    else:
        asked = source.keypoints
    drawings = np.stack([draw_skeleton(pose, lab.height, lab.width) for pose in asked])
    columns: Columns = {"source": source.images, "skeleton": drawings, "mask": source.masks}
    if "joints" in generator.inputs:
        columns |= {"joints": as_joints(source.keypoints), "asked_joints": as_joints(asked)}
    if "camera" in generator.inputs:  # whatever the pose, a person stays where they were seen
        columns["camera"] = np.searchsorted(generator.settings["cameras"], source.cameras)
    made = generator.generate(columns)
    reals = lab.train["source"].images
    count = min(len(made), len(reals))
    features = [lab.reid.pooled(images[:count]) for images in (reals[:: max(1, len(reals) // count)], made)]
    figures = {
        "pck": _pck(lab, made, asked),
        "pck_real": _pck(lab, source.images, source.keypoints),
        "pck_source": _pck(lab, source.images, asked),
        "fid": frechet_distance(*features),
        "retrieval_source": lab.source_retrieval(made, source),
        "retrieval": lab.retrieval(made, source),
        "retrieval_untransferred": lab.retrieval(source.images, source),
        **_detail(made, reals),
    }
    shown = np.linspace(0, len(made) - 1, SHOWN).astype(int)
    return _effect(lab, figures, {"source": source.images[shown], "asked": drawings[shown], "generated": made[shown]})


MEASURES: dict[str, Measure] = {
    "few images": measure_people,
    "cameras": measure_cameras,
    "domains": measure_domains,
    "poses": measure_poses,
}


def _detail(made: Images, real: Images) -> dict[str, float]:
    """Sharpness, the worst band of the spectrum and the grid, beside real images of the place that was asked for."""
    found = compare_detail(made, real)
    return {"sharpness": found.sharpness, "spectrum_worst": found.worst, "grid": found.grid}


def _pck(lab: Laboratory, images: Images, asked: NDArray[np.float32]) -> float:
    """Share of asked joints that the pose estimator finds nearer than 0.1 of the larger side of the asked pose."""
    found = lab.pose.estimate(list(images))
    hits = []
    for pose, points in zip(asked, found, strict=True):
        seen = pose[:, 2] > 0
        side = np.ptp(pose[seen, :2], axis=0).max() if seen.any() else 0.0
        hits.append(np.linalg.norm(points[seen, :2] - pose[seen, :2], axis=1) < _NEAR * side)
    return float(np.concatenate(hits).mean())


def _real_cameras(lab: Laboratory) -> float:
    data = lab.test["source"]
    return camera_accuracy(lab.camera_classifier, data.images, data.cameras)


def _camera_generators(
    recipe: Recipe, trained: Path, data: WorldData, directions: Directions | None
) -> Iterator[tuple[Path, int, int | None, NDArray[np.int64]]]:
    """(weights, target camera, value of the column ``camera`` or None, rows of ``data`` to change)."""

    def rows(target: int, sources: Collection[int]) -> NDArray[np.int64]:
        wanted = [camera for camera in sources if directions is None or (camera, target) in directions]
        return np.flatnonzero(np.isin(data.cameras, wanted))

    found: list[tuple[Path, int, int | None, NDArray[np.int64]]] = []
    if "camera" in recipe.inputs:
        cameras = list(getattr(recipe.settings, "cameras", ()))
        for index, camera in enumerate(cameras):
            found.append((trained, camera, index, rows(camera, {*data.cameras.tolist()} - {camera})))
    else:
        for folder in sorted(path for path in trained.iterdir() if (path / FILE_NAME).is_file()):
            first, second = (int(part) for part in folder.name.split("_"))
            found.append((folder / FILE_NAME, second, None, rows(second, [first])))
            found.append((folder / "generator_back.safetensors", first, None, rows(first, [second])))
    return (one for one in found if len(one[-1]))


def _real_of(data: WorldData, cameras: NDArray[np.int64]) -> Images:
    """Real images by ``cameras`` (N,), as many by each, spread evenly over what there is."""
    rows = []
    for camera, count in zip(*np.unique(cameras, return_counts=True), strict=True):
        there = np.flatnonzero(data.cameras == camera)
        rows.append(there[np.linspace(0, len(there) - 1, count).astype(np.int64)])
    return np.asarray(data.images[np.concatenate(rows)])


def _untrained(lab: Laboratory, recipe: Recipe, trained: Path) -> Generator:
    """The generator as it was before its first step."""
    size = lab.height, lab.width
    networks = recipe.build(torch.Generator().manual_seed(lab.seed), size)
    path = trained / "untrained.safetensors"
    save_generator(path, networks[recipe.exports["generator"]], recipe, *size)
    return load_generator(path)


def _effect(lab: Laboratory, figures: Mapping[str, float], lines: Mapping[str, Images]) -> Effect:
    rows = [list(images[:SHOWN]) for images in lines.values()]
    rounded = {name: round(float(value), 4) for name, value in figures.items()}
    return Effect(rounded, draw_contact_sheet(rows, lab.height, lab.width), tuple(lines))


def pair_data(data: WorldData, cameras: tuple[int, int]) -> dict[str, DomainData]:
    """The images of two cameras as the two sets of a CycleGAN."""
    sets = [data.take(np.flatnonzero(data.cameras == camera)) for camera in cameras]
    return dict(zip(("source", "target"), sets, strict=True))
