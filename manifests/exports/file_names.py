"""File names of exports: each of a form that is checked here, whatever the rows say."""

from __future__ import annotations

import re

from manifests.common.pictures import PictureError, open_picture
from manifests.errors import UserError
from manifests.format.schema import SPLITS
from manifests.reading.dataset import Dataset

_ROW_ID = re.compile(r"[0-9a-f]{32}")
_STEM = re.compile(r"(bounding_box_train|query|bounding_box_test)/(-1|[0-9]{4,})_c[0-9]+s[0-9]+_[0-9]{6,}_[0-9]{2,}")
_SUFFIXES = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "BMP": "bmp", "PPM": "ppm"}


def key_of(dataset: Dataset, row_id: str) -> str:
    """``row_id``, which names the files of its row.

    Raises:
        UserError: it is not the 32 hexadecimal digits that every row of ours has.
    """
    if not _ROW_ID.fullmatch(row_id):
        raise _refused(dataset, row_id, "its id can be no file's name")
    return row_id


def split_of(dataset: Dataset, row_id: str, split: str) -> str:
    """``split``, which names the file or folder of its rows.

    Raises:
        UserError: it is none that is known.
    """
    if split not in SPLITS:
        raise _refused(dataset, row_id, f"{split!r} is no split")
    return split


def stem_of(dataset: Dataset, row_id: str, stem: str | None) -> str:
    """``stem``, folder and name without suffix in the layout of Market-1501.

    Raises:
        UserError: it is none; a row whose split is not known has none.
    """
    if stem is None or not _STEM.fullmatch(stem):
        raise _refused(dataset, row_id, f"split, person, camera, sequence and frame make no name: {stem!r}")
    return stem


def suffix_of(dataset: Dataset, row_id: str, data: bytes) -> str:
    """The suffix of an image file, by what the bytes are: a name may lie.

    Raises:
        UserError: they are no picture.
    """
    try:
        with open_picture(data) as picture:
            return _SUFFIXES[str(picture.format)]
    except PictureError as error:
        raise _refused(dataset, row_id, f"its image is no picture: {error}") from None


def _refused(dataset: Dataset, row_id: str, why: str) -> UserError:
    return UserError(f"{dataset.uri}: row {row_id!r} cannot be exported: {why}; `validate` lists all such rows")
