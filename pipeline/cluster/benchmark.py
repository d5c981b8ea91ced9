"""The benchmark's work: for each seed and gap the data, generators, synthetic sets, ReID networks and measures.

Every part is done by the code that the jobs run, with its checkpoints and its refusal of another run's output, so a
benchmark that was stopped is taken up again where each part stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from manifests.reading.dataset import open_dataset
from pipeline.annotation.annotations import AnnotationSettings
from pipeline.cluster.annotate import annotate
from pipeline.cluster.graph import Node
from pipeline.cluster.pool import run_shards_here
from pipeline.cluster.synthesize import prepare_synthesis, synthesize
from pipeline.cluster.train import write_camstyle_card
from pipeline.experiments.benchmark.gaps import BASELINE, Arm, Gap
from pipeline.experiments.benchmark.records import ArmRecord, find_record, write_record
from pipeline.experiments.benchmark.settings import BenchmarkSettings, arm_folder, gap_folder, images_uri, seed_folder
from pipeline.experiments.benchmark.worlds import MEASURED, Measured, draw_world, prepare_sets, set_uri
from pipeline.experiments.comparison.systems import SYSTEMS
from pipeline.generators.batches.cameras import camera_pairs
from pipeline.generators.recipes import find_recipe
from pipeline.generators.recipes.base import Recipe
from pipeline.generators.training.loop import TrainingSettings
from pipeline.generators.training.run import TrainingRun
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.evaluation import Retrieval
from pipeline.reid.mixing import MixSettings
from pipeline.reid.model import ReidModel, load_reid
from pipeline.reid.retrieval import RetrievalSettings, measure_on
from pipeline.reid.run import ReidRun
from pipeline.reid.sets import load_sets
from pipeline.reid.training import ReidTrainingSettings
from pipeline.synthesis.kinds import KINDS, PEOPLE, POSES, Kind


@dataclass(frozen=True)
class Bench:
    """One gap of one seed: where it lies and what is done there."""

    settings: BenchmarkSettings
    output: Path
    seed: int
    gap: Gap

    @property
    def folder(self) -> Path:
        return gap_folder(self.output, self.seed, self.gap)

    def uri(self, name: str) -> str:
        """Of one of the gap's source manifests."""
        return set_uri(self.output, self.seed, self.gap, name)

    @property
    def real_images(self) -> int:
        """How many images the gap leaves to train on."""
        return open_dataset(self.uri("train")).snapshot.rows

    def arm_folder(self, arm: Arm) -> Path:
        return arm_folder(self.output, self.seed, self.gap, arm)

    # ---- data

    def prepare(self) -> str:
        """Source manifests, and masks and poses where a recipe of the gap needs them."""
        prepare_sets(self.output, self.seed, self.gap)
        for name in ("train", "target"):
            if self._annotated(name):
                models = AnnotationSettings(device="cuda" if self.settings.device == "cuda" else "cpu")
                annotate(self.uri(name), self._annotations(name), models, runner=run_shards_here)
        return f"{self.real_images} training images"

    def _annotated(self, name: str) -> bool:
        if name == "target" and "target" not in self.gap.needs:
            return False
        needs = [self.recipe(arm.recipe).needs for arm in self.gap.arms if arm.recipe]
        return any({"masks", "keypoints"} & one for one in needs)

    def _annotations(self, name: str) -> str:
        return f"{self.uri(name)}-annotations"

    # ---- generators

    def recipe(self, name: str) -> Recipe:
        """With the settings that make it small enough for the budget, and the gap's own."""
        model = find_recipe(name)
        return model(model.settings_model.model_validate(self._recipe_settings(name)))

    def _recipe_settings(self, name: str) -> dict[str, Any]:
        return {**SYSTEMS[name].settings, **self.gap.generators.get(name, {})}

    def train_generator(self, name: str) -> str:
        """The recipe's generator, or one for every two cameras, by the small settings of the comparison."""
        system = SYSTEMS[name]
        settings = TrainingSettings(
            steps=max(1, round(system.steps * self.settings.budget)),
            batch_size=system.batch_size,
            height=self.settings.height,
            width=self.settings.width,
            seed=self.seed,
            average_decay=system.average_decay,
            device=self.settings.device,
            checkpoint_every=200,
        )
        sets = ["train", "target"] if "target" in self.gap.needs else ["train"]
        manifests = {
            role: (self.uri(part), self._annotations(part) if self._annotated(part) else None)
            for role, part in zip(("source", "target"), sets, strict=False)
        }
        run = TrainingRun(self.recipe(name), settings, self.folder / "generators" / name, manifests)
        if name == "camstyle":
            return self._train_pairs(run)
        run.train()
        return f"{settings.steps} steps"

    def _train_pairs(self, run: TrainingRun) -> str:
        cameras = sorted(open_dataset(self.uri("train")).scan().select("camera").unique().collect()["camera"])
        pairs = camera_pairs(cameras)
        for first, second in pairs:
            folder = run.output / f"{first}_{second}"
            TrainingRun(run.recipe, run.settings, folder, run.manifests, cameras=(first, second)).train()
        write_camstyle_card(run.output, cameras, pairs)
        return f"{len(pairs)} pairs of cameras, {run.settings.steps} steps each"

    # ---- arms

    def try_arm(self, arm: Arm) -> str:
        """Synthesize, train the ReID network or networks, measure; leaves a record."""
        record = self.record(arm)
        if record is None:
            record = self._try(arm)
            write_record(self.arm_folder(arm), record)
        found = record.figures["test"]
        return f"rank-1 {found['rank1']:.1%}, mAP {found['mean_ap']:.1%}"

    def record(self, arm: Arm) -> ArmRecord | None:
        """What was measured, None before it was."""
        return find_record(self.arm_folder(arm), self._identity(arm))

    def _try(self, arm: Arm) -> ArmRecord:
        real = [self.uri("train")] if arm.train_on in ("real", "both") else []
        made = [self._synthesize(arm, "train", ["train"])] if arm.recipe else []
        network = self._train_reid(arm, [*real, *made])
        measure = self._measure_fused if arm.train_on == "two networks" else self._measure
        figures = {str(part): measure(arm, network, part).as_dict() for part in MEASURED}
        counts = {"real": self.real_images, "synthetic": sum(open_dataset(uri).snapshot.rows for uri in made)}
        recognised = self.recognised(made[0]) if arm.shows_people else None
        return ArmRecord(self.gap.name, arm.name, self.seed, self._identity(arm), figures, counts, recognised)

    def recognised(self, made: str) -> float:
        """Share of the images of the synthetic set ``made`` that the gap's baseline gives to the person who they were
        made from. The baseline knows that person's real images, so this tells a generator that loses people."""
        baseline = load_reid(self.arm_folder(self.gap.baseline) / "reid", self.settings.device)
        sets = load_sets([made], self.settings.height, self.settings.width)
        number = {name: place for place, name in enumerate(baseline.people.identities)}
        asked = [number[sets.classes.identities[person]] for person in sets.images.known_people]
        return float((baseline.logits(sets.images.images).argmax(axis=1) == asked).mean())

    def _measure(self, _: Arm, network: ReidModel, part: Measured) -> Retrieval:
        return measure_on(self.uri(part), network, RetrievalSettings()).retrieval

    def _measure_fused(self, arm: Arm, pose_network: ReidModel, part: Measured) -> Retrieval:
        """The baseline's features of real images, fused with ``pose_network``'s of generated ones."""
        network = load_reid(self.arm_folder(self.gap.baseline) / "reid", self.settings.device)
        poses = self._synthesize(arm, part, ["query", "gallery"])
        return measure_on(self.uri(part), network, RetrievalSettings(poses=poses), pose_network).retrieval

    def _synthesize(self, arm: Arm, part: str, splits: Sequence[str]) -> str:
        recipe = arm.made_by
        kind = next(kind for kind in KINDS if recipe in kind.recipes)
        job = prepare_synthesis(
            self.uri(part),
            self.uri("target") if "target" in self.gap.needs else None,
            str(self.folder / "generators" / recipe),
            kind.settings.model_validate(self._synthesis_settings(arm, kind, splits)),
            annotations_uri=self._annotations(part) if kind is not POSES and self._annotated(part) else None,
            device=self.settings.device,
        )
        output = images_uri(self.output, self.seed, self.gap, arm, part)
        return synthesize(job, output, runner=run_shards_here).uri

    def _synthesis_settings(self, arm: Arm, kind: Kind, splits: Sequence[str]) -> dict[str, Any]:
        settings: dict[str, Any] = {"seed": self.seed, "splits": list(splits), "shard_size": 1024, **arm.label}
        if kind is PEOPLE:
            settings["images"] = round(self.real_images * float(arm.mix.get("synthetic_per_real", 1.0)))
        if kind is POSES:
            settings["score_pose"] = False  # nothing of the benchmark reads it, and it takes long
        if arm.taught:
            settings["teacher"] = str(self.arm_folder(self.gap.baseline) / "reid")
        return settings

    def _train_reid(self, arm: Arm, uris: Sequence[str]) -> ReidModel:
        """The ReID network of an arm."""
        settings, output = self.settings, self.arm_folder(arm) / "reid"
        synthetic = sum(dataset.snapshot.rows for dataset in map(open_dataset, uris) if dataset.kind == "synthetic")
        ReidRun(
            uris=tuple(uris),
            output=output,
            settings=ReidTrainingSettings(
                steps=reid_steps(settings, self.real_images, synthetic, arm),
                batch_size=settings.reid_batch_size,
                seed=self.seed,
                device=settings.device,
            ),
            mix=MixSettings.model_validate(dict(arm.mix)),
            augmentation=AugmentationSettings.model_validate(dict(self.gap.reid)),
            height=settings.height,
            width=settings.width,
        ).train()
        return load_reid(output, settings.device)

    def _identity(self, arm: Arm) -> dict[str, Any]:
        """What a record must have been made with to stand for this arm."""
        gap, system = self.gap, SYSTEMS.get(arm.recipe or "")
        return {
            "settings": self.settings.model_dump(mode="json", exclude={"device"}),
            "gap": [gap.people, gap.images, list(gap.cameras or ()), dict(gap.reid)],
            "arm": [arm.recipe, dict(arm.label), arm.train_on, dict(arm.mix), arm.longer],
            "generator": [system.steps, system.batch_size, self._recipe_settings(system.recipe)] if system else None,
        }


def reid_steps(settings: BenchmarkSettings, real: int, synthetic: int, arm: Arm) -> int:
    """Steps in which each of ``real`` images is seen ``reid_epochs`` times, which is how the papers count; as many
    where generated images stand in the place of the real ones."""
    mix, share = MixSettings.model_validate(dict(arm.mix)), 1.0
    if arm.train_on == "both" and mix.mix == "two_means":
        share = mix.real_share
    elif arm.train_on == "both":
        most = synthetic if mix.synthetic_per_real is None else mix.synthetic_per_real * real
        share = real / (real + min(synthetic, most))
    return max(1, round(arm.longer * settings.reid_epochs * real / (share * settings.reid_batch_size)))


def benchmark_nodes(settings: BenchmarkSettings, output: Path, seeds: Sequence[int], gaps: Sequence[Gap]) -> list[Node]:
    """All that is to be done, each part behind what it needs."""
    nodes = []
    for seed in seeds:
        world = f"seed {seed}: world"
        folder = seed_folder(output, seed)
        nodes.append(Node(world, partial(_draw, settings, output, seed), folder / "world.log"))
        for gap in gaps:
            nodes += _gap_nodes(Bench(settings, output, seed, gap), world)
    return nodes


def _draw(settings: BenchmarkSettings, output: Path, seed: int) -> str:
    draw_world(settings, output, seed)
    return "drawn"


def _gap_nodes(bench: Bench, world: str) -> list[Node]:
    gap, logs = bench.gap, bench.folder / "logs"
    title = f"seed {bench.seed}, {gap.name}"
    sets, baseline = f"{title}: data", f"{title}: {BASELINE}"
    nodes = [
        Node(sets, bench.prepare, logs / "data.log", (world,)),
        Node(baseline, partial(bench.try_arm, gap.baseline), logs / f"{BASELINE}.log", (sets,)),
    ]
    generators = {arm.recipe: f"{title}: {arm.recipe} generator" for arm in gap.arms if arm.recipe}
    for recipe, name in generators.items():
        nodes.append(Node(name, partial(bench.train_generator, recipe), logs / f"{recipe}-generator.log", (sets,)))
    for arm in gap.arms:
        needs: tuple[str, ...] = (generators[arm.recipe],) if arm.recipe else (sets,)
        if arm.taught or arm.shows_people:
            needs = (*needs, baseline)
        log = logs / f"{bench.arm_folder(arm).name}.log"
        nodes.append(Node(f"{title}: {arm.name}", partial(bench.try_arm, arm), log, needs))
    return nodes


def benchmark_records(
    settings: BenchmarkSettings, output: Path, seeds: Sequence[int], gaps: Sequence[Gap]
) -> list[ArmRecord]:
    """What was measured so far."""
    records = []
    for seed in seeds:
        for gap in gaps:
            bench = Bench(settings, output, seed, gap)
            records += [bench.record(arm) for arm in (gap.baseline, *gap.arms)]
    return [record for record in records if record is not None]
