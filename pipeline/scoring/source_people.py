"""The people of source manifests as a ReID model sees them: whom a synthetic image can show, and strangers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.reading.dataset import Dataset
from manifests.reading.inputs import open_input
from manifests.reading.origins import find_origins
from pipeline.common.finite import naming
from pipeline.common.progress import Progress
from pipeline.common.row_images import PICTURE
from pipeline.measures.reliability import IdentityGallery
from pipeline.reid.data import decode_images
from pipeline.reid.model import ReidModel
from pipeline.scoring.row_facts import person_of

_WHO = ("identity", "split", "role")
_PART = 256
_LEAST_STRANGERS = 4


@dataclass(frozen=True)
class SourcePeople:
    """``numbers`` of people in the gallery by data set and bare name, gallery ``rows`` of images by their SHA-256,
    and the ``splits`` that the people are of."""

    gallery: IdentityGallery
    numbers: dict[tuple[str, str], int]
    rows: dict[str, int]
    splits: tuple[str, ...]


def open_sources(dataset: Dataset, named: Sequence[str]) -> tuple[Dataset, ...]:
    """The source manifests of ``dataset``: those ``named``, else those that its run record names.

    Raises:
        UserError: one is not there or of another kind, or nothing says what they are.
    """
    uris = named or [one.uri for one in find_origins(dataset, None, None).sources]
    if not uris:
        raise UserError(f"no source manifest of {dataset.uri} is where its run record says: name it with --source")
    return tuple(open_input(uri, "source", flag="--source") for uri in uris)


def source_people(
    sources: Sequence[Dataset], digests: Collection[str], model: ReidModel
) -> tuple[SourcePeople, SourcePeople]:
    """The people of the splits that the images of ``digests`` are in, and people for a calibration: those of the other
    splits of the same manifests, whom no training saw, or the same people where fewer than four are seen twice there.

    Raises:
        UserError: as `shown_people`.
    """
    used, splits = _holding(sources, digests)
    people = _embedded(used, splits, model)
    known = [source.read(_WHO) for source in used]
    others = {split for table in known for split in table.column("split").to_pylist()} - splits
    strangers = sum(_seen_twice(_of_people(table, others).column("identity")) for table in known)
    return people, _embedded(used, others, model) if strangers >= _LEAST_STRANGERS else people


def _seen_twice(identities: pa.ChunkedArray) -> int:
    return int((pc.value_counts(identities).field("counts").to_numpy() > 1).sum())


def shown_people(sources: Sequence[Dataset], digests: Collection[str], model: ReidModel) -> SourcePeople:
    """The people of the splits that the images of ``digests`` are in.

    Raises:
        UserError: an image of ``digests`` is in none of ``sources``, they show fewer than two people, or the model's
            features of them are not finite.
    """
    return _embedded(*_holding(sources, digests), model)


def _holding(sources: Sequence[Dataset], digests: Collection[str]) -> tuple[list[Dataset], set[str]]:
    """Those of ``sources`` that hold images of ``digests``, and the splits that these are in."""
    wanted, missing = pa.array(sorted(digests), pa.string()), set(digests)
    used: list[Dataset] = []
    splits: set[str] = set()
    for source in sources:
        table = source.read(["image_sha256", "split"])
        found = table.filter(pc.is_in(table.column("image_sha256"), value_set=wanted))
        if found.num_rows:
            used.append(source)
            splits |= set(found.column("split").to_pylist())
            missing -= set(found.column("image_sha256").to_pylist())
    if missing:
        raise UserError(
            f"{len(missing)} images that rows were made from ({min(missing)[:12]}) are in none of "
            f"{', '.join(one.uri for one in sources)}: name their source manifest with --source"
        )
    return used, splits


def decoded(table: pa.Table, uri: str, height: int, width: int) -> NDArray[np.uint8]:
    """The images of rows of the data set at ``uri``: (N, height, width, 3).

    Raises:
        UserError: one does not decode, or is another than its row says.
    """
    return decode_images(table.select(PICTURE).to_pylist(), uri, height, width)


def rows_of_people(
    sources: Sequence[Dataset], splits: Collection[str], columns: Sequence[str], stage: str
) -> Iterator[tuple[str, pa.Table]]:
    """The rows that show somebody of a name in ``splits``, some at a time: the data set's URI, and of each row
    ``columns`` and the picture."""
    known = [_of_people(source.read(_WHO), splits).num_rows for source in sources]
    with Progress(stage, sum(known)) as progress:
        for source in sources:
            for shard in source.shards(list(dict.fromkeys([*PICTURE, *_WHO, *columns]))):
                table = _of_people(shard, splits)
                for start in range(0, table.num_rows, _PART):
                    part = table.slice(start, _PART)
                    yield source.uri, part
                    progress.advance(part.num_rows)


def _of_people(table: pa.Table, splits: Collection[str]) -> pa.Table:
    inside = pc.is_in(table.column("split"), value_set=pa.array(sorted(splits), pa.string()))
    person = pc.equal(table.column("role"), "person")
    return table.filter(pc.and_(pc.and_(inside, person), pc.is_valid(table.column("identity"))))


def _embedded(sources: Sequence[Dataset], splits: Collection[str], model: ReidModel) -> SourcePeople:
    numbers: dict[tuple[str, str], int] = {}
    rows: dict[str, int] = {}
    features: list[NDArray[np.float32]] = []
    identities: list[int] = []
    for uri, part in rows_of_people(sources, splits, ["dataset_id"], f"people of {', '.join(sorted(splits))}"):
        new = []
        for number, row in enumerate(part.select(["image_sha256", "dataset_id", "identity"]).to_pylist()):
            # Once, however often it is there: an image that is left out must not be vouched for by its copy.
            if row["image_sha256"] not in rows:
                rows[row["image_sha256"]] = len(identities)
                identities.append(numbers.setdefault(person_of(row), len(numbers)))
                new.append(number)
        if new:
            with naming(uri):
                features.append(model.embed(decoded(part.take(new), uri, model.height, model.width)))
    if len(numbers) < 2:
        raise UserError(f"{', '.join(one.uri for one in sources)}: fewer than two people to tell apart")
    gallery = IdentityGallery(np.concatenate(features), np.array(identities, np.int64))
    return SourcePeople(gallery, numbers, rows, tuple(sorted(splits)))
