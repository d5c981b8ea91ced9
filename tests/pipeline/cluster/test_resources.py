"""A stage that cannot be placed ends in one line, soon; one that can starts with as many actors as fit."""

from __future__ import annotations

import pytest

from manifests.errors import UserError
from pipeline.cluster.resources import GIB, STAGES, StageResources, actors_that_fit, stage_resources, wait_for_placement

CPU_NODE = {"CPU": 8.0, "memory": 16.0 * GIB}
GPU_NODE = {"CPU": 16.0, "GPU": 2.0, "memory": 64.0 * GIB}


def test_actors_are_counted_node_by_node() -> None:
    assert actors_that_fit(StageResources(cpus=3), [CPU_NODE, CPU_NODE]) == 4
    assert actors_that_fit(StageResources(cpus=4, gpus=1), [CPU_NODE, GPU_NODE]) == 2
    assert actors_that_fit(StageResources(cpus=0.5), [CPU_NODE]) == 16
    assert actors_that_fit(StageResources(cpus=1, memory=10 * GIB), [CPU_NODE]) == 1
    assert actors_that_fit(StageResources(cpus=9), [CPU_NODE]) == 0


def test_a_growing_cluster_is_waited_for() -> None:
    grown = iter([[CPU_NODE], [CPU_NODE], [CPU_NODE, GPU_NODE]])
    needs = StageResources(cpus=1, gpus=1)
    assert wait_for_placement("synthesize", needs, lambda: next(grown), sleep=lambda seconds: None) == 2


def test_what_cannot_be_placed_says_what_is_needed_and_what_there_is() -> None:
    with pytest.raises(UserError) as caught:
        wait_for_placement("synthesize", StageResources(cpus=4, gpus=1), lambda: [CPU_NODE], patience_seconds=0)
    message = str(caught.value)
    assert "needs 4 CPU, 1 GPU on one node" in message
    assert "has 8 CPU, 16.0 GiB memory" in message
    assert "\n" not in message


def test_every_stage_declares_both_devices() -> None:
    stages = {stage for stage, _ in STAGES}
    for stage in stages:
        assert stage_resources(stage, "cpu").gpus == 0
        assert stage_resources(stage, "cuda:0").gpus > 0


def test_more_workers_than_fit_are_refused_where_the_engine_would_wait_for_ever() -> None:
    one = StageResources(cpus=4)
    assert wait_for_placement("train", one, lambda: [CPU_NODE], patience_seconds=0, count=2) == 2
    with pytest.raises(UserError, match="asked for 3 workers of 4 CPU each, the cluster holds 2; ask for fewer"):
        wait_for_placement("train", one, lambda: [CPU_NODE], patience_seconds=0, count=3)
