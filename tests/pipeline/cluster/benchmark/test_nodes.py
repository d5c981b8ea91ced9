"""What a benchmark consists of: each part behind what it needs, and once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipeline.cluster.benchmark.generators import generator_folder
from pipeline.cluster.benchmark.nodes import benchmark_nodes, make_benches
from pipeline.cluster.benchmark.trials import arm_identity
from pipeline.cluster.graph import Node
from pipeline.experiments.benchmark.arms import BASELINE
from pipeline.experiments.benchmark.gaps import find_gaps
from pipeline.experiments.benchmark.records import ArmRecord, write_record
from pipeline.experiments.benchmark.settings import BenchmarkSettings, Storage

STORAGE = Storage(Path("runs"), Path("generators"))


def nodes_of(gaps: list[str], arms: list[str] | None = None, seeds: int = 1, trainings: int = 1) -> list[Node]:
    return benchmark_nodes(
        make_benches(BenchmarkSettings(), STORAGE, range(seeds), find_gaps(gaps, arms or [])), trainings
    )


def test_every_part_stands_behind_what_it_needs_and_logs_apart() -> None:
    nodes = nodes_of([], seeds=2, trainings=2)
    places = {node.name: place for place, node in enumerate(nodes)}
    assert len(places) == len(nodes)
    for place, node in enumerate(nodes):
        assert all(places[need] < place for need in node.needs), node.name
    assert max(Counter(node.log for node in nodes).values()) == 1


def test_one_question_asks_for_no_other_arm() -> None:
    nodes = nodes_of(["few-images"], ["cgan"], seeds=3)
    names = [node.name.removeprefix("seed 0").lstrip(":, ") for node in nodes if node.name.startswith("seed 0")]
    generators = [name for name in names if name.startswith("generator")]
    assert len(generators) == 1
    assert generators[0].startswith("generator cgan-")
    trained = [name for name in names if name.startswith("few-images: ") and "images cgan" not in name]
    assert trained == [f"few-images: {arm}" for arm in ("baseline", "cgan")]


def test_gaps_share_data_and_arms_share_images() -> None:
    names = [node.name for node in nodes_of(["domains", "poses"])]
    assert names.count("seed 0: market-like-train, masks and poses") == 1
    made = [name for name in names if name.startswith("seed 0, poses: images pngan") and " for " not in name]
    assert len(made) == 1, "fused and mixed, from the same images"


def test_poses_fused_by_one_network_ask_for_no_other_of_their_own() -> None:
    names = [node.name for node in nodes_of(["poses"], ["pngan-one-network", "pngan-mean"])]
    fused = next(node for node in nodes_of(["poses"], ["pngan-mean"]) if node.name.endswith(": pngan-mean"))
    assert "seed 0, poses: baseline" in fused.needs
    assert len([need for need in fused.needs if " images pngan" in need]) == 3, "to be judged, of validation and test"
    assert {"seed 0, poses: one-real-network", "seed 0, poses: two-real-networks"} <= set(names)


def test_images_are_scored_once_for_the_arms_that_are_weighed() -> None:
    gaps = find_gaps(["two-cameras"], ["camstyle"], ["weigh_by=reliability", "weigh_by=reliability+synthetic_weight=1"])
    nodes = benchmark_nodes(make_benches(BenchmarkSettings(), STORAGE, [0], gaps), 2)
    (scored,) = [node.name for node in nodes if node.name.endswith(", scored")]
    assert len([node for node in nodes if scored in node.needs]) == 4, "two arms, two trainings"
    assert not [node for node in nodes_of(["two-cameras"], ["camstyle"]) if node.name.endswith(", scored")]


def test_further_trainings_add_only_networks() -> None:
    once, twice = nodes_of(["domains"], ["ptgan"]), nodes_of(["domains"], ["ptgan"], trainings=2)
    added = {node.name for node in twice} - {node.name for node in once}
    assert added == {"seed 0, domains: baseline, training 1", "seed 0, domains: ptgan, training 1"}


def test_a_generator_is_named_by_all_that_decides_it() -> None:
    def folder(settings: BenchmarkSettings, gap: str, recipe: str, seed: int = 0) -> str:
        (bench,) = make_benches(settings, STORAGE, [seed], find_gaps([gap]))
        return generator_folder(bench, recipe).name

    plain = BenchmarkSettings()
    assert folder(plain, "domains", "ptgan") == folder(BenchmarkSettings(reid_epochs=3), "domains", "ptgan")
    assert folder(plain, "two-cameras", "camstyle") != folder(plain, "four-cameras", "camstyle")
    assert folder(plain, "domains", "ptgan") != folder(plain, "domains", "ptgan", seed=1)
    assert folder(plain, "domains", "ptgan") != folder(BenchmarkSettings(budget=0.5), "domains", "ptgan")


def test_what_is_recorded_is_not_asked_for_again(tmp_path: Path) -> None:
    (bench,) = make_benches(BenchmarkSettings(), Storage(tmp_path, tmp_path), [0], find_gaps(["few-images"], ["cgan"]))
    arm = bench.gap.arms[0]
    for one in (BASELINE, arm):
        against = one.against.name if one.against else None
        found = ArmRecord("few-images", one.name, 0, 0, against, arm_identity(bench, one, 0), [], {})
        write_record(bench.training_folder(one, 0), found)
    assert benchmark_nodes([bench], 1) == []
    names = [node.name for node in benchmark_nodes([bench], 2)]
    assert [name for name in names if name.startswith("seed 0, few-images: ") and "images" not in name[20:]] == [
        "seed 0, few-images: baseline, training 1",
        "seed 0, few-images: cgan, training 1",
    ]
    assert len([name for name in names if "generator cgan" in name]) == 1, "of images that are not made yet"
