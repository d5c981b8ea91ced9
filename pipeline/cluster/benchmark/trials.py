"""One ReID training of an arm: its network, and how it finds people, in both states of its batch norm."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.reading.dataset import open_dataset
from pipeline.cluster.benchmark.images import find_made, images_identity, training_images
from pipeline.experiments.benchmark.arms import BASELINE, Arm
from pipeline.experiments.benchmark.gaps import Part
from pipeline.experiments.benchmark.records import NORMS, ArmRecord, Measurement, Norm, find_record, write_record
from pipeline.experiments.benchmark.settings import Bench
from pipeline.experiments.benchmark.worlds import MEASURED
from pipeline.reid.batches import AugmentationSettings
from pipeline.reid.evaluation import QueryScores, score_queries, similarities
from pipeline.reid.features import Embedded, PoseFeatures, embed_people, embed_poses, fused_features, with_poses
from pipeline.reid.mixing import MixSettings
from pipeline.reid.model import ReidModel, load_reid
from pipeline.reid.norm import adapt_to
from pipeline.reid.run import ReidRun
from pipeline.reid.training import ReidTrainingSettings

_SECOND = 500
"""Between the seeds of a pair of networks."""
_SEEDS = 1000
"""Between those of two worlds."""
People = Mapping[str, Embedded]


def try_arm(bench: Bench, arm: Arm, training: int) -> str:
    """Train the arm's network and measure it, unless that is recorded; the rank-1 in words."""
    folder, identity = bench.training_folder(arm, training), arm_identity(bench, arm, training)
    record = find_record(folder, identity)
    if record is None:
        record = _tried(bench, arm, training, identity)
        write_record(folder, record)
        shutil.rmtree(folder / "reid" / "checkpoints", ignore_errors=True)  # ten times as large as what is kept
    found = [one.figures["rank1"] for one in record.measured if one.part == "test"]
    return "rank-1 " + ", ".join(f"{value:.1%} {norm}" for value, norm in zip(found, NORMS, strict=True))


def arm_identity(bench: Bench, arm: Arm, training: int) -> dict[str, Any]:
    """What a record must have been made with to stand for this training of the arm."""
    sets = {name: images.name for name, images in bench.gap.sets.items()}
    asked: dict[str, Any] = {"label": dict(arm.label), "mix": dict(arm.mix), "train_on": arm.train_on}
    asked |= {"fusion": arm.fusion} if arm.fusion != "max" else {}
    asked |= {"pose_weight": arm.pose_weight} if arm.pose_weight is not None else {}
    return {
        "settings": bench.settings.deciding(),
        "gap": {"sets": sets, "reid": dict(bench.gap.reid), "longer": bench.gap.longer},
        "arm": {"recipe": arm.recipe, **asked},
        "training": training,
        "images": images_identity(bench, arm) if arm.recipe else None,
    }


def reid_steps(bench: Bench) -> int:
    """Steps of each ReID training of the gap: those that show every real image ``reid_epochs`` times, and longer by
    what the gap says."""
    settings, real = bench.settings, open_dataset(bench.uri("train")).snapshot.rows
    return max(1, round(bench.gap.longer * settings.reid_epochs * real / settings.reid_batch_size))


def _tried(bench: Bench, arm: Arm, training: int, identity: dict[str, Any]) -> ArmRecord:
    made = find_made(bench, arm) if arm.recipe else None
    trained_on = {"synthetic": None, "two networks": None, "target": "target"}
    part = trained_on.get(arm.train_on, "train")
    sets = [bench.uri(part)] if part else []
    images = {"real": sum(open_dataset(uri).snapshot.rows for uri in sets), "synthetic": 0}
    if made and arm.trains:
        sets.append(training_images(bench, arm))
        images["synthetic"] = made.images
    network = _trained(bench, arm, training, sets) if arm.trains else _baseline(bench, training)
    measured = [one for norm in NORMS for one in _measured(bench, arm, training, network, norm)]
    against = arm.against.name if arm.against else None
    judged = (made.recognised, made.moved, made.both) if made else ()
    return ArmRecord(bench.gap.name, arm.name, bench.seed, training, against, identity, measured, images, *judged)


def _trained(bench: Bench, arm: Arm, training: int, uris: Sequence[str]) -> ReidModel:
    """The ReID network that the arm adds."""
    settings, output = bench.settings, bench.training_folder(arm, training) / "reid"
    ReidRun(
        uris=tuple(uris),
        output=output,
        settings=ReidTrainingSettings(
            steps=reid_steps(bench),
            batch_size=settings.reid_batch_size,
            seed=_SEEDS * bench.seed + _SECOND * arm.paired + training,
            device=settings.device,
        ),
        mix=MixSettings.model_validate(dict(arm.mix)),
        augmentation=AugmentationSettings.model_validate(dict(bench.gap.reid)),
        height=settings.height,
        width=settings.width,
    ).train()
    return load_reid(output, settings.device)


def _baseline(bench: Bench, training: int) -> ReidModel:
    return load_reid(bench.training_folder(BASELINE, training) / "reid", bench.settings.device)


def _measured(bench: Bench, arm: Arm, training: int, network: ReidModel, norm: Norm) -> list[Measurement]:
    """``network``, with that of the baseline where the arm has two, on both parts of the people."""
    network = _in_norm(bench, network, norm)
    first = _in_norm(bench, _baseline(bench, training), norm) if arm.paired else network
    found = []
    for part in MEASURED:
        people = _fused(bench, arm, part, first, network) if arm.fuses else embed_people(bench.uri(part), network)
        found.append(Measurement.of(part, norm, _scores(people)))
    return found


def _in_norm(bench: Bench, network: ReidModel, norm: Norm) -> ReidModel:
    return network if norm == "as trained" else adapt_to(network, bench.uri("unlabelled")).model


def _fused(bench: Bench, arm: Arm, part: Part, first: ReidModel, second: ReidModel) -> People:
    """Features of each image by the first network and of its generated poses by the second, fused as the arm says and
    `jobs/evaluate_reid.py` does; without a generated one the image itself stands for its poses."""
    uri, kind = bench.uri(part), fused_features(arm.fusion)
    people = embed_people(uri, first, kind)
    unposed = people if second is first else embed_people(uri, second, kind)
    poses = PoseFeatures({}, ("itself",))
    if arm.fuses_images:
        poses = embed_poses(str(bench.images_folder(arm) / part), people, second, kind)
    how = arm.fusion, arm.pose_weight
    return {split: with_poses(some, unposed[split], poses, *how)[0] for split, some in people.items()}


def _scores(people: People) -> QueryScores:
    query, gallery = people["query"], people["gallery"]
    rows = similarities(query.features, gallery.features)
    return score_queries(rows, query.identities, query.cameras, gallery.identities, gallery.cameras)
