"""What the report is put together from: scores, counts, pictures."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import polars as pl
import pytest
from PIL import Image

from manifests.common.thumbnails import encode, open_image
from manifests.format.schema import LABEL_RULES
from manifests.format.skeleton import LIMB_HUES
from manifests.showing.report import tables
from manifests.showing.report.pictures import cut_out, limbs
from manifests.showing.report.scores import histogram, known_scores
from manifests.showing.report.title import listed
from tests.manifests.showing.report.conftest import keypoints


@pytest.mark.parametrize(
    ("names", "told"),
    [(["a"], "a"), (["a", 2], "a and 2"), (["a", "b", "c"], "a, b and c"), (list("abcde"), "a, b, c and 2 more")],
)
def test_names_are_listed(names: list[object], told: str) -> None:
    assert listed(names) == told


def test_scores_that_tell_most_come_first() -> None:
    values = {"sharpness": [1.0], "made_up": [2.0], "reliability": [0.5], "pose_error": [None], "style_shift": [np.nan]}
    frame = pl.DataFrame(values, schema=dict.fromkeys(values, pl.Float32))
    found = known_scores(frame, list(values))
    assert [(score.name, score.better) for score in found] == [
        ("reliability", "high"),
        ("sharpness", "high"),
        ("made_up", None),
    ]
    assert found[2].title == "Made up"


def test_a_histogram_holds_every_known_value() -> None:
    values = [*np.linspace(-1, 3, 1000).tolist(), None, float("nan"), float("inf")]
    frame = pl.DataFrame({"style_shift": values})
    chart = histogram(frame, known_scores(frame, ["style_shift"])[0])
    assert (chart.rows, chart.low, chart.high) == (1000, -1.0, 3.0)
    assert chart.median == pytest.approx(1.0)
    assert chart.quartiles == pytest.approx((0.0, 2.0))
    assert (chart.place(-1.0), chart.place(1.0), chart.place(3.0)) == (0.0, 0.5, 1.0)
    # Equal bars: 1000 values in 28 bins.
    assert min(chart.bars) == pytest.approx(35 / 36)


def test_a_histogram_of_one_value_has_one_bar() -> None:
    frame = pl.DataFrame({"style_shift": [0.25, 0.25]})
    chart = histogram(frame, known_scores(frame, ["style_shift"])[0])
    assert [bar for bar in chart.bars if bar] == [1.0]
    assert chart.place(0.25) == 0.5


def test_every_label_rule_is_explained() -> None:
    assert set(tables._RULES) == set(LABEL_RULES)


def test_heat_levels_and_their_limits() -> None:
    frame = pl.DataFrame({"camera": [1] * 10 + [2, 2, 3], "identity": ["a"] * 10 + ["a", "b", None]})
    heat = tables.heat(frame, "camera", "identity")
    assert heat is not None
    assert heat.across == ["a", "b"]
    assert heat.lines == [("1", [(10, 5), (0, 0)]), ("2", [(1, 1), (1, 1)])]
    many = pl.DataFrame({"camera": [1] * 61, "identity": [str(number) for number in range(61)]})
    assert tables.heat(many, "camera", "identity") is None
    assert tables.heat(frame.clear(), "camera", "identity") is None
    even = tables.heat(frame.unique(), "camera", "identity")
    assert even is not None
    assert {level for _, cells in even.lines for rows, level in cells if rows} == {3}


def test_cameras() -> None:
    frame = pl.DataFrame({"camera": [2, 2, 2, 1, None], "identity": ["a", "a", "b", None, "a"]})
    lines = tables.camera_lines(frame)
    assert [(line.camera, line.rows, line.identities, line.spread) for line in lines] == [
        ("1", 1, 0, None),
        ("2", 3, 2, (1, 1.5, 2)),
        ("not known", 1, 1, (1, 1.0, 1)),
    ]
    assert sum(line.rows for line in lines) == frame.height
    assert tables.cameras_by_identity(frame) == [(1, 2)]


def test_long_lists_of_values_are_cut_and_still_add_up() -> None:
    (card,) = tables.count_cards({"domain": {str(n): n for n in range(1, 12)}, "camera": {"1": 66}}, {})
    assert card.title == "Domain"
    assert card.values[0] == ("11", 11, 1.0)
    assert (card.more, card.more_rows) == (3, 1 + 2 + 3)
    assert sum(rows for _, rows, _ in card.values) + card.more_rows == 66


def test_thumbnails_are_small_and_keep_their_shape() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (400, 1000), "red").save(stream, "JPEG")
    small = open_image(stream.getvalue())
    assert small is not None
    assert small.size == (77, 192)
    assert base64.b64decode(encode(small).partition(",")[2])[8:12] == b"WEBP"


def test_what_is_no_sensible_picture_is_not_opened() -> None:
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    for data in (None, b"", b"text", b"\x89PNG\r\n\x1a\n" + chunk):
        assert open_image(data) is None


def test_a_mask_keeps_the_person_and_darkens_the_place() -> None:
    mask = Image.fromarray(np.repeat([[False] * 48 + [True] * 48], 192, axis=0))
    pixels = np.asarray(cut_out(Image.new("RGB", (8, 16), (200, 100, 50)), mask))
    assert pixels.shape == (192, 96, 3)
    assert pixels[90, 90].tolist() == [200, 100, 50]
    around = pixels[90, 5]
    assert around.max() < 50
    assert around.min() == around.max(), "grey"


def test_limbs_of_unseen_joints_are_left_out() -> None:
    points = keypoints()
    assert len(limbs(points)) == len(LIMB_HUES)
    points[16]["score"] = 0.1
    points[15]["x"] = float("nan")
    assert len(limbs(points)) == len(LIMB_HUES) - 2
    assert limbs(points[:5]) == limbs(None) == []
