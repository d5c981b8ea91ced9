"""The pictures of a data set by their digests, kept between commands in the user's cache, never in the data set.

What is kept is no picture but row numbers, SHA-256 of pixels as they decode, and the digests of
`manifests.detecting.similar`: 300 bytes a picture. There is one file for each place of a data set; another state of the
data set, as after an erasure, takes the place of the last when it is next asked.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from manifests.common.pictures import PictureError, decode_picture
from manifests.common.replacing import write_whole
from manifests.detecting.similar import LEAST_SIDE, SAME, WINDOWS, Pixels, difference, digests, nearest
from manifests.errors import UserError
from manifests.reading.dataset import Dataset

_FORM = b"1"
"""Changes with the digests: what was kept in another form is not read."""
_FACTS = ("sample_id", "recipe", "recipe_version", "plan_id", "sources")


class Match(NamedTuple):
    """A row whose picture it is: by ``bytes``, by ``pixels``, or ``similar`` with so much difference (0 to 255)."""

    by: str
    dataset: str
    row: dict[str, Any]
    difference: float = 0.0


class Known:
    """One data set of generated pictures, ready to be asked.

    Raises:
        UserError: it holds other pictures than generated ones.
    """

    def __init__(self, dataset: Dataset) -> None:
        if dataset.kind != "synthetic":
            raise UserError(f"{dataset.uri} is a {dataset.kind} data set: --in takes data sets of generated images")
        self.dataset = dataset
        self._found: dict[str, dict[str, int]] = {}

    def find(self, data: bytes, picture: Pixels) -> Match | None:
        """The row whose image file is ``data``, or shows ``picture``, its decoded pixels, or else one very like it."""
        place = self._numbers("image_sha256").get(hashlib.sha256(data).hexdigest())
        if place is not None:
            return Match("bytes", self.dataset.uri, self._row(place, _FACTS))
        same = np.flatnonzero((self._index.pixels == _sha256(picture)).all(axis=1))
        if len(same):
            return Match("pixels", self.dataset.uri, self._row(int(same[0]), _FACTS))
        if min(picture.shape[:2]) < LEAST_SIDE:
            return None
        for place, window in nearest(digests(picture, 1)[0], self._index.digests):
            row = self._row(place, ("image", *_FACTS))
            known = decode_picture((row.pop("image") or {}).get("bytes") or b"")
            if (far := difference(picture, known, WINDOWS[window])) <= SAME:
                return Match("similar", self.dataset.uri, row, round(far, 2))
        return None

    def sample(self, sample_id: str) -> Match | None:
        """The row of that id."""
        place = self._numbers("sample_id").get(sample_id)
        return None if place is None else Match("sample_id", self.dataset.uri, self._row(place, _FACTS))

    def _numbers(self, column: str) -> dict[str, int]:
        """Row numbers by what the rows have there."""
        if column not in self._found:
            # Not through polars, which would import pandas for it, and that takes longer than all else here.
            values = (value for table in self.dataset.shards([column]) for value in table.column(column).to_pylist())
            self._found[column] = {value: number for number, value in enumerate(values)}
        return self._found[column]

    @cached_property
    def _index(self) -> _Index:
        place = _kept_at(self.dataset)
        key = _FORM + bytes.fromhex(self.dataset.digest())
        found = _read(place, key)
        if found is None:
            found = _index_of(self.dataset)
            _keep(place, key, found)
        return found

    def _row(self, number: int, columns: tuple[str, ...]) -> dict[str, Any]:
        for entry in self.dataset.snapshot.files:
            if number < entry.rows:
                break
            number -= entry.rows
        with self.dataset.open(entry) as shard:
            starts = np.cumsum([0, *shard.group_rows])
            group = int(np.searchsorted(starts, number, side="right")) - 1
            row: dict[str, Any] = shard.read_group(group, columns).slice(number - int(starts[group]), 1).to_pylist()[0]
        return row


class _Index(NamedTuple):
    """Of every row: SHA-256 of its pixels ``(N, 32)`` and its digests ``(N, windows, 2)``."""

    pixels: NDArray[np.uint8]
    digests: NDArray[np.uint64]


def _sha256(picture: Pixels) -> NDArray[np.uint8]:
    size = np.array(picture.shape[:2], "<i8").tobytes()
    return np.frombuffer(hashlib.sha256(size + picture.tobytes()).digest(), np.uint8)


def _index_of(dataset: Dataset) -> _Index:
    """Read and decode every picture; one row group is in memory at a time."""
    pixels = np.zeros((dataset.snapshot.rows, 32), np.uint8)
    seen = np.zeros((dataset.snapshot.rows, len(WINDOWS), 2), np.uint64)
    with tqdm(total=len(seen), unit=" images", desc=f"digests of {dataset.uri}", disable=None) as progress:
        for number, data in enumerate(_images(dataset)):
            try:
                picture = decode_picture(data)
            except PictureError:  # `validate` tells of it
                continue
            pixels[number], seen[number] = _sha256(picture), digests(picture)
            progress.update()
    return _Index(pixels, seen)


def _images(dataset: Dataset) -> Iterator[bytes]:
    for entry in dataset.snapshot.files:
        with dataset.open(entry) as shard:
            for group in range(len(shard.group_rows)):
                for image in shard.read_group(group, ["image"]).column("image"):
                    yield (image.as_py() or {}).get("bytes") or b""


def _kept_at(dataset: Dataset) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = dataset.uri if "://" in dataset.uri else str(Path(dataset.uri).resolve())
    return cache / "reid-synth" / "pictures" / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.npz"


def _read(place: Path, key: bytes) -> _Index | None:
    """What is kept there under that key; nothing where it is damaged."""
    try:
        with np.load(place) as kept:
            return _Index(kept["pixels"], kept["digests"]) if kept["key"].tobytes() == key else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(place: Path, key: bytes, index: _Index) -> None:
    content = io.BytesIO()
    np.savez(content, key=np.frombuffer(key, np.uint8), **index._asdict())
    try:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(place, content.getvalue())
    except OSError:  # a home that cannot be written to: it is worked out again next time
        return
