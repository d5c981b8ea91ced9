"""The batch-hard triplet loss, and batches of P people with K images each that it is meant for.

Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737, section 2. It
stands beside the cross-entropy and takes the features before the neck, as in Luo et al. (CVPR workshops 2019).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from manifests.errors import UserError
from manifests.exports.samplers import IdentitySampler
from manifests.format.soft_labels import NO_LABEL
from pipeline.common.settings import Advanced, JobSettings
from pipeline.reid.batches import Draw, Shuffled
from pipeline.training.randomness import JudgeStream


class TripletSettings(JobSettings):
    """The triplet loss, which is off by default."""

    group = "triplet loss"
    triplet_weight: Advanced[float] = Field(
        default=0.0, ge=0, description="of a batch-hard triplet loss beside the cross-entropy; 0: off (Luo et al.: 1)"
    )
    margin: Advanced[float] = Field(
        default=0.3, ge=0, description="triplet: how much nearer one's own images have to be"
    )
    identities_per_batch: Advanced[int] = Field(default=8, ge=2, description="triplet: P, people in a batch")
    images_per_identity: Advanced[int] = Field(
        default=4, ge=2, description="triplet: K, images of each; --batch-size is P x K"
    )

    @model_validator(mode="after")
    def _of_a_loss_that_counts(self) -> TripletSettings:
        names = () if self.triplet_weight else ("margin", "identities_per_batch", "images_per_identity")
        for name in names:
            if getattr(self, name) != TripletSettings.model_fields[name].default:
                raise UserError(
                    f"--{name.replace('_', '-')} is of the triplet loss, which is off: add --triplet-weight"
                )
        return self


def batch_hard(features: Tensor, people: Tensor, margin: float) -> Tensor:
    """Mean over the anchors of ``max(0, margin + furthest own - nearest other)``, Euclidean distances.

    ``features`` (N, D) float; ``people`` (N,) numbers, -1 for nobody: such rows take no part. Anchors are the rows
    that have another row of their person and one of somebody else; without any the loss is 0.
    """
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    known = (people != NO_LABEL)[:, None] & (people != NO_LABEL)
    same = people[:, None] == people
    own, other = known & same & ~torch.eye(len(people), dtype=torch.bool, device=people.device), known & ~same
    furthest = distances.masked_fill(~own, -torch.inf).amax(dim=1)
    nearest = distances.masked_fill(~other, torch.inf).amin(dim=1)
    anchors = own.any(dim=1) & other.any(dim=1)
    return F.relu(margin + furthest - nearest).sum() / anchors.sum().clamp(min=1)  # 0 where a row is no anchor


class PeopleAndImages:
    """P people with K images each, then images of nobody where there are any; every row weighs the same."""

    def __init__(
        self, people: NDArray[np.int32], rows: NDArray[np.int64], settings: TripletSettings, seed: int
    ) -> None:
        """``people`` (M,) are the classes of all images, -1 for nobody; ``rows`` are those to draw.

        Raises:
            UserError: there are fewer people than a batch takes.
        """
        self.people, self.images = settings.identities_per_batch, settings.images_per_identity
        self._known, nobody = rows[people[rows] != NO_LABEL], rows[people[rows] == NO_LABEL]
        self._nobody = Shuffled(nobody, seed, JudgeStream.NOBODY_ORDER) if len(nobody) else None
        shown = people[self._known]
        try:
            self._sampler = IdentitySampler(shown, self.people, self.images, seed)
        except ValueError:
            found = len(np.unique(shown))
            asked = f"--identities-per-batch {self.people} of the {found} people whose images are there together"
            if found < 2:  # the least that a batch takes
                raise UserError(f"{asked}: leave --triplet-weight out") from None
            raise UserError(f"{asked}: take fewer") from None
        self._epoch = lru_cache(maxsize=1)(self._dealt)

    def check(self, size: int, workers: int = 1) -> None:
        """As `pipeline.reid.batches.Order.check`."""
        known = self.people * self.images
        asked = f"--identities-per-batch {self.people} x --images-per-identity {self.images} is {known}"
        if self._nobody is None and size != known:
            raise UserError(f"{asked}, and --batch-size leaves {size} images for them: make these equal")
        if self._nobody is not None and size <= known:
            raise UserError(f"{asked}, which leaves no room for images of nobody: take a greater --batch-size")

    def draw(self, step: int, size: int) -> Draw:
        """As `pipeline.reid.batches.Order.draw`."""
        epoch, number = divmod(step, len(self._sampler))
        rows = self._known[self._epoch(epoch)[number]]
        if self._nobody is not None:
            rows = np.concatenate([rows, self._nobody.draw(step, size - len(rows)).rows])
        return Draw(rows, np.full(size, 1 / size, np.float32))

    def _dealt(self, epoch: int) -> list[list[int]]:
        self._sampler.set_epoch(epoch)
        return list(self._sampler)
