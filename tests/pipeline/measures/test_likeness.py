"""Copies are found whichever way they face, other people are not, and similar rows lie together on the map."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.measures.likeness import compare, copy_similarities, duplicate_similarity, map_of, mirror_features
from pipeline.reid.model import as_model
from pipeline.reid.network import NetworkSettings, build_network
from tests.pipeline.scoring.paper_people import HEIGHT, WIDTH, drawn


def test_a_copy_and_a_mirrored_copy_repeat_and_another_person_does_not() -> None:
    model = as_model(build_network(NetworkSettings(channels=4), 2), HEIGHT, WIDTH)
    images = np.stack([drawn(person, 0) for person in range(6)])
    images = np.concatenate([images, images[2:3], images[4:5, :, ::-1]])
    features = mirror_features(model, images)
    assert np.linalg.norm(features, axis=1) == pytest.approx(1.0)
    least = duplicate_similarity(copy_similarities(model, images, features))
    assert 0.9 < least < 1
    found = compare(features, least)
    assert found.repeats.tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert (found.uniqueness[[2, 4, 6, 7]] == 0).all()
    assert (found.uniqueness[[0, 1, 3, 5]] > 1 - least).all()


def test_uniqueness_is_one_less_the_greatest_similarity() -> None:
    turned = [np.deg2rad(angle) for angle in (0, 60, 90, 180, 180)]
    features = np.array([(np.cos(angle), np.sin(angle)) for angle in turned], np.float32)
    found = compare(features, least=0.8)
    assert found.uniqueness == pytest.approx([0.5, 1 - np.cos(np.pi / 6), 1 - np.cos(np.pi / 6), 0, 0], abs=1e-6)
    assert found.repeats.tolist() == [0, 0, 1, 0, 1]
    alone = compare(features[:1], least=0.8)
    assert (alone.uniqueness.tolist(), alone.repeats.tolist()) == ([1], [0])


def test_similar_rows_lie_together_on_the_map() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 12)
    features = (np.eye(8)[groups] + rng.normal(0, 0.05, (36, 8))).astype(np.float32)
    places = map_of(features, seed=3)
    assert places is not None
    assert places.shape == (36, 2)
    assert places.min() >= 0
    assert places.max() <= 1
    assert np.ptp(places, axis=0).max() == pytest.approx(1.0)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    apart[np.arange(36), np.arange(36)] = np.inf
    assert (groups[apart.argmin(axis=1)] == groups).mean() > 0.9
    assert (map_of(features, seed=3) == places).all()
    assert map_of(features[:4], seed=3) is None
