"""Every job of `jobs/` that runs long, on inputs so small that it runs for seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from manifests.reading.dataset import open_dataset
from pipeline.cluster.synthesize import prepare_synthesis
from pipeline.reid.model import save_reid
from pipeline.reid.network import NetworkSettings, build_network
from tests.chaos.commands import ROOT, python
from tests.chaos.datasets import digests
from tests.pipeline.tiny_generators import save_tiny, save_tiny_pairs, standing_poses
from tests.pipeline.tiny_synthesis import made, settings_of
from tests.toy_inputs import make_sources, write_annotations


class Job(NamedTuple):
    """A job: how it is called, how one sees that it is at work, and what of its output has to be the same again."""

    name: str
    command: Callable[[Path], list[str | Path]]
    """The command line for an output."""
    at_work: str
    """A pattern of files below the output: one of them is there when the work has begun. Without one, the work has
    begun when the job has printed its settings."""
    product: Callable[[Path], dict[str, str]]
    """Digests of what the job made."""


class Inputs(NamedTuple):
    """What the jobs are given."""

    market: str
    duke: str
    world: Path
    annotations: str
    random: str
    pairs: str
    pngan: str
    one: str
    synthetic: str
    reid: str

    @classmethod
    def make(cls, folder: Path) -> Inputs:
        """Small sources, annotations by the truth, untrained generators and networks."""
        sources = make_sources(folder)
        annotations = write_annotations(sources, str(folder / "annotations"))
        save_tiny(folder / "cgan", "cgan", cameras=[1, 2])
        save_tiny(folder / "pngan", "pngan", canonical_poses=standing_poses())
        save_tiny(folder / "one", "cyclegan")
        pairs = save_tiny_pairs(folder / "pairs", tuple(range(1, 7)))
        save_reid(folder / "reid" / "reid.safetensors", build_network(NetworkSettings(channels=4), 3), 64, 32)
        settings = settings_of("cyclegan", limit=None)
        one_generator = str(folder / "one")
        made(
            prepare_synthesis(sources.market, sources.duke, one_generator, settings, annotations_uri=annotations),
            folder / "synthetic",
        )
        names = (str(folder / name) for name in ("cgan", "pngan", "one", "synthetic", "reid"))
        cgan, pngan, one, synthetic, reid = names
        return cls(sources.market, sources.duke, sources.world, annotations, cgan, pairs, pngan, one, synthetic, reid)


def jobs(inputs: Inputs) -> list[Job]:
    """Data sets first, then trainings, then what measures."""
    return [*_of_data_sets(inputs), *_of_trainings(inputs), *_of_shipped_models(), *_of_measurements(inputs)]


def _of_data_sets(inputs: Inputs) -> list[Job]:
    cut = ("--shard-size", "4", "--batch-size", "4", "--workers", "1")
    source = ("--source", inputs.market)
    told = (*source, "--annotations", inputs.annotations)
    root = inputs.world / "market-like"
    synthesized = (
        ("duke_style", *told, "--target", inputs.duke, "--generator", inputs.one, "--per-image", "2"),
        ("camera_styles", *told, "--generator", inputs.pairs),
        ("canonical_poses", *told, "--generator", inputs.pngan, "--no-score-pose"),
        ("random_people", *source, "--generator", inputs.random, "--images", "120"),
    )
    begun = "_commits/*.json"
    return [
        _job("make_toyworld", ("--identities", "12", "--workers", "1"), "*/*/*.jpg", digests),
        _job("prepare_source", ("--layout", "toyworld", "--domain", "m", "--shard-size", "1", "--root", root), begun),
        _job("annotate", (*source, *cut), begun),
        *(_job(f"synthesize_{kind}", (*words, *cut), begun) for kind, *words in synthesized),
        _job("score_dataset", (inputs.synthetic, "--model", inputs.reid, "--threads", "1"), begun),
    ]


def _of_trainings(inputs: Inputs) -> list[Job]:
    size = ("--height", "64", "--width", "32", "--checkpoint-every", "5", "--threads", "1")
    gan = ("--source", inputs.market, *size, "--batch-size", "2", "--ngf", "4", "--ndf", "4", "--blocks", "1")
    cyclegan = (*gan, "--recipe", "cyclegan", "--target", inputs.duke)
    camstyle = (*gan, "--recipe", "camstyle", "--cameras", "1,2,3", "--steps", "30")
    reid = ("--train", inputs.market, *size, "--batch-size", "4", "--channels", "4")  # two for each of two workers
    two = ("--workers", "2", "--steps", "30")
    saved = "checkpoints/*.pt"
    return [
        _job("train_generator", (*cyclegan, "--steps", "60"), saved, weights),
        _job("train_generator", (*cyclegan, *two), saved, weights, ", two workers"),
        _job("train_generator", camstyle, f"*/{saved}", weights, ", camstyle"),
        _job("train_reid", (*reid, "--steps", "200"), saved, weights),
        _job("train_reid", (*reid, *two), saved, weights, ", two workers"),
    ]


def _of_shipped_models() -> list[Job]:
    pose = ("--images", "64", "--steps", "20", "--batch", "4", "--save-every", "2", "--workers", "1")
    masks = ("--images", "200", "--steps", "30", "--batch-size", "2", "--threads", "1")
    small = ("--identities", "8", "--images-per-camera", "1", "--steps", "30", "--checkpoint-every", "5")
    size = ("--height", "64", "--width", "32", "--channels", "8", "--threads", "1")
    # Beside the output, for a shipped model is not written into the package here.
    shipped = (*small, *size, "--name", "tiny", "--folder", "OUTPUT/shipped")
    return [
        _job("train_pose_tiny", pose, "step_*.pt", weights),
        _job("train_sam_tiny", masks, "state.pt", weights),
        _job("train_shipped_generator", shipped, "personflow/checkpoints/*.pt", weights),
    ]


def _of_measurements(inputs: Inputs) -> list[Job]:
    tiny = ("--height", "64", "--width", "32", "--budget", "0.001")
    systems = (*tiny, "--world", inputs.world, "--systems", "cgan,cyclegan", "--reid-steps", "3", "--threads", "1")
    gap = ("--gaps", "few-images", "--arms", "reinhard", "--seeds", "1", "--identities", "8", "--reid-epochs", "0.5")
    measured = ("--model", inputs.reid, "--eval", inputs.market, "--rerank", "--json", "OUTPUT.json")
    return [
        _job("evaluate_reid", measured, "", found, output=None),
        _job("remake_samples", (inputs.synthetic, "--random", "40"), "", nothing, output=None),
        _job("compare_recipes", systems, "*/effect.json", figures),
        _job("benchmark_recipes", (*tiny, *gap), "seed-0/*/arms/*/*/record.json", figures),
    ]


def rows(output: Path) -> dict[str, str]:
    """Shards of the data set by path."""
    snapshot = open_dataset(str(output)).snapshot
    return {entry.path: entry.sha256 for entry in (*snapshot.files, *snapshot.rejects)}


def weights(output: Path) -> dict[str, str]:
    """Weights files of the training."""
    return {path: digest for path, digest in digests(output).items() if path.endswith(".safetensors")}


def figures(output: Path) -> dict[str, str]:
    """What was measured, without the time that it took."""
    files = [*output.rglob("record.json"), *output.rglob("effect.json")]
    found = {str(path.relative_to(output)): path.read_text() for path in files}
    return {path: re.sub(r'"\w*seconds": [0-9.e-]+', "", text) for path, text in found.items()}


def found(output: Path) -> dict[str, str]:
    """A file of results that lies beside where an output would."""
    return {"found": output.with_suffix(".json").read_text()}


def nothing(output: Path) -> dict[str, str]:
    """A job that only prints."""
    return {}


def _job(
    script: str,
    words: Sequence[str | Path],
    at_work: str,
    product: Callable[[Path], dict[str, str]] = rows,
    variant: str = "",
    output: str | None = "--output",
) -> Job:
    """A job that is told its output by a flag; ``OUTPUT`` in one of ``words`` stands for it too."""

    def command(place: Path) -> list[str | Path]:
        named = [str(word).replace("OUTPUT", str(place)) for word in words]
        told: list[str | Path] = [output, place] if output else []
        return [*python(ROOT / "jobs" / f"{script}.py"), *named, *told]

    return Job(script + variant, command, at_work, product)
