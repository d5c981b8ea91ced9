"""A ReID network at home elsewhere: its batch norms' statistics taken anew on unlabelled images of another place.

AdaBN (Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", arXiv 1603.04779, section 3): each
batch norm, the neck too, normalises by the mean and variance of its own input over the other domain. Nothing is
trained, scale and shift stay.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from manifests.errors import UserError
from manifests.reading.inputs import open_input
from pipeline.common.images import resize
from pipeline.common.row_images import PICTURE
from pipeline.common.tensors import to_signed
from pipeline.reid.data import decode_images, in_splits
from pipeline.reid.model import Images, ReidModel

Split = Literal["train", "query", "gallery"]


@dataclass(frozen=True)
class Adapted:
    """A model with the statistics of a data set, and which."""

    model: ReidModel
    uri: str
    manifest_sha256: str
    images: int


def adapt_norm(model: ReidModel, images: Images, batch_size: int = 64) -> ReidModel:
    """``model`` with the statistics of ``images``, (N, H, W, 3) uint8 of any size, two or more.

    They are taken in batches as in training, as equal in size as can be and ``batch_size`` at most. Number b of B holds
    every B-th image from b on: neighbours, who are alike, come into different ones. A layer gets the mean over the
    batches of its input's mean and (unbiased) variance in each, while the layers before it normalise by that batch. The
    same images in the same order give the same bytes.

    Raises:
        ValueError: fewer than two images, which have no variance, or ``batch_size`` is below 4.
    """
    if len(images) < 2 or batch_size < 4:
        raise ValueError(f"statistics need two images and batches of four, got {len(images)} and {batch_size}")
    network = deepcopy(model.network).eval()
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
        layer.train()
    device = next(network.parameters()).device
    batches = -(-len(images) // batch_size)
    with torch.inference_mode():
        for first in range(batches):
            part = np.stack([resize(image, model.height, model.width) for image in images[first::batches]])
            network.logits(to_signed(part, device))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return replace(model, network=network.eval())


def adapt_to(model: ReidModel, uri: str, splits: tuple[Split, ...] = ("train",)) -> Adapted:
    """`adapt_norm` to all images of ``splits`` of the source manifest at ``uri``, whoever they show: no label is read.

    Raises:
        UserError: no such data set, of another kind, fewer than two images in those splits, or a broken image.
    """
    dataset = open_input(uri, "source", flag="--adapt-norm")
    found = []
    for table in dataset.shards([*PICTURE, "split"]):
        rows = in_splits(table, splits).select(PICTURE).to_pylist()
        if rows:
            found.append(decode_images(rows, uri, model.height, model.width))
    count = sum(len(images) for images in found)
    if count < 2:
        raise UserError(
            f"--adapt-norm {uri}: {count} images in its {' and '.join(splits)} split; two or more are needed"
        )
    return Adapted(adapt_norm(model, np.concatenate(found)), dataset.uri, dataset.digest(), count)
