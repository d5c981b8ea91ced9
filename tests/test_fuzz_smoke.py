"""A tiny slice of `make fuzz`, and that it finds faults that were planted."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from manifests.errors import UserError
from tests.fuzz import hunt as hunting
from tests.fuzz import planted
from tests.fuzz.__main__ import TARGETS
from tests.fuzz.hunt import hunt
from tests.fuzz.isolation import explore
from tests.fuzz.mutations import mutated_bytes, mutated_json
from tests.fuzz.target import Reader, Target

CASES = 25
RECORD = {"rows": 3, "path": "data/0", "reasons": {"dark": 1}}


@pytest.mark.parametrize("name", TARGETS)
def test_each_reader_takes_or_refuses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = hunt(TARGETS[name].set_up(), 0, time.monotonic() + 60, cases=CASES)
    assert found.failures == {}
    assert found.cases >= CASES


def read_careless(data: bytes) -> None:
    """A reader that knows broken JSON, and nothing of wrong types."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        raise UserError("no JSON") from None
    if isinstance(record, dict):
        assert int(record.get("rows") or 0) < 10**20


def found_in(strategy: Any, read: Any, cases: int = 300) -> list[str]:
    return sorted(hunt(Reader(strategy, read), 0, time.monotonic() + 60, cases=cases).failures)


def test_planted_faults_are_found() -> None:
    places = found_in(mutated_json(RECORD), read_careless)
    assert {place.partition(" ")[0] for place in places} >= {
        "TypeError",
        "ValueError",
        "OverflowError",
        "AssertionError",
    }


def test_a_lying_header_is_found() -> None:
    def read(data: bytes) -> None:
        if int.from_bytes(data[4:8], "big") > 1 << 30:
            raise MemoryError("a picture of a gigabyte")

    (place,) = found_in(mutated_bytes(b"\x00" * 16), read)
    assert place.startswith("MemoryError")


def test_a_failure_is_kept_once_and_with_a_small_case() -> None:
    def read(numbers: list[int]) -> None:
        if sum(numbers) > 1000:
            raise KeyError("too much")

    found = hunt(Reader(st.lists(st.integers(0, 2000)), read), 0, time.monotonic() + 60, cases=600)
    (text,) = found.failures.values()
    assert text.endswith("case [1001]")
    assert found.cases >= 600


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hunting, "CASE_SECONDS", 0.2)

    def read(number: int) -> None:
        if number == 3:
            time.sleep(10)

    (place,) = found_in(st.integers(0, 9), read, cases=20)
    assert place.startswith("HangError")


@pytest.mark.parametrize(("plant", "said"), [(planted.crash, "died with status -6"), (planted.flood, "MemoryError")])
def test_a_crash_and_a_flood_of_memory_are_findings(plant: Any, said: str, tmp_path: Path) -> None:
    (text,) = explore(Target(1, plant), 0, 0.5, tmp_path, crashes=1).failures.values()
    assert said in text
    assert "case 7" in text
