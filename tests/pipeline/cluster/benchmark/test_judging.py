"""What the benchmark measures of generated images besides retrieval."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from manifests.format.soft_labels import ClassMap
from pipeline.cluster.benchmark import judging
from pipeline.cluster.benchmark.judging import Judged, judged, recognised_rows
from pipeline.experiments.benchmark.gaps import DOMAINS
from pipeline.experiments.benchmark.settings import Bench, BenchmarkSettings, Storage
from pipeline.reid.sets import load_sets
from tests.conftest import ToySources


def test_people_are_recognised_by_name(
    toy_sources: ToySources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = load_sets([toy_sources.market], 64, 32)
    names, people = sets.classes.identities, sets.images.people
    assert people is not None
    guesses = len(names) - 1 - people  # the network numbers people the other way round
    guesses[::2] = (guesses[::2] + 1) % len(names)
    network = SimpleNamespace(
        people=ClassMap(tuple(reversed(names))), logits=lambda images: np.eye(len(names), dtype=np.float32)[guesses]
    )
    monkeypatch.setattr(judging, "load_reid", lambda *_: network)
    monkeypatch.setattr(judging, "adapt_norm", lambda _, images: network)
    bench = Bench(BenchmarkSettings(), Storage(tmp_path, tmp_path), 0, DOMAINS)
    found = recognised_rows(bench, toy_sources.market)
    assert found.tolist() == [bool(place % 2) for place in range(len(people))]


def test_both_is_of_the_same_images_and_no_product() -> None:
    recognised = np.array([True, True, False, False, True])
    confidence = np.array([0.1, 0.5, 0.9, 0.6, np.nan])  # the last asks for nothing
    assert judged(recognised, confidence) == Judged(recognised=0.6, moved=0.5, both=0.0)
    assert judged(np.ones(5, np.bool_), confidence) == Judged(1.0, 0.5, 0.5)
    assert judged(None, confidence) == Judged(None, 0.5, None)
    assert judged(recognised, None) == Judged(0.6, None, None)
    assert judged(recognised, np.full(5, np.nan)) == Judged(0.6, None, None), "judges who know none of the targets"
