"""The benchmark as parts that need one another: for each seed and gap the data, generators, images and trainings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pipeline.cluster.benchmark.generators import (
    PAIRED,
    annotate_set,
    gap_pairs,
    gap_recipe,
    generator_folder,
    join_pairs,
    needs_annotations,
    train_generator,
    train_pair,
)
from pipeline.cluster.benchmark.images import make_images, score_images
from pipeline.cluster.benchmark.trials import arm_identity, try_arm
from pipeline.cluster.graph import Node
from pipeline.experiments.benchmark.arms import BASELINE, Arm
from pipeline.experiments.benchmark.gaps import Gap, ImageSet
from pipeline.experiments.benchmark.records import ArmRecord, find_record
from pipeline.experiments.benchmark.settings import Bench, BenchmarkSettings, Storage
from pipeline.experiments.benchmark.worlds import MEASURED, draw_world, prepare_set
from pipeline.sources.toyworld import DomainName


def make_benches(
    settings: BenchmarkSettings, storage: Storage, seeds: Sequence[int], gaps: Sequence[Gap]
) -> list[Bench]:
    """Every gap of every seed."""
    return [Bench(settings, storage, seed, gap) for seed in seeds for gap in gaps]


def benchmark_nodes(benches: Sequence[Bench], trainings: int) -> list[Node]:
    """What is still to be done, each part behind what it needs; what several gaps need is done once.

    Raises:
        UserError: something was measured with other settings.
    """
    nodes = {node.name: node for bench in benches for node in _Parts(bench).nodes(trainings)}
    wanted = [
        _Parts(bench).training(arm, training)
        for bench in benches
        for arm in (*bench.gap.baselines, *bench.gap.arms)
        for training in range(trainings)
        if _record(bench, arm, training) is None
    ]
    needed = set()
    while wanted:
        name = wanted.pop()
        needed.add(name)
        wanted += [need for need in nodes[name].needs if need not in needed]
    return [node for name, node in nodes.items() if name in needed]


def benchmark_records(benches: Sequence[Bench], trainings: int) -> list[ArmRecord]:
    """What was measured so far of the arms and of what they are held against, baselines first; raises as
    `benchmark_nodes`."""
    found = (
        _record(bench, arm, training)
        for bench in benches
        for arm in (*bench.gap.baselines, *bench.gap.arms)
        for training in range(trainings)
    )
    return [record for record in found if record is not None]


def _record(bench: Bench, arm: Arm, training: int) -> ArmRecord | None:
    return find_record(bench.training_folder(arm, training), arm_identity(bench, arm, training))


class _Parts:
    """The parts of one gap of one seed, by name. Those of the seed alone have the same names in every gap."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.seed, self.gap = bench, f"seed {bench.seed}", f"seed {bench.seed}, {bench.gap.name}"
        self.logs = bench.storage.seed(bench.seed) / "logs"

    def nodes(self, trainings: int) -> Iterator[Node]:
        """All of them."""
        for name, images in self.bench.gap.sets.items():
            yield self._node(self._world(images), partial(_draw, self.bench, images.domain))
            yield self._node(self._set(name), partial(_prepare, self.bench, name), self._world(images))
        for recipe in dict.fromkeys(arm.recipe for arm in self.bench.gap.arms if arm.recipe and not arm.drawn):
            yield from self._generator_nodes(recipe)
        for arm in self.bench.gap.baselines:
            yield from self._training_nodes(arm, trainings)
        for arm in self.bench.gap.arms:
            yield from self._images_nodes(arm)
            yield from self._training_nodes(arm, trainings)

    def _world(self, images: ImageSet) -> str:
        return f"{self.seed}: world, {images.domain}"

    def _set(self, name: str) -> str:
        return f"{self.seed}: {self.bench.gap.sets[name].name}"

    def _annotations(self, name: str) -> str:
        return f"{self._set(name)}, masks and poses"

    def _generator(self, recipe: str) -> str:
        # The folder's name, for gaps that ask for the same generator share it.
        return f"{self.seed}: generator {generator_folder(self.bench, recipe).name}"

    def _images(self, arm: Arm, part: str = "train") -> str:
        return f"{self.gap}: images {arm.images}" + ("" if part == "train" else f" for {part}")

    def _scores(self, arm: Arm) -> str:
        return f"{self._images(arm)}, scored"

    def training(self, arm: Arm, training: int) -> str:
        return f"{self.gap}: {arm.name}" + (f", training {training}" if training else "")

    def _generator_nodes(self, recipe: str) -> Iterator[Node]:
        bench, name = self.bench, self._generator(recipe)
        parts = [part for part in ("train", "target") if part in bench.gap.sets]
        needs = [self._set(part) for part in parts]
        if needs_annotations(bench.gap, recipe):
            yield from map(self._annotation_node, parts)
            needs = [self._annotations(part) for part in parts]
        if recipe != PAIRED:
            yield self._node(name, partial(train_generator, bench, recipe), *needs)
            return
        pairs = {f"{name}, cameras {pair[0]} and {pair[1]}": pair for pair in gap_pairs(bench.gap)}
        for one, pair in pairs.items():
            yield self._node(one, partial(train_pair, bench, pair), *needs)
        yield self._node(name, partial(join_pairs, bench), *pairs)

    def _images_nodes(self, arm: Arm) -> Iterator[Node]:
        if arm.recipe is None:
            return
        needs = [self._set("train")] if arm.drawn else [self._generator(arm.recipe)]
        needs += [self.training(BASELINE, 0)] if arm.taught or arm.shows_people else []
        yield self._node(self._images(arm), partial(make_images, self.bench, arm), *needs)
        if arm.weighs_rows:
            yield self._node(self._scores(arm), partial(score_images, self.bench, arm), self._images(arm))
        if arm.fuses_images:
            for part in MEASURED:
                read = self._set(part)
                if not arm.drawn and gap_recipe(self.bench.gap, arm.recipe).moves_joints:
                    yield self._annotation_node(part)
                    read = self._annotations(part)
                work = partial(make_images, self.bench, arm, part)
                yield self._node(self._images(arm, part), work, *needs, read)

    def _annotation_node(self, part: str) -> Node:
        work = partial(annotate_set, self.bench.uri(part), self.bench.settings.device)
        return self._node(self._annotations(part), work, self._set(part))

    def _training_nodes(self, arm: Arm, trainings: int) -> Iterator[Node]:
        needs = [self._set(name) for name in ("train", "unlabelled", *MEASURED)]
        needs += [self._images(arm)] if arm.recipe else []
        needs += [self._scores(arm)] if arm.weighs_rows else []
        if arm.fuses_images:
            needs += [self._images(arm, part) for part in MEASURED]
        for training in range(trainings):
            first = [self.training(BASELINE, training)] if arm.fuses else []
            work = partial(try_arm, self.bench, arm, training)
            yield self._node(self.training(arm, training), work, *needs, *first)

    def _node(self, name: str, work: partial[str], *needs: str) -> Node:
        return Node(name, work, self._log(name), tuple(dict.fromkeys(needs)))

    def _log(self, name: str) -> Path:
        words = name.removeprefix(self.seed).strip(":, ").replace(": ", "-").replace(", ", "-").replace(" ", "-")
        return self.logs / f"{words}.log"


def _draw(bench: Bench, domain: DomainName) -> str:
    draw_world(bench.settings, bench.storage, bench.seed, domain)
    return "drawn"


def _prepare(bench: Bench, name: str) -> str:
    return f"{prepare_set(bench.storage, bench.seed, bench.gap.sets[name]).snapshot.rows} images"
