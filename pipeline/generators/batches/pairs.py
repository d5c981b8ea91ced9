"""Batches of pairs: an image, and the image that should come out of it together with its pose and mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.annotation.canonical_poses import pose_distances, shows_torso
from pipeline.common.skeletons import draw_skeleton
from pipeline.training.data import Columns, DomainData, crop_together, draw_crop, enlarged, evenly, needed
from pipeline.training.randomness import GeneratorStream, epoch_rows, random_generator

_POSES = "keypoints", "training by poses"
Partners = list[NDArray[np.int64]]
"""For each row of a set, the rows that may be the target when it is the source; none: it is no source."""


class PosePairs:
    """Columns ``source``, ``target``, ``skeleton`` (the target's pose, drawn) and, where masks are known, ``mask``.

    ``mask`` is the target's. Source and target are cut apart from each other, since generation has to move a person to
    where a pose asks for them; both are mirrored or neither, since a bag on the left shoulder stays on the left one.
    Drawing and mask follow from the keypoints and mask that moved with the target.
    """

    def __init__(self, data: DomainData, partners: Partners, height: int, width: int, seed: int) -> None:
        needed(data.keypoints, *_POSES)
        self.height, self.width, self.seed = height, width, seed
        self.data = data.resized(*enlarged(height, width))
        self.partners = partners
        self.sources = np.array([row for row, found in enumerate(partners) if len(found)], np.int64)
        if not len(self.sources):
            raise UserError("no two training images make a pair: the same person has to be there twice")

    def batch(self, step: int, size: int) -> Columns:
        """The batch of training step ``step``."""
        rng = random_generator(self.seed, GeneratorStream.PAIRS, step)
        sources = self.sources[epoch_rows(self.seed, GeneratorStream.PAIR_ORDER, len(self.sources), step, size)]
        targets = np.array([rng.choice(self.partners[row]) for row in sources], np.int64)
        flips = rng.random(size) < 0.5
        crops = [[draw_crop(self.data, self.height, self.width, rng, flip) for flip in flips] for _ in range(2)]
        if (sources == targets).all():
            crops[1] = crops[0]
        source, target = (
            crop_together(self.data.take(rows), cut, self.height, self.width)
            for rows, cut in zip((sources, targets), crops, strict=True)
        )
        return self._columns(source, target)

    def preview(self, count: int) -> Columns:
        """``count`` sources spread evenly over the set, whole, each with its first partner."""
        sources = self.sources[evenly(count, len(self.sources))]
        targets = np.array([self.partners[row][0] for row in sources], np.int64)
        size = self.height, self.width
        return self._columns(self.data.take(sources).resized(*size), self.data.take(targets).resized(*size))

    def digests(self) -> dict[str, str]:
        return {"source": self.data.digest()}

    def _columns(self, source: DomainData, target: DomainData) -> Columns:
        poses = needed(target.keypoints, *_POSES)
        drawn = np.stack([draw_skeleton(points, self.height, self.width) for points in poses])
        columns: Columns = {"source": source.images, "target": target.images, "skeleton": drawn}
        if target.masks is not None:
            columns["mask"] = target.masks
        return columns


def own_partners(data: DomainData) -> Partners:
    """Each image with itself: its own pose and mask tell what it should be."""
    return [np.array([row]) for row in range(len(data))]


def identity_partners(data: DomainData) -> Partners:
    """All ordered pairs of different images of one person.

    Raises:
        UserError: nobody said who is on the images.
    """
    identities = needed(data.identities, "identity", "pairing by people")
    rows = {identity: np.flatnonzero(identities == identity) for identity in np.unique(identities)}
    return [
        rows[identity][rows[identity] != row] if identity >= 0 else np.empty(0, np.int64)
        for row, identity in enumerate(identities)
    ]


def pose_partners(data: DomainData) -> Partners:
    """As `identity_partners`, of images that show shoulders and hips; those by the same camera, where there are some:
    a pose changes, and what is seen behind it does not.

    Raises:
        UserError: people or keypoints of the images are not known.
    """
    shown = np.array([shows_torso(points) for points in needed(data.keypoints, *_POSES)], np.bool_)
    found: Partners = []
    for row, others in enumerate(identity_partners(data)):
        others = others[shown[others] & shown[row]]
        near = others[data.cameras[others] == data.cameras[row]] if data.cameras is not None else others[:0]
        found.append(near if len(near) else others)
    return found


def camera_partners(data: DomainData, source: int, target: int, nearest: int = 2) -> Partners:
    """Images by the camera ``source`` with the ``nearest`` poses of the same person seen by the camera ``target``.

    Raises:
        UserError: people, cameras or keypoints of the images are not known.
    """
    cameras = needed(data.cameras, "camera", "pairing by cameras")
    keypoints = needed(data.keypoints, "keypoints", "pairing by cameras")
    found: Partners = []
    for row, others in enumerate(identity_partners(data)):
        others = others[cameras[others] == target] if cameras[row] == source else others[:0]
        apart = pose_distances(np.repeat(keypoints[row : row + 1], len(others), axis=0), keypoints[others])
        order = np.argsort(apart, kind="stable")[:nearest]
        found.append(others[order][np.isfinite(apart[order])])
    return found
