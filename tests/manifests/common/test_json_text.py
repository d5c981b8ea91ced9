"""JSON as the standard has it: no NaN is written, and a place is named."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from manifests.common.json_text import json_text, lenient_json, write_json
from manifests.errors import UserError

VALUE = {"metrics": {"fid": 1.5, "shares": [0.1, math.nan]}, "name": "a"}


def test_the_place_is_named_and_nothing_written(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    with pytest.raises(UserError, match=r"^nothing was written: metrics\.shares\.1 is not a finite number$"):
        write_json(path, VALUE)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="the value is not"):
        json_text(-math.inf)
    assert write_json(path, {"b": 1, "a": 2}, sort_keys=True).read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'
    assert [one.name for one in tmp_path.iterdir()] == ["card.json"]


def test_what_others_wrote_is_shown_with_nulls() -> None:
    assert json.loads(lenient_json(VALUE)) == {"metrics": {"fid": 1.5, "shares": [0.1, None]}, "name": "a"}
    assert lenient_json((1.5, math.inf)) == "[1.5, null]"
