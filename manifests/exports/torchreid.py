"""A Market-1501 export as a data set of torchreid (0.2.5 and later), which trains on images in folders.

    from manifests.exports import torchreid as synthetic

    synthetic.register("synthetic", "exports/market-as-ours")
    torchreid.data.ImageDataManager(root="reid-data", sources="synthetic", targets="dukemtmcreid")

torchreid learns one person an image: soft labels stay in ``labels.parquet``, and images that show nobody in particular
are left out of training. It takes the people of two ``sources`` for different ones: to train on real and synthetic
images of the same people, put the export's ``bounding_box_train`` into the real set's, whose numbers it keeps.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from manifests.errors import UserError
from manifests.exports.market1501 import LABELS
from manifests.exports.market1501_names import JUNK, NOBODY

Item = tuple[str, int, int]
"""Path of an image, number of its person, number of its camera: what torchreid knows of an image."""


def register(name: str, folder: str | Path) -> None:
    """Make the Market-1501 export at ``folder`` known to torchreid as ``name``, for its data managers.

    Raises:
        UserError: ``folder`` is no export, or has nothing to train on.
        ValueError: torchreid has a data set of that name.
    """
    import torchreid

    _items(Path(folder))
    torchreid.data.register_image_dataset(name, partial(image_dataset, str(Path(folder).absolute())))


def image_dataset(folder: str | Path, combineall: bool = False, **options: Any) -> Any:
    """The export at ``folder`` as a `torchreid.data.ImageDataset`, which takes ``options``.

    Training people are numbered from 0 in the order of their numbers in file names; query and gallery keep those
    numbers, distractors being 0. An export without query or gallery is for training only: as in torchreid's own such
    sets its first image stands for both. ``combineall`` trains on query and gallery too, without distractors.

    Raises:
        UserError: ``folder`` is no export, or has nothing to train on.
    """
    import torchreid

    train, query, gallery = _items(Path(folder))
    if not (query and gallery):
        query, gallery, combineall = train[:1], train[:1], False
    elif combineall:
        gallery = [item for item in gallery if item[1] != NOBODY]
    return torchreid.data.ImageDataset(train, query, gallery, combineall=combineall, **options)


def _items(folder: Path) -> tuple[list[Item], list[Item], list[Item]]:
    """Images of the train, query and gallery split."""
    if not (folder / LABELS).is_file():
        raise UserError(
            f"{folder} is no Market-1501 export: it has no {LABELS}; write one with `export --to market1501`"
        )
    rows = pl.read_parquet(folder / LABELS, columns=["file", "number", "camera", "split"])
    camera = pl.col("camera").fill_null(-1)  # one that is not known is one of its own
    shown = rows.filter(pl.col("number") != JUNK).with_columns(
        path=pl.lit(f"{folder.absolute()}/") + pl.col("file"), camera=camera.rank("dense").cast(pl.Int64) - 1
    )
    train = shown.filter((pl.col("split") == "train") & (pl.col("number") != NOBODY))
    if train.is_empty():
        raise UserError(f"{folder} has no training image of a known person: torchreid has nothing to learn there")
    train = train.with_columns(number=pl.col("number").rank("dense").cast(pl.Int64) - 1)
    splits = (train, *(shown.filter(pl.col("split") == split) for split in ("query", "gallery")))
    first, second, third = (one.select("path", "number", "camera").rows() for one in splits)
    return first, second, third
