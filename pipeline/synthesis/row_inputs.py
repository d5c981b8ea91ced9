"""What a planned row is made from, as the generator sees it: image, asked pose, camera, noise, at its size.

Noise comes from the row's own seed, the view of an image from the run's seed, the image and the number of the draw: a
row does not depend on what else is made beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.annotation.annotations import Annotation
from pipeline.annotation.canonical_poses import place_pose, shows_torso
from pipeline.common.digests import content_seed
from pipeline.common.images import BoolMask, ImageError, RgbImage, resize, resize_mask
from pipeline.common.skeletons import as_joints, draw_skeleton
from pipeline.generators.trained_set import GeneratorSet
from pipeline.training.data import Columns, Crop, DomainData, crop_together, enlarged
from pipeline.training.randomness import random_generator

Size = tuple[int, int]
NO_ANNOTATION = Annotation(None, None, None)


@dataclass(frozen=True)
class Pose:
    """A pose that is asked for: keypoints (17, 3) in pixels of the image to be made; a mask where one is known."""

    keypoints: NDArray[np.float32]
    mask: BoolMask | None = None


@dataclass
class View:
    """One planned row with its source, if it has one, at the generator's size.

    ``mask`` and ``keypoints`` are those of ``image``, in its pixels.
    """

    plan: dict[str, Any]
    source: dict[str, Any] | None = None
    image: RgbImage | None = None
    mask: BoolMask | None = None
    keypoints: NDArray[np.float32] | None = None
    pose: Pose | None = None
    mask_png: bytes | None = None
    """``mask`` as `encode_mask` would write it, where somebody has."""


def fit_view(
    source: dict[str, Any], plan: dict[str, Any], image: RgbImage, known: Annotation, size: Size, seed: int
) -> View:
    """Bring an image and its annotation to ``size`` (height, width); ``seed`` is the run's.

    Draw 0 is the whole image. A generator that reads images has no noise input, so each later draw sees another view:
    the training augmentation (enlarge by 1.117, crop, mirror or not). The views of an image come in an order of chance,
    none of them twice: the first `most_draws` of an image differ.
    """
    height, width = size if plan["draw"] == 0 else enlarged(*size)
    scale = np.array([width / image.shape[1], height / image.shape[0], 1.0], np.float32)
    sized = resize(image, height, width)
    mask = resize_mask(known.mask, height, width) if known.mask is not None else None
    keypoints = known.keypoints * scale if known.keypoints is not None else None
    if plan["draw"] == 0:
        return View(plan, source, sized, mask, keypoints, mask_png=known.png if mask is known.mask else None)
    order = random_generator(content_seed("views", seed, plan["image_sha256"])).permutation(_views(size))
    whole = DomainData(
        sized[None], mask[None] if mask is not None else None, keypoints[None] if keypoints is not None else None
    )
    cut = crop_together(whole, [_crop(int(order[plan["draw"] - 1]), size)], *size)
    return View(
        plan,
        source,
        cut.images[0],
        cut.masks[0] if cut.masks is not None else None,
        cut.keypoints[0] if cut.keypoints is not None else None,
    )


def most_draws(size: Size) -> int:
    """How many draws of one image at ``size`` (height, width) differ: the whole image and each other view of it."""
    return 1 + _views(size)


def check_draws(draws: int, size: Size) -> None:
    """Refuse more draws of one image than there are views of it at ``size`` (height, width).

    Raises:
        UserError: ``draws`` are more.
    """
    most = most_draws(size)
    if draws > most:
        raise UserError(
            f"--per-image {draws}: an image of {size[0]} x {size[1]} pixels has {most} views: ask for {most} at most"
        )


def _places(size: Size) -> Size:
    """In how many rows and columns the upper left corner of a crop may lie."""
    rows, columns = enlarged(*size)
    return rows - size[0] + 1, columns - size[1] + 1


def _views(size: Size) -> int:
    return math.prod(_places(size)) * 2


def _crop(view: int, size: Size) -> Crop:
    """The crop of that number among all views."""
    top, left, flip = np.unravel_index(view, (*_places(size), 2))
    return Crop(int(top), int(left), bool(flip))


def asked_pose(plan: dict[str, Any], donor: Annotation | None, generators: GeneratorSet, size: Size) -> Pose | None:
    """The pose that a row asks for: its donor's, scaled to ``size``, or a canonical one; None if it asks for none."""
    if donor is not None:
        return Pose(donor.keypoints_at(*size), None if donor.mask is None else resize_mask(donor.mask, *size))
    if plan["pose_class"] is None or not {"skeleton", "asked_joints"} & set(generators.recipe.inputs):
        return None
    return Pose(place_pose(generators.canonical_poses[plan["pose_class"]], *size))


def check_movable(view: View) -> None:
    """Refuse a row that would be its source: whose joints are moved has to be seen from shoulders to hips, and to be
    asked for so.

    Raises:
        ImageError: they are not.
    """
    posed = view.pose.keypoints if view.pose else None
    for keypoints, whose in ((view.keypoints, "the image"), (posed, "the pose asked for")):
        if keypoints is None or not shows_torso(keypoints):
            raise ImageError("bad_annotation", f"shoulders and hips of {whose} are not all known")


def input_columns(views: Sequence[View], pictures: NDArray[np.uint8], generators: GeneratorSet, size: Size) -> Columns:
    """The columns that the generators read, a row for each view, as `Generator.generate` takes them; ``pictures``
    (N, H, W, 3) are the images of ``views``, if they have any. What the rows do not have is left out."""
    columns: Columns = {}
    for name in generators.recipe.inputs:
        if name == "source":
            columns |= {} if any(view.image is None for view in views) else {name: pictures}
            continue
        found = [_input(name, view, generators, size) for view in views]
        known = [one for one in found if one is not None]
        columns |= {name: np.stack(known)} if len(known) == len(views) else {}
    return columns


def _input(name: str, view: View, generators: GeneratorSet, size: Size) -> NDArray[Any] | None:
    """One row of one column; None where the row has none."""
    pose, plan = view.pose, view.plan
    if name == "skeleton" and pose is not None:
        return draw_skeleton(pose.keypoints, *size)
    if name == "asked_joints" and pose is not None:
        return as_joints(pose.keypoints)
    if name == "joints" and view.image is not None:
        # Of whom no joint is known stays as they are.
        return as_joints(np.zeros((17, 3), np.float32) if view.keypoints is None else view.keypoints)
    if name == "mask" and pose is not None:
        return pose.mask
    if name == "person" and view.image is not None:
        return np.zeros(size, np.bool_) if view.mask is None else view.mask
    if name == "camera":
        return np.array(generators.recipe.camera_number(plan), np.int64)
    if name == "pose_class":
        return np.array(plan["pose_class"], np.int64)
    if name == "seed":
        return np.array(plan["seed"], np.int64)
    if name == "noise":
        return generators.recipe.draw_noise(size, random_generator(plan["seed"]))
    return None
