"""Which cameras a training set shows, and the place of each image's among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.training.data import DomainData


def camera_numbers(data: DomainData) -> tuple[int, ...]:
    """The cameras of the images, in ascending order; images whose camera is not known stand together, under a number
    that is free."""
    return tuple(int(one) for one in np.unique(_known_cameras(data)))


def camera_places(data: DomainData, cameras: tuple[int, ...]) -> NDArray[np.int64]:
    """(N,): the place of each image's camera among the `camera_numbers`."""
    return np.searchsorted(cameras, _known_cameras(data))


def _known_cameras(data: DomainData) -> NDArray[np.int64]:
    known = np.full(len(data), -1) if data.cameras is None else data.cameras
    free = min(set(range(len(known) + 1)) - set(known.tolist()))
    return np.where(known < 0, free, known)
