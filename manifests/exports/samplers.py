"""The order in which training sees rows: batches of P people with K images each, and a shuffle that reads little.

Both take arrays and give row numbers, so they serve any data loader; `manifests.exports.torch` hands them on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manifests.format.soft_labels import NO_LABEL


class IdentitySampler:
    """Batches of ``people`` different identities with ``images`` rows each, for ``DataLoader(batch_sampler=...)``.

    ``hard_labels`` gives each row's identity as a number; rows of -1 are left out. An epoch deals the rows of each
    identity, shuffled, in hands of ``images``; the last hand is filled up with other rows of the same identity. An
    identity plays all its hands, unless the others have too few to make batches with. `set_epoch` changes the order;
    the same seed and epoch give the same batches. Of ``world_size`` processes each gets batches of its own, the same
    number of them.

    Hermans et al., "In Defense of the Triplet Loss for Person Re-Identification", arXiv 1703.07737 (PK sampling).

    Raises:
        ValueError: there are fewer than ``people`` identities, or too few rows for a batch in each process.
    """

    def __init__(
        self,
        hard_labels: ArrayLike,
        people: int = 16,
        images: int = 4,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if people < 1 or images < 1 or not 0 <= rank < world_size:
            raise ValueError(f"no batches of {people} x {images} for rank {rank} of {world_size}")
        labels = np.asarray(hard_labels)
        order = np.argsort(labels, kind="stable")[np.count_nonzero(labels == NO_LABEL) :]
        starts = np.flatnonzero(np.diff(labels[order], prepend=NO_LABEL))
        self._rows = np.split(order, starts[1:]) if len(order) else []
        self._hands = np.array([-(-len(rows) // images) for rows in self._rows], np.int64)
        self._people, self._images, self._seed = people, images, seed
        self._rank, self._world_size, self._epoch = rank, world_size, 0
        self._batches = _most_batches(self._hands, people)
        if not len(self):
            raise ValueError(f"{len(self._rows)} identities do not make a batch of {people} for each of {world_size}")

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration; all processes must choose the same."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._batches // self._world_size

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng([self._seed, self._epoch])
        hands = [iter(self._deal(rows, random)) for rows in self._rows]
        batches = random.permutation(self._assigned(random))
        for number, chosen in enumerate(batches[: len(self) * self._world_size]):
            # Every process deals all hands, so that all agree on whose turn it is.
            batch = np.concatenate([next(hands[one]) for one in chosen])
            if number % self._world_size == self._rank:
                yield batch.tolist()

    def _deal(self, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """An identity's rows in hands ``(n, images)``."""
        shuffled = random.permutation(rows)
        missing = -len(rows) % self._images
        return np.concatenate([shuffled, np.resize(random.permutation(rows), missing)]).reshape(-1, self._images)

    def _assigned(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Identities ``(batches, people)``, no two the same in a batch.

        Each identity's turns are laid out side by side and dealt to the batches in rotation: no identity has more turns
        than there are batches, so none meets itself.
        """
        people = random.permutation(len(self._hands))
        turns = np.repeat(people, np.minimum(self._hands, self._batches)[people])
        return turns[: self._people * self._batches].reshape(self._people, self._batches).T


class RowGroupSampler:
    """Rows in random order, ``window`` row groups at a time, for ``DataLoader(sampler=...)``.

    ``row_groups`` gives the row group that each row lies in. Groups come in random order, and the rows of ``window`` of
    them are shuffled together: a data set larger than its cache is read once an epoch. `set_epoch` changes the order.
    Of ``world_size`` processes each gets groups of its own and as many rows as the others; up to ``world_size`` - 1
    rows are left out.

    Raises:
        ValueError: ``window``, ``rank`` or ``world_size`` make no sense.
    """

    def __init__(
        self, row_groups: ArrayLike, window: int = 8, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if window < 1 or not 0 <= rank < world_size:
            raise ValueError(f"no rows in windows of {window} for rank {rank} of {world_size}")
        self._groups, self._window, self._seed = np.asarray(row_groups), window, seed
        self._rank, self._world_size, self._epoch = rank, world_size, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration; all processes must choose the same."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._groups) // self._world_size

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng([self._seed, self._epoch])
        turns = random.permutation(int(self._groups.max()) + 1)
        order = np.argsort(turns[self._groups], kind="stable")
        mine = order[self._rank * len(self) :][: len(self)]
        groups = self._groups[mine]
        windows = np.cumsum(np.diff(groups, prepend=groups[:1]) != 0) // self._window
        yield from mine[np.lexsort((random.random(len(mine)), windows))].tolist()


def _most_batches(hands: NDArray[np.int64], people: int) -> int:
    """The most batches of ``people`` different identities, each of which can play ``hands`` times."""
    batches = int(hands.sum()) // people
    while (enough := int(np.minimum(hands, batches).sum()) // people) < batches:
        batches = enough
    return batches
