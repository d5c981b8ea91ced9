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
from pipeline.reid.evaluation import (
    DISTRACTOR,
    JUNK,
    NOT_IN_GALLERY,
    OWN_CAMERA,
    OWN_PICTURE,
    UNKNOWN_CAMERA,
    UNKNOWN_CAMERAS,
    Numbers,
    left_out,
    said_of,
)

_PART = 1024
_LABELS = ["image_sha256", "identity", "camera", "split", "role"]
_SOURCE = list(dict.fromkeys([*PICTURE, *_LABELS]))


@dataclass(frozen=True)
class Labels:
    """Of images to find people in: ``identities`` (N,) int64, numbered from 1 over one set, 0 for a distractor, -1 for
    junk; ``cameras`` (N,) int64, -1 where unknown; ``digests`` of the image files."""

    identities: Numbers
    cameras: Numbers
    digests: tuple[str, ...]


@dataclass(frozen=True)
class People(Labels):
    """Images to find people in: ``images`` (N, H, W, 3) uint8."""

    images: NDArray[np.uint8]


@dataclass(frozen=True)
class PosedImages:
    """Images made of others: ``images`` (N, H, W, 3) uint8; which image shows the person, and in what pose."""

    images: NDArray[np.uint8]
    contents: tuple[str, ...]
    """Digests of the images whose person is shown."""
    poses: tuple[str | None, ...]
    """As in ``target.pose``."""


def with_queries(uri: str, flag: str, count_same_camera: bool = False) -> str:
    """The full ``uri`` given by ``flag``, if a network can be measured there: that comes late, and should not fail.

    Raises:
        UserError: it is no source manifest with queries and a gallery, or no query has an answer there.
    """
    dataset = open_input(uri, "source", flag=flag)
    rows = dataset.read(_LABELS)
    splits = set(rows.column("split").to_pylist())
    if not {"query", "gallery"} <= splits:
        raise UserError(f"{flag} {uri}: a source manifest with queries and a gallery is needed to measure on")
    classes = ClassMap.of(rows.column("identity").to_pylist())
    query, gallery = (_labels(in_splits(rows, [split]).to_pylist(), classes) for split in ("query", "gallery"))
    *_, causes = passed_over(query, gallery, count_same_camera)
    check_answers(f"{flag} {uri}", query, causes)
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
                labels = _labels(part, classes)
                images = decode_images(part, uri, height, width)
                yield split, People(labels.identities, labels.cameras, labels.digests, images)


def _labels(rows: list[dict[str, Any]], classes: ClassMap) -> Labels:
    kinds = {"junk": JUNK, "distractor": DISTRACTOR}
    numbers = [kinds.get(row["role"], classes.number(row["identity"]) + 1) for row in rows]
    cameras = [UNKNOWN_CAMERA if row["camera"] is None else row["camera"] for row in rows]
    digests = tuple(row["image_sha256"] for row in rows)
    return Labels(np.array(numbers, np.int64), np.array(cameras, np.int64), digests)


def passed_over(query: Labels, gallery: Labels, same_camera_counts: bool) -> tuple[Numbers, Numbers, dict[str, int]]:
    """What makes an image of the person no answer where it is that of the query: cameras, (Q,) and (G,), or where the
    same camera counts numbers of pictures, so that none finds its copy. And `left_out` by that."""
    if not same_camera_counts:
        causes = left_out(query.identities, query.cameras, gallery.identities, gallery.cameras)
        return query.cameras, gallery.cameras, causes
    numbers = {digest: number for number, digest in enumerate(dict.fromkeys(query.digests + gallery.digests))}
    asked, shown = (np.array([numbers[digest] for digest in part.digests], np.int64) for part in (query, gallery))
    return asked, shown, left_out(query.identities, asked, gallery.identities, shown, OWN_PICTURE)


def check_answers(where: str, query: Labels, causes: Mapping[str, int]) -> None:
    """Raises UserError where all of ``query`` are `left_out` for these ``causes``."""
    if sum(causes.values()) < np.count_nonzero(query.identities > DISTRACTOR):
        return
    remedy = "are they named alike?" if NOT_IN_GALLERY in causes else ""
    if {UNKNOWN_CAMERAS, OWN_CAMERA} & causes.keys():
        remedy = "--count-same-camera counts images of the query's own camera too"
    raise UserError(f"{where}: no query has an answer in the gallery: {said_of(causes)}{': ' * bool(remedy)}{remedy}")


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
