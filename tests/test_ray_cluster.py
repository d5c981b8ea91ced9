"""The cluster file is valid for the Ray that we pin, and its node types hold every stage that we declare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.cluster.resources import GIB, STAGES, actors_that_fit

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "ray_cluster.yaml").read_text()))


def test_it_fits_rays_own_schema(cluster: dict[str, Any]) -> None:
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    assert list(jsonschema.Draft7Validator(schema).iter_errors(cluster)) == []
    assert list(jsonschema.Draft7Validator(schema).iter_errors({**cluster, "max_workers": "many"}))


def test_the_head_computes_nothing_and_each_stage_has_a_node_type(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    assert types[cluster["head_node_type"]]["resources"]["CPU"] == 0
    # Memory is read from the machine at run time; the smallest of the two instance types has 32 GiB.
    nodes = [{**kind["resources"], "memory": 0.6 * 32 * GIB} for name, kind in types.items() if name != "head"]
    for stage, needs in STAGES.items():
        assert actors_that_fit(needs, nodes) >= 1, stage
