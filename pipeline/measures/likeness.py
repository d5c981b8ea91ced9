"""How alike images are to a ReID model, whichever way they face: near duplicates, uniqueness, and a map of them all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from manifests.common.pictures import decode_picture
from pipeline.common.images import encode
from pipeline.reid.evaluation import Features
from pipeline.reid.model import Images, ReidModel

_QUALITY = 75
_SHARE = 0.05
_SAME = 1e-6
"""Rounding errors of a similarity."""
_LEAST_MAPPED = 5
_PERPLEXITY = 30.0


class Likeness(NamedTuple):
    """What each of N rows is beside the others."""

    uniqueness: NDArray[np.float32]
    """(N,) in [0, 1]: one less the cosine similarity to the most similar other row; 0 for a copy, 1 for what is alone
    or unlike all."""
    repeats: NDArray[np.float32]
    """(N,) how many rows before it are near duplicates of it: 0 for the first of its kind."""


def mirror_features(model: ReidModel, images: Images) -> Features:
    """(N, D) rows of length 1, the same for an image and its mirror image: the mean of what ``model`` sees in both."""
    both = model.embed(images) + model.embed(np.ascontiguousarray(images[:, :, ::-1]))
    return np.asarray(both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-12), np.float32)


def copy_similarities(model: ReidModel, images: Images, features: Features) -> NDArray[np.float32]:
    """(N,) cosine similarity of each image, whose `mirror_features` are given, to itself as a JPEG of quality 75."""
    copies = images.copy()
    for place, image in enumerate(images):
        copies[place] = decode_picture(encode(image, "jpeg", _QUALITY))
    return np.asarray((mirror_features(model, copies) * features).sum(axis=1))


def duplicate_similarity(similarities: NDArray[np.float32]) -> float:
    """From where on two images are near duplicates: as similar as 95% of images are to a recompressed copy of
    themselves (`copy_similarities`). The bar is the model's own: features of one crowd together more than another's."""
    return float(np.quantile(similarities, _SHARE))


def compare(features: Features, least: float) -> Likeness:
    """All rows with all; those of a similarity of ``least`` or more are near duplicates. Time grows with N squared,
    memory with N (blocks of rows)."""
    from sklearn.neighbors import NearestNeighbors

    if len(features) < 2:
        return Likeness(np.ones(len(features), np.float32), np.zeros(len(features), np.float32))
    neighbours = NearestNeighbors(metric="cosine", algorithm="brute").fit(features)
    nearest = neighbours.kneighbors(n_neighbors=1)[0][:, 0]
    near = neighbours.radius_neighbors(radius=max(0.0, 1 - least) + _SAME, return_distance=False)
    repeats = [int((others < row).sum()) for row, others in enumerate(near)]
    uniqueness = np.where(nearest < _SAME, 0.0, np.clip(nearest, 0, 1))
    return Likeness(uniqueness.astype(np.float32), np.array(repeats, np.float32))


def map_of(features: Features, seed: int) -> NDArray[np.float32] | None:
    """(N, 2) places in [0, 1] where similar rows lie together: t-SNE (van der Maaten and Hinton, "Visualizing Data
    using t-SNE", JMLR 2008), begun at the principal components. Distances between groups mean little. None for fewer
    rows than make a map. On one thread, so that the same rows give the same map: 5,000 of 256 features took 50 s."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(features) < _LEAST_MAPPED:
        return None
    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
    with threadpool_limits(1):
        places = TSNE(perplexity=perplexity, init="pca", random_state=seed % 2**32).fit_transform(features)
    low, high = places.min(axis=0), places.max(axis=0)
    middle = (places - (low + high) / 2) / max(float((high - low).max()), 1e-12)
    return np.asarray(middle + 0.5, np.float32)
