"""Pictures of a synthetic data set: what each image was made from beside what was made."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from manifests.common.replacing import write_whole
from manifests.format.annotation_values import read_mask
from manifests.format.skeleton import LEAST_SCORE
from manifests.reading.dataset import Dataset
from pipeline.annotation.annotations import keypoint_array
from pipeline.common.images import BoolMask, ImageError, RgbImage, draw_contact_sheet, encode, resize
from pipeline.common.row_images import PICTURE, decode_row, image_of
from pipeline.common.skeletons import draw_limbs, draw_skeleton

_MASK_COLOR = np.array([255, 40, 120], np.float32)


def draw_mask(image: RgbImage, mask: BoolMask) -> RgbImage:
    """``image`` with the mask's area tinted and outlined."""
    shown = image.astype(np.float32)
    shown[mask] = 0.55 * shown[mask] + 0.45 * _MASK_COLOR
    picture = np.ascontiguousarray(shown.astype(np.uint8))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, (255, 255, 255), 1)
    return picture


def draw_pose(
    image: RgbImage, keypoints: NDArray[np.float32], least_score: float = LEAST_SCORE, zoom: int = 3
) -> RgbImage:
    """``image`` enlarged ``zoom`` times with limbs and joints of ``keypoints`` (17, 3) above ``least_score``."""
    height, width = image.shape[:2]
    picture = np.ascontiguousarray(resize(image, height * zoom, width * zoom))
    enlarged = keypoints * np.array([zoom, zoom, 1], np.float32)
    draw_limbs(picture, enlarged, zoom, least_score)
    for x, y, score in enlarged:
        if score >= least_score:
            cv2.circle(picture, (round(float(x) - 0.5), round(float(y) - 0.5)), zoom, (255, 255, 255), -1, cv2.LINE_AA)
    return picture


def translation_sheet(dataset: Dataset, source: Dataset, people: int = 12) -> RgbImage:
    """A row for each of ``people`` samples spread over the data set: source | mask | pose | generated.

    Two people stand side by side in a line of the sheet.
    """
    samples = dataset.scan().select("sample_id").collect().get_column("sample_id")
    rows = _wanted_rows(dataset, pl.col("sample_id").is_in(_spread(samples, people).implode()))
    originals = _originals(source, rows)
    cells: list[list[RgbImage]] = []
    for row in rows:
        made = image_of(row, dataset.uri)
        before = resize(originals[_content(row)], *made.shape[:2])
        # Mask and pose belong to the generated image's frame; only draw 0 shares it with the whole source.
        base = before if row["draw"] == 0 else made
        cells.append([before])
        if row["mask"]:
            cells[-1].append(draw_mask(base, read_mask(row["mask"], row["height"], row["width"])))
        if row["keypoints"]:
            cells[-1].append(draw_pose(base, keypoint_array(row["keypoints"])))
        cells[-1].append(made)
    return draw_contact_sheet([[*left, *right] for left, right in zip(cells[::2], [*cells[1::2], []], strict=False)])


def variations_sheet(dataset: Dataset, source: Dataset, people: int = 8, most: int = 12) -> RgbImage:
    """A line for each of ``people`` source images: source | up to ``most`` images made from it, by camera or pose.

    Where poses were asked for, they stand in a line of their own above what was made.
    """
    digest = pl.col("sources").list.first().struct.field("sha256")
    contents = dataset.scan().select(digest).collect().to_series().unique().sort()
    rows = _wanted_rows(dataset, digest.is_in(_spread(contents, people).implode()))
    lines: list[list[RgbImage]] = []
    for content, image in _originals(source, rows).items():
        made = [row for row in rows if _content(row) == content][:most]
        pictures = [image_of(row, dataset.uri) for row in made]
        before = resize(image, *pictures[0].shape[:2])
        if made[0]["target"]["pose"] is not None:
            size = before.shape[:2]
            skeletons = [draw_skeleton(keypoint_array(row["keypoints"]), *size) for row in made]
            lines.append([np.full_like(before, 255), *skeletons])
        lines.append([before, *pictures])
    return draw_contact_sheet(lines)


def people_sheet(dataset: Dataset, _: Dataset, lines: int = 6, columns: int = 12) -> RgbImage:
    """Generated images alone, spread over the data set: a line for each camera where cameras were asked for."""
    samples = dataset.scan().select("sample_id", camera=pl.col("target").struct.field("camera")).collect()
    cameras = samples.get_column("camera").unique().sort().to_list()
    chosen = [
        _spread(samples.filter(pl.col("camera").eq_missing(camera)).get_column("sample_id"), columns)
        if len(cameras) > 1
        else _spread(samples.get_column("sample_id"), lines * columns)
        for camera in cameras
    ]
    rows = _wanted_rows(dataset, pl.col("sample_id").is_in(pl.concat(chosen).implode()))
    pictures = [image_of(row, dataset.uri) for row in rows]
    return draw_contact_sheet([pictures[start : start + columns] for start in range(0, len(pictures), columns)])


def _spread(values: pl.Series, count: int) -> pl.Series:
    """Up to ``count`` of ``values``, evenly spread."""
    return values.gather(np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)))


def _wanted_rows(dataset: Dataset, wanted: pl.Expr) -> list[dict[str, Any]]:
    """The ``wanted`` rows with what sheets show, ordered by what was asked for."""
    columns = ("sample_id", *PICTURE, "mask", "keypoints", "sources", "target", "draw")
    asked = [pl.col("target").struct.field(name) for name in ("camera", "pose")]
    return dataset.scan().select(columns).filter(wanted).sort(*asked, "draw", maintain_order=True).collect().to_dicts()


def _content(row: dict[str, Any]) -> str:
    """Digest of the image that a row was made from."""
    return str(row["sources"][0]["sha256"])


def _originals(source: Dataset, rows: list[dict[str, Any]]) -> dict[str, RgbImage]:
    """The images that ``rows`` were made from, by digest."""
    wanted = pl.col("image_sha256").is_in(sorted({_content(row) for row in rows}))
    originals = {}
    for row in source.scan().select(PICTURE).filter(wanted).collect().to_dicts():
        with suppress(ImageError):  # another row has the digest and the right bytes: an image was made from it
            originals[row["image_sha256"]] = decode_row(row)
    return originals


def write_picture(path: Path, picture: RgbImage) -> None:
    """Write a PNG whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encode(picture, "png"))
