"""What a plan asks for: samples by number, as columns that are computed from their numbers and so need no memory.

A sample is named by the settings, its generator and what it asks for. Names are digests: they are computed where they
are needed, a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.common.digests import content_hash, id_part
from pipeline.common.progress import Progress
from pipeline.synthesis.people import NOBODY, People, Person

AT_A_TIME = 1 << 14
"""Samples that are looked at together."""
MOST = 2**31 - 1
Numbers = NDArray[np.int64]
T = TypeVar("T")
_ASKED_FOR = ("image_id", "target_camera", "pose_class", "pose_image_id", "draw")
"""What a sample is named by beside its generator, in this order."""
_NOTHING = {"image_id": "noise"}
"""What stands for a null in names; in all other columns the empty text."""


@dataclass(frozen=True)
class Sample:
    """One image to be made, before it has a name. What a kind does not ask for is None."""

    draw: int
    content: Person | None = None
    """Whose image is changed. Without one, the image shows whose pose it has, or nobody."""
    target_camera: int | None = None
    pose_class: int | None = None
    """Number of a canonical pose, or of a class of poses."""
    pose_of: Person | None = None
    """Whose pose is asked for."""
    generator: str = ""
    """Member of the generator set."""


class Asked(NamedTuple):
    """`Sample` in columns ``(N,)`` of whole numbers: `NOBODY` for None."""

    draw: Numbers
    content: Numbers
    """Places in the plan's people, as in ``pose_of``."""
    target_camera: Numbers
    pose_class: Numbers
    pose_of: Numbers
    generator: Numbers
    """Place among the names of the members; `NOBODY` where the number stands for no sample."""

    @property
    def shown(self) -> Numbers:
        """Whom the image shows: whose image is changed, or who has the pose."""
        return np.where(self.content >= 0, self.content, self.pose_of)


def asked(draw: Numbers, **columns: Any) -> Asked:
    """Columns of which only some are asked for; numbers stand for columns of themselves."""
    given = {"generator": 0, **columns}
    rest = ((name, given.get(name, NOBODY)) for name in Asked._fields[1:])
    return Asked(draw, **{name: np.broadcast_to(np.asarray(value, np.int64), draw.shape) for name, value in rest})


@dataclass(frozen=True)
class Samples:
    """Samples of the numbers from 0 to ``count``: ``columns`` says what those of given numbers ask for."""

    people: People
    members: tuple[str, ...]
    """Names of the generators, sorted."""
    count: int
    columns: Callable[[Numbers], Asked]

    def __post_init__(self) -> None:
        if self.count > MOST:
            raise UserError(
                f"{self.count} samples are more than a plan holds ({MOST}): lower --limit, or make two sets"
            )

    def chunks(self) -> Iterator[tuple[Numbers, Asked]]:
        """All samples with their numbers, some at a time."""
        for start in range(0, self.count, AT_A_TIME):
            numbers = np.arange(start, min(start + AT_A_TIME, self.count))
            columns = self.columns(numbers)
            there = columns.generator >= 0
            yield (numbers, columns) if there.all() else (numbers[there], Asked(*(one[there] for one in columns)))

    def __iter__(self) -> Iterator[Sample]:
        """One by one, in the order of their numbers."""
        for _, columns in self.chunks():
            for draw, content, camera, pose_class, pose_of, member in zip(
                *(one.tolist() for one in columns), strict=True
            ):
                yield Sample(
                    draw,
                    self.people[content] if content >= 0 else None,
                    camera if camera >= 0 else None,
                    pose_class if pose_class >= 0 else None,
                    self.people[pose_of] if pose_of >= 0 else None,
                    self.members[member],
                )

    def named_by(self, columns: Asked) -> pa.Table:
        """What the samples with these ``columns`` are named by, as `Naming` takes it."""
        ids = self.people.rows.select(["image_id"])
        values = {
            "image_id": ids.take(nullable(columns.content)).column(0),
            "pose_image_id": ids.take(nullable(columns.pose_of)).column(0),
            **{name: nullable(getattr(columns, name)) for name in ("target_camera", "pose_class", "draw")},
        }
        generator = pa.DictionaryArray.from_arrays(pa.array(columns.generator), pa.array(self.members, pa.string()))
        return pa.table({"generator": generator, **values})


def nullable(numbers: Numbers) -> pa.Array[Any]:
    """int32 with nulls in place of `NOBODY`."""
    return pa.array(numbers.astype(np.int32), mask=numbers < 0)


@dataclass(frozen=True)
class Naming:
    """What all samples of a plan are named by; picklable.

    Name and seed follow from the settings that decide, the digest of the sample's generator, and what it asks for.
    """

    common: Mapping[str, tuple[str, ...]]
    """By the generators' names."""
    seed: int

    def names(self, samples: pa.Table) -> list[bytes]:
        """The 16 bytes of each one's ``sample_id``; ``samples`` have the columns of `Samples.named_by`."""
        return self._digests(samples, "sample")

    def seeds(self, samples: pa.Table) -> NDArray[np.int64]:
        """``(N,)``, in [0, 2**63), as `pipeline.common.digests.content_seed` makes them."""
        return (leading(self._digests(samples, "draw", self.seed)) >> np.uint64(1)).astype(np.int64)

    def _digests(self, samples: pa.Table, *purpose: str | int) -> list[bytes]:
        begun = {member: content_hash(*purpose, *common) for member, common in self.common.items()}
        by_member = _each(samples.column("generator"), begun.__getitem__)
        parts = [_each(samples.column(name), partial(_part, _NOTHING.get(name, ""))) for name in _ASKED_FOR]
        found = []
        for common, part in zip(by_member, map(b"".join, zip(*parts, strict=True)), strict=True):
            digest = common.copy()
            digest.update(part)
            found.append(digest.digest())
        return found


def _each(column: pa.ChunkedArray[Any], make: Callable[[Any], T]) -> list[T]:
    """What ``make`` makes of each value, called once for equal ones."""
    whole = column.combine_chunks()
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode("encode")
    made = [make(value) for value in encoded.dictionary.to_pylist()]
    return [made[place] for place in encoded.indices.to_pylist()]


def _part(nothing: str, value: str | int | None) -> bytes:
    """``value`` as it goes into an id; ``nothing`` for None."""
    return id_part(nothing if value is None else value)


def id_parts(digests: list[bytes]) -> bytes:
    """All of 16 bytes in hexadecimal, as they go into an id."""
    words = np.frombuffer(b"".join(digests).hex().encode(), np.uint8).reshape(-1, 32)
    length = np.frombuffer(id_part("0" * 32)[:8], np.uint8)
    return np.hstack([np.broadcast_to(length, (len(words), 8)), words]).tobytes()


def leading(digests: list[bytes]) -> NDArray[np.uint64]:
    """The first eight bytes of 16 as numbers: where they differ they sort as the whole in hexadecimal does."""
    return np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2)[:, 0].astype(np.uint64)


def sorted_numbers(samples: Samples, naming: Naming, progress: Progress) -> tuple[NDArray[np.uint32], Numbers]:
    """The numbers of ``samples`` by (generator, identity, sample id), and how many each generator has.

    Eight bytes a sample: the numbers are dealt to their generators and identities, each with as much of its name as
    fits beside it, and sorted there. Where that does not tell two names apart, the whole does.
    """
    identities = len(samples.people.identities) + 1
    sizes = np.zeros(len(samples.members) * identities, np.int64)
    for _, columns in samples.chunks():
        groups, found = np.unique(_groups(samples, columns), return_counts=True)
        sizes[groups] += found
    bits = np.uint64(samples.count.bit_length())
    keys = np.empty(sizes.sum(), np.uint64)
    ends = np.cumsum(sizes)
    free = ends - sizes
    for numbers, columns in samples.chunks():
        names = leading(naming.names(samples.named_by(columns)))
        groups = _groups(samples, columns)
        order = np.argsort(groups, kind="stable")
        dealt, firsts, found = np.unique(groups[order], return_index=True, return_counts=True)
        places = np.repeat(free[dealt] - firsts, found) + np.arange(len(order))
        keys[places] = (names[order] >> bits << bits) | numbers[order].astype(np.uint64)
        free[dealt] += found
        progress.advance(len(numbers))
    for group in np.flatnonzero(sizes > 1).tolist():
        keys[ends[group] - sizes[group] : ends[group]].sort()
    _settle_ties(keys, bits, ends, samples, naming)
    return _numbers_alone(keys, bits), sizes.reshape(-1, identities).sum(axis=1)


def _numbers_alone(keys: NDArray[np.uint64], bits: np.uint64) -> NDArray[np.uint32]:
    """The numbers in ``keys``, in the first half of their memory; the other half is given back."""
    rows = len(keys)
    for start in range(0, rows, AT_A_TIME):
        numbers = keys[start : start + AT_A_TIME] & ((np.uint64(1) << bits) - np.uint64(1))
        keys.view(np.uint32)[start : start + len(numbers)] = numbers
    keys.resize((rows + 1) // 2, refcheck=False)
    return keys.view(np.uint32)[:rows]


def _groups(samples: Samples, columns: Asked) -> Numbers:
    """Of generator and identity; who shows nobody comes last."""
    identities = len(samples.people.identities) + 1
    return columns.generator * identities + samples.people.ranks[columns.shown]


def _settle_ties(keys: NDArray[np.uint64], bits: np.uint64, ends: Numbers, samples: Samples, naming: Naming) -> None:
    """Sort by their whole names those that begin alike; equal ones by their numbers."""
    pairs = [
        start + np.flatnonzero(np.diff(keys[start : start + AT_A_TIME + 1] >> bits) == 0)
        for start in range(0, len(keys), AT_A_TIME)
    ]
    first = np.concatenate([np.empty(0, np.int64), *pairs])
    first = first[~np.isin(first + 1, ends)]
    places = np.union1d(first, first + 1)
    if not len(places):
        return
    numbers = keys[places] & ((np.uint64(1) << bits) - np.uint64(1))
    names = naming.names(samples.named_by(samples.columns(numbers.astype(np.int64))))
    whole = np.frombuffer(b"".join(names), ">u8").reshape(-1, 2)
    runs = np.cumsum(~np.isin(places - 1, first))
    keys[places] = keys[places][np.lexsort((whole[:, 1], whole[:, 0], runs))]
