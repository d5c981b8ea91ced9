"""What the benchmark measures of generated images besides retrieval."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from manifests.format.soft_labels import ClassMap
from pipeline.cluster.benchmark import judging
from pipeline.cluster.benchmark.judging import recognised_share
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
    bench = Bench(BenchmarkSettings(), Storage(tmp_path, tmp_path), 0, DOMAINS)
    found = recognised_share(bench, toy_sources.market)
    assert found == (len(people) // 2) / len(people)
