"""Pictures of a synthetic data set: what each image was made from beside what was made."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from manifests.dataset import Dataset
from pipeline.images import BoolMask, RgbImage, decode, decode_mask, draw_contact_sheet, encode, resize

# Joints of the COCO-17 skeleton, by limb.
LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)
_MASK_COLOR = np.array([255, 40, 120], np.float32)


def draw_mask(image: RgbImage, mask: BoolMask) -> RgbImage:
    """``image`` with the mask's area tinted and outlined."""
    shown = image.astype(np.float32)
    shown[mask] = 0.55 * shown[mask] + 0.45 * _MASK_COLOR
    picture = np.ascontiguousarray(shown.astype(np.uint8))
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, (255, 255, 255), 1)
    return picture


def draw_pose(image: RgbImage, keypoints: NDArray[np.float32], least_score: float = 0.3, zoom: int = 3) -> RgbImage:
    """``image`` enlarged ``zoom`` times with limbs and joints of ``keypoints`` (17, 3) above ``least_score``."""
    height, width = image.shape[:2]
    picture = np.ascontiguousarray(resize(image, height * zoom, width * zoom))
    places = [(round(x * zoom), round(y * zoom)) for x, y, _ in keypoints]
    seen = keypoints[:, 2] >= least_score
    for number, (first, second) in enumerate(LIMBS):
        if seen[first] and seen[second]:
            hue = np.array([[[number * 180 // len(LIMBS), 220, 255]]], np.uint8)
            color = cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0].tolist()
            cv2.line(picture, places[first], places[second], color, zoom, cv2.LINE_AA)
    for place, shown in zip(places, seen, strict=True):
        if shown:
            cv2.circle(picture, place, zoom, (255, 255, 255), -1, cv2.LINE_AA)
    return picture


def translation_sheet(dataset: Dataset, source: Dataset, people: int = 12) -> RgbImage:
    """A row for each of ``people`` samples spread over the data set: source | mask | pose | generated.

    Two people stand side by side in a line of the sheet.
    """
    ids = dataset.scan().select("sample_id").collect().get_column("sample_id").to_list()
    chosen = [ids[int(place)] for place in np.linspace(0, len(ids) - 1, min(people, len(ids)))]
    columns = ("sample_id", "image", "mask", "keypoints", "sources", "draw")
    rows = dataset.scan().select(columns).filter(pl.col("sample_id").is_in(chosen)).collect().to_dicts()
    digests = [row["sources"][0]["sha256"] for row in rows]
    originals = source.scan().select("image_sha256", "image").filter(pl.col("image_sha256").is_in(digests)).collect()
    by_digest = {row["image_sha256"]: row["image"]["bytes"] for row in originals.to_dicts()}
    cells: list[list[RgbImage]] = []
    for row in rows:
        made = decode(row["image"]["bytes"])
        before = resize(decode(by_digest[row["sources"][0]["sha256"]]), *made.shape[:2])
        # Mask and pose belong to the generated image's frame; only draw 0 shares it with the whole source.
        base = before if row["draw"] == 0 else made
        cells.append([before])
        if row["mask"]:
            cells[-1].append(draw_mask(base, decode_mask(row["mask"])))
        if row["keypoints"]:
            points = np.array([[p["x"], p["y"], p["score"]] for p in row["keypoints"]], np.float32)
            cells[-1].append(draw_pose(base, points))
        cells[-1].append(made)
    return draw_contact_sheet([[*left, *right] for left, right in zip(cells[::2], [*cells[1::2], []], strict=False)])


def write_picture(path: Path, picture: RgbImage) -> None:
    """Write a PNG whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_bytes(encode(picture, "png"))
    temporary.replace(path)
