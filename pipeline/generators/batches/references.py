"""Batches of images with a reference each: another image of the person, or the image itself in another look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.common.colours import Look, look_of, transfer_colours
from pipeline.common.detail_transfer import Bands, bands_of, transfer_detail
from pipeline.common.images import RgbImage
from pipeline.common.skeletons import as_joints, draw_skeleton
from pipeline.generators.backgrounds import grown, without_person
from pipeline.generators.batches.pairs import Partners
from pipeline.generators.networks.flow import ITSELF, MOVED
from pipeline.training.data import Columns, Crop, DomainData, crop_together, cut, draw_crop, enlarged, evenly
from pipeline.training.randomness import GeneratorStream, epoch_rows, random_generator


class Referenced:
    """Columns ``target``, the image that should come out; ``source``, its reference, and ``reference``, which kind
    that is; ``camera``, the number of the target's condition; ``skeleton``, the target's pose, black beside a
    reference that shows it; ``joints`` and ``asked_joints``, of source and target where they differ, else 0; ``mask``,
    the target's person, empty where that is not known; ``background``, before which the source's person is to be put by
    that mask; and ``known``, where the source says all of the target's detail.

    A reference in another look has the colours of a random image of another camera, and as much detail as that
    (`pipeline.common.colours`, `pipeline.common.detail_transfer`): what it takes to get back from there is what a
    camera does to an image, and it is known pixel by pixel. Some keep the background that the camera sees, without the
    person in it, so that they alone have another look; of those that people are put before later
    (`pipeline.generators.backgrounds`) nobody knows the detail where somebody else was taken out.
    """

    def __init__(
        self,
        data: Mapping[str, DomainData],
        cameras: NDArray[np.int64],
        partners: Partners,
        size: tuple[int, int],
        seed: int,
        itself: float,
        background: float = 0.0,
    ) -> None:
        """``data`` by role, all of which is walked through as one set; ``cameras`` (N,) and ``partners`` (N) are of
        that. ``itself``: share of the images that have partners whose reference is the image itself; ``background``:
        of those that are, how many keep their background."""
        self.size, self.seed, self.itself, self.background = size, seed, itself, background
        self._digests = {role: part.digest() for role, part in data.items()}
        self.data = _joined([part.resized(*enlarged(*size)) for part in data.values()])
        self.cameras, self.partners = cameras, partners
        self.looks: Look = np.stack([look_of(image) for image in self.data.images])
        self.bands: Bands = np.stack([bands_of(image) for image in self.data.images])
        self._empty: dict[int, RgbImage] = {}
        self._of_camera = {int(one): np.flatnonzero(cameras == one) for one in np.unique(cameras)}

    def batch(self, step: int, size: int) -> Columns:
        """The batch of training step ``step``."""
        rng = random_generator(self.seed, GeneratorStream.REFERENCES, step)
        rows = epoch_rows(self.seed, GeneratorStream.REFERENCE_ORDER, len(self.data), step, size)
        alone = np.array([not len(self.partners[row]) for row in rows]) | (rng.random(size) < self.itself)
        others = np.array(
            [row if one else rng.choice(self.partners[row]) for row, one in zip(rows, alone, strict=True)]
        )
        flips = rng.random(size) < 0.5
        crops = [[draw_crop(self.data, *self.size, rng, flip) for flip in flips] for _ in range(2)]
        target, source = (
            crop_together(self.data.take(taken), cut, *self.size)
            for taken, cut in zip((rows, others), crops, strict=True)
        )
        images = [
            self._in_another_look(target.images[place], int(self.cameras[row]), rng) if alone[place] else other
            for place, (row, other) in enumerate(zip(rows, source.images, strict=True))
        ]
        columns = self._columns(target, replace(source, images=np.stack(images)), rows, alone)
        for place in np.flatnonzero(alone & columns["mask"].any(axis=(1, 2))):
            if rng.random() < self.background:
                self._before_its_own(columns, int(place), int(rows[place]), crops[0][place], rng)
        return columns

    def preview(self, count: int) -> Columns:
        """``count`` images spread evenly over those with a partner, or over all, whole, each with its first one."""
        paired = np.array([row for row, found in enumerate(self.partners) if len(found)], np.int64)
        rows = paired[evenly(count, len(paired))] if len(paired) else evenly(count, len(self.data))
        alone = np.array([not len(self.partners[row]) for row in rows])
        others = np.array([row if one else self.partners[row][0] for row, one in zip(rows, alone, strict=True)])
        target, source = (self.data.take(taken).resized(*self.size) for taken in (rows, others))
        return self._columns(target, source, rows, alone)

    def digests(self) -> dict[str, str]:
        """As of the sets themselves."""
        return self._digests

    def _in_another_look(self, image: RgbImage, camera: int, rng: np.random.Generator) -> RgbImage:
        others = [one for one in self._of_camera if one != camera] or [camera]
        found = self._of_camera[others[rng.integers(len(others))]]
        other = found[rng.integers(len(found))]
        return transfer_detail(transfer_colours(image, self.looks[other]), self.bands[other])

    def _before_its_own(self, columns: Columns, place: int, row: int, crop: Crop, rng: np.random.Generator) -> None:
        """Let the person of ``place`` stand before their own background without themselves; no detail is asked for
        around them, nor where the person of some other image would stand."""
        assert self.data.masks is not None
        other = self.data.masks[rng.integers(len(self.data))]
        empty = cut(self._without_person(row), crop, *self.size)
        person = columns["mask"][place]
        hole = grown(person) | grown(cut(other, crop, *self.size))
        columns["background"][place] = np.where(hole[:, :, None], empty, columns["target"][place])
        columns["known"][place] = person | ~hole

    def _without_person(self, row: int) -> RgbImage:
        assert self.data.masks is not None
        if row not in self._empty:
            self._empty[row] = without_person(self.data.images[row], self.data.masks[row])
        return self._empty[row]

    def _columns(
        self, target: DomainData, source: DomainData, rows: NDArray[np.int64], alone: NDArray[np.bool_]
    ) -> Columns:
        assert target.keypoints is not None
        assert source.keypoints is not None
        assert target.masks is not None
        drawn = np.zeros_like(target.images)
        for place in np.flatnonzero(~alone):
            drawn[place] = draw_skeleton(target.keypoints[place], *self.size)
        return {
            "target": target.images,
            "source": source.images,
            "reference": np.where(alone, ITSELF, MOVED).astype(np.int64),
            "camera": self.cameras[rows],
            "skeleton": drawn,
            "joints": as_joints(source.keypoints * ~alone[:, None, None]),
            "asked_joints": as_joints(target.keypoints * ~alone[:, None, None]),
            "mask": target.masks,
            "background": source.images.copy(),
            "known": np.repeat(alone, target.masks[0].size).reshape(target.masks.shape),
        }


def _joined(parts: list[DomainData]) -> DomainData:
    """All images; what is not known of a part is nothing: no mask, no joint."""
    masks = [np.zeros(part.images.shape[:3], np.bool_) if part.masks is None else part.masks for part in parts]
    points = [np.zeros((len(part), 17, 3), np.float32) if part.keypoints is None else part.keypoints for part in parts]
    images = np.concatenate([part.images for part in parts])
    return replace(
        parts[0],
        images=images,
        masks=np.concatenate(masks),
        keypoints=np.concatenate(points),
        identities=None,
        cameras=None,
    )
