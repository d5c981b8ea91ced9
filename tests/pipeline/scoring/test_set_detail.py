"""Whether a data set's images are as sharp as real ones of the same place."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from manifests.reading.dataset import Dataset, open_dataset
from pipeline.scoring.set_scores import set_detail
from tests.pipeline.scoring.paper_people import PEOPLE, Laboratory, drawn, synthetic_row, write_made


def made(lab: Laboratory, folder: Path, blur: float = 0.0, rows: int = 60, domain: str = "flat") -> Dataset:
    """Images of training people as they are drawn, or behind a Gaussian of that deviation, pixels."""
    source = open_dataset(lab.source).read(["image_sha256", "identity", "split", "camera"]).to_pylist()
    training = [row for row in source if row["split"] == "train"][:rows]
    images = [drawn(int(row["identity"]), 200 + number) for number, row in enumerate(training)]
    images = [cv2.GaussianBlur(image, (0, 0), blur) if blur else image for image in images]
    pairs = enumerate(zip(training, images, strict=True))
    written = [synthetic_row(number, row, image, domain=domain) for number, (row, image) in pairs]
    return open_dataset(write_made(folder / "made", written, [lab.source], PEOPLE))


def test_as_sharp_as_real_ones_and_blurred(lab: Laboratory, tmp_path: Path) -> None:
    sources = [open_dataset(lab.source)]
    alike = set_detail(made(lab, tmp_path / "alike"), sources, 100, 0)
    assert alike["sharpness"] == pytest.approx(1, abs=0.15)
    assert alike["sharpness_real"] == pytest.approx(1, abs=0.15)
    assert abs(alike["spectrum_worst"]) < 1.5
    blurred = set_detail(made(lab, tmp_path / "blurred", blur=1.0), sources, 100, 0)
    assert blurred["sharpness"] < 0.2
    assert blurred["spectrum_worst"] < -6
    assert blurred["spectrum_0.05"] > blurred["spectrum_0.30"]
    assert blurred["spectrum_worst_real"] == alike["spectrum_worst_real"]


def test_nothing_is_said_of_too_few_or_of_another_place(lab: Laboratory, tmp_path: Path) -> None:
    sources = [open_dataset(lab.source)]
    assert set_detail(made(lab, tmp_path / "few", rows=3), sources, 100, 0) == {}
    assert set_detail(made(lab, tmp_path / "elsewhere", domain="hilly"), sources, 100, 0) == {}
