"""What an arm's generator made, beside what it was made from."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from manifests.reading.dataset import open_dataset
from pipeline.common.images import RgbImage, draw_contact_sheet, encode, resize
from pipeline.common.row_images import PICTURE, image_of
from pipeline.experiments.benchmark.arms import Arm
from pipeline.experiments.benchmark.settings import Bench
from pipeline.training.data import evenly

SHOWN = 14
CELL = 112, 56
"""Height and width of an image in the picture, pixels."""


class Picture(NamedTuple):
    """A PNG, and what stands in its lines."""

    png: bytes
    lines: tuple[str, ...]


def draw_arm(bench: Bench, arm: Arm) -> Picture:
    """A line of images spread over those that the arm made for training, under their sources where they have any."""
    made = open_dataset(str(bench.images_folder(arm) / "train"))
    samples = made.scan().select("sample_id").collect().to_series().sort()
    chosen = samples.gather(evenly(SHOWN, len(samples)))
    digest = pl.col("sources").list.first().struct.field("sha256")
    rows = made.scan().filter(pl.col("sample_id").is_in(chosen.implode())).select(*PICTURE, digest).collect()
    pictures = [image_of(row, made.uri) for row in rows.iter_rows(named=True)]
    lines: dict[str, list[RgbImage]] = {"generated": pictures}
    if not rows["sha256"].has_nulls():
        source = open_dataset(bench.uri("train"))
        wanted = pl.col("image_sha256").is_in(rows["sha256"].implode())
        found = source.scan().select(PICTURE).filter(wanted).collect().iter_rows(named=True)
        originals = {row["image_sha256"]: image_of(row, source.uri) for row in found}
        sources = [resize(originals[digest], *pictures[0].shape[:2]) for digest in rows["sha256"]]
        lines = {"sources": sources, "generated": pictures}
    return Picture(encode(draw_contact_sheet(list(lines.values()), *CELL), "png"), tuple(lines))
