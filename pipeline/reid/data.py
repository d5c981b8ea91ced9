"""Images of manifests for a ReID network: who is searched for and among whom, a part at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.format.soft_labels import ClassMap
from manifests.reading.inputs import open_input
from pipeline.common.images import resize
from pipeline.common.row_images import PICTURE, image_of
from pipeline.reid.evaluation import DISTRACTOR, JUNK

_PART = 1024
_SOURCE = [*PICTURE, "identity", "camera", "split", "role"]


@dataclass(frozen=True)
class People:
    """Images to find people in: ``images`` (N, H, W, 3) uint8; ``identities`` (N,) int64, numbered from 1 over one
    set, 0 for a distractor, -1 for junk; ``cameras`` (N,) int64, -1 where unknown; ``digests`` of the image files."""

    images: NDArray[np.uint8]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]
    digests: tuple[str, ...]


@dataclass(frozen=True)
class PosedImages:
    """Images made of others: ``images`` (N, H, W, 3) uint8; which image shows the person, and in what pose."""

    images: NDArray[np.uint8]
    contents: tuple[str, ...]
    """Digests of the images whose person is shown."""
    poses: tuple[str | None, ...]
    """As in ``target.pose``."""


def with_queries(uri: str, flag: str) -> str:
    """The full ``uri`` given by ``flag``, if a network can be measured there: that comes late, and should not fail.

    Raises:
        UserError: it is no source manifest with queries and a gallery.
    """
    dataset = open_input(uri, "source", flag=flag)
    splits = set(dataset.read(["split"]).column("split").to_pylist())
    if not {"query", "gallery"} <= splits:
        raise UserError(f"{flag} {uri}: a source manifest with queries and a gallery is needed to measure on")
    return dataset.uri


def stream_people(uri: str, splits: Sequence[str], height: int, width: int) -> Iterator[tuple[str, People]]:
    """The images of ``splits`` (query, gallery) of a source manifest, a part of one split at a time so that a large
    gallery need not fit in memory; one numbering of people for all.

    Raises:
        UserError: no such data set, of another kind, a split that is empty, a broken image.
    """
    dataset = open_input(uri, "source")
    known = in_splits(dataset.read(["identity", "split"]), splits)
    classes = ClassMap.of(known.column("identity").to_pylist())
    for split in splits:
        if split not in known.column("split").to_pylist():
            raise UserError(f"nobody in the {split} split of {uri}")
        for table in dataset.shards(_SOURCE):
            rows = in_splits(table, [split]).to_pylist()
            for start in range(0, len(rows), _PART):
                part = rows[start : start + _PART]
                yield split, _people(part, classes, decode_images(part, uri, height, width))


def _people(rows: list[dict[str, Any]], classes: ClassMap, images: NDArray[np.uint8]) -> People:
    kinds = {"junk": JUNK, "distractor": DISTRACTOR}
    numbers = [kinds.get(row["role"], classes.number(row["identity"]) + 1) for row in rows]
    cameras = [-1 if row["camera"] is None else row["camera"] for row in rows]
    digests = tuple(row["image_sha256"] for row in rows)
    return People(images, np.array(numbers, np.int64), np.array(cameras, np.int64), digests)


def stream_posed(uri: str, contents: Collection[str], height: int, width: int) -> Iterator[PosedImages]:
    """The rows of a synthetic data set that show the person of one of the images ``contents``, a part at a time.

    Raises:
        UserError: no such data set, of another kind, a broken image.
    """
    for table in open_input(uri, "synthetic").shards([*PICTURE, "sources", "target"]):
        shown = [_content(sources) for sources in table.column("sources").to_pylist()]
        wanted = [number for number, digest in enumerate(shown) if digest in contents]
        for start in range(0, len(wanted), _PART):
            part = wanted[start : start + _PART]
            rows = table.take(part).to_pylist()
            digests = (shown[number] or "" for number in part)
            poses = ((row["target"] or {}).get("pose") for row in rows)
            yield PosedImages(decode_images(rows, uri, height, width), tuple(digests), tuple(poses))


def count_posed(uri: str, contents: Collection[str]) -> int:
    """How many rows `stream_posed` gives; raises as it does."""
    shown = open_input(uri, "synthetic").read(["sources"]).column("sources").to_pylist()
    return sum(_content(sources) in contents for sources in shown)


def _content(sources: list[dict[str, Any]]) -> str | None:
    """Digest of the image whose person a row shows; None for a person out of noise."""
    return next((source["sha256"] for source in sources if source["role"] == "content"), None)


def in_splits(table: pa.Table, splits: Sequence[str]) -> pa.Table:
    """The rows of ``splits``."""
    return table.filter(pc.is_in(table.column("split"), value_set=pa.array(splits)))


def decode_images(rows: Sequence[Mapping[str, Any]], uri: str, height: int, width: int) -> NDArray[np.uint8]:
    """The images of ``rows`` (`PICTURE`), one or more, of the set at ``uri``: (N, H, W, 3) uint8.

    Raises:
        UserError: one does not decode, or is another than its row says.
    """
    return np.stack([resize(image_of(row, uri), height, width) for row in rows])
