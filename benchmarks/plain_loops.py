"""Our generation and training against plain loops of our own that do the same work as research scripts do it.

python benchmarks/plain_loops.py --threads 2

The plain loops run in float32 and in the usual memory layout: generation takes one image at a time; a training step
sends every image through a network by itself, judges real and generated ones one after the other, and moves by an Adam
that is not fused. They are checked to do the same work: the same pictures from the same weights in float32, and the
same loss terms at the first step. All are timed in turn, and of each the fastest repetition counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from manifests.common.json_text import write_json
from manifests.errors import UserError
from pipeline.common.environment import environment
from pipeline.common.precision import Precision
from pipeline.common.settings import JobSettings, run_job
from pipeline.common.tensors import to_batch
from pipeline.generators.convolutions import WAYS, Convolutions
from pipeline.generators.convolutions_trial import LEAST_PSNR
from pipeline.generators.recipes.cyclegan import CycleGAN, CycleGANSettings
from pipeline.generators.trained import Generator, load_generator, save_generator
from pipeline.generators.training.loop import Training, TrainingSettings
from pipeline.measures.images import peak_signal_to_noise
from pipeline.sources.toyworld.render import render_variety
from pipeline.training.data import DomainData, UnpairedDomains

Images = NDArray[np.uint8]
Batch = dict[str, Tensor]
SHIPPED = "ptgan_market_like_to_duke_like"
LARGEST_DIFFERENCE = 1e-3
"""Of a loss term, as a share of it: both compute in float32, in another order."""


class Settings(JobSettings):
    """Images and training steps a second, ours and plain ones, in turn."""

    height: int = Field(256, ge=16, multiple_of=4, description="of the generated images, pixels")
    width: int = Field(128, ge=16, multiple_of=4, description="of the generated images, pixels")
    training_height: int = Field(128, ge=16, multiple_of=4, description="of the trained images, pixels")
    training_width: int = Field(64, ge=16, multiple_of=4, description="of the trained images, pixels")
    images: int = Field(8, ge=1, description="generated in a round")
    batch_size: int = Field(8, ge=1, description="of ours in whole batches; the plain loop takes one")
    ngf: int = Field(64, ge=4, description="width of the generator; the paper's")
    blocks: int = Field(9, ge=1, description="residual blocks; the paper's")
    precision: Precision = Field("auto", description="of ours; the plain loop's is float32")
    rounds: int = Field(4, ge=1, description="repetitions, in turn; the fastest of each counts")
    threads: int = Field(2, ge=1, description="of both")
    results: Path = Field(Path(__file__).parent / "results" / "plain_loops.json", description="JSON file")


def main(settings: Settings) -> None:
    """Check, measure, print the ratios, write the figures."""
    torch.set_num_threads(settings.threads)
    figures = {"generation": generation(settings), "training": training(settings)}
    record = {
        "settings": settings.model_dump(mode="json", exclude={"results"}),
        "figures": figures,
        "environment": environment("cpu", settings.threads),
    }
    write_json(settings.results, record)
    for what, found in figures.items():
        print(f"{what}: {found['ours']:.3g} a second, plain {found['plain']:.3g}: {found['ratio']:.2f} x", flush=True)


def generation(settings: Settings) -> dict[str, Any]:
    """Images a second of the plain loop, and of ours by each way to compute convolutions; the fastest is ours.

    ``psnr`` (dB) is of the shipped generator's pictures, by that way and in that precision, against float32, None where
    they are the same: what weights drawn at random amplify, trained ones do not.

    Raises:
        UserError: the pictures differ more than arithmetic explains.
    """
    recipe = recipe_of(settings)
    images = drawn(settings.images, settings.height, settings.width)
    size = settings.height, settings.width
    with TemporaryDirectory() as folder:
        path = Path(folder) / "generator.safetensors"
        save_generator(path, recipe.build(torch.Generator().manual_seed(0), size)["source_to_target"], recipe, *size)

        def ours(precision: Precision, way: Convolutions) -> Generator:
            return load_generator(path, "cpu", precision, settings.batch_size, convolutions=way)

        exact = {way: ours("float32", way) for way in WAYS}
        fast = {way: ours(settings.precision, way) for way in WAYS}
    network = exact["planar"].network
    expected = plain_generation(network, images[:2])
    for way, generator in exact.items():
        check_likeness(way, peak_signal_to_noise(generator.translate(images[:2]), expected))
    work: dict[str, Callable[[], object]] = {"plain": lambda: plain_generation(network, images)}
    work |= {way: partial(generator.translate, images) for way, generator in fast.items()}
    seconds = in_turn(settings, work)
    best = min(WAYS, key=seconds.__getitem__)
    shipped = shipped_likeness(settings, best)
    check_likeness(f"{best} in the precision asked for", shipped)
    found = {f"by {way}": round(settings.images / seconds[way], 3) for way in WAYS}
    two = {"ours": seconds[best], "plain": seconds["plain"]}
    return {
        **rates(two, settings.images),
        "convolutions": best,
        **found,
        "psnr": round(shipped, 1) if math.isfinite(shipped) else None,
    }


def shipped_likeness(settings: Settings, way: Convolutions) -> float:
    """Of the shipped generator's pictures of drawn people, in dB."""
    size = {"height": settings.height, "width": settings.width}
    images = np.stack([render_variety(0, number, **size).image for number in range(4)])
    made, exact = (
        load_generator(SHIPPED, "cpu", precision, convolutions=one).translate(images)
        for precision, one in ((settings.precision, way), ("float32", "planar"))
    )
    return peak_signal_to_noise(made, exact)


def check_likeness(what: str, psnr: float) -> None:
    """Raises UserError where pictures are further off than arithmetic explains."""
    if psnr < LEAST_PSNR:
        raise UserError(f"{what}: ours and plain arithmetic make other pictures: PSNR {psnr:.1f} dB")


def plain_generation(network: nn.Module, images: Images) -> Images:
    """One image after another: to [-1, 1], through the network, back."""
    made = []
    with torch.no_grad():
        for image in images:
            tensor = torch.from_numpy(image).permute(2, 0, 1).float().div(127.5).sub(1).unsqueeze(0)
            pixels = network(tensor.contiguous())[0].add(1).mul(127.5).round().clamp(0, 255)
            made.append(pixels.permute(1, 2, 0).to(torch.uint8).numpy())
    return np.stack(made)


def training(settings: Settings) -> dict[str, float]:
    """Steps a second of both.

    Raises:
        UserError: the loss terms of the first step differ more than arithmetic explains.
    """
    steps = 1 + 4 * settings.rounds
    plain_steps, first = PlainTraining(settings), prepared(settings, "float32", steps)
    check_terms(plain_steps.step(first.data.batch(0, 1)), first.train_step())
    ours = prepared(settings, settings.precision, steps)
    ours.train_step()
    batch = first.data.batch(1, 1)
    return rates(in_turn(settings, {"ours": ours.train_step, "plain": lambda: plain_steps.step(batch)}), 1)


def prepared(settings: Settings, precision: Precision, steps: int) -> Training:
    """Our training of batches of one, before its first step."""
    height, width = settings.training_height, settings.training_width
    data = DomainData(drawn(16, round(height * 1.117), round(width * 1.117)))
    batches = UnpairedDomains(data, data, height, width, 0)
    loop = TrainingSettings(steps=steps, height=height, width=width, precision=precision)
    return Training(recipe_of(settings), batches, Path("unused"), loop)


class PlainTraining:
    """CycleGAN's step as its formulas stand (Zhu et al., ICCV 2017, section 4), one image and one term at a time."""

    def __init__(self, settings: Settings) -> None:
        size = settings.training_height, settings.training_width
        recipe = recipe_of(settings)
        self.recipe, self.networks = recipe, recipe.build(torch.Generator().manual_seed(0), size)
        self.optimizers = {
            player: torch.optim.Adam(
                [weight for name in names for weight in self.networks[name].parameters()], 2e-4, (0.5, 0.999)
            )
            for player, names in recipe.players.items()
        }

    def step(self, columns: dict[str, NDArray[Any]]) -> Batch:
        """One update of both players; returns the terms."""
        batch = {name: tensor.contiguous() for name, tensor in to_batch(columns, torch.device("cpu")).items()}
        source, target = batch["source"], batch["target"]
        forth, back = self.networks["source_to_target"], self.networks["target_to_source"]
        judges = {"target": self.networks["target_judge"], "source": self.networks["source_judge"]}
        for judge in judges.values():
            judge.requires_grad_(False)
        fake = {"target": forth(source), "source": back(target)}
        cycle = l1_loss(back(fake["target"]), source) + l1_loss(forth(fake["source"]), target)
        mapping = l1_loss(forth(target), target) + l1_loss(back(source), source)
        terms = {f"adversarial_{side}": judged(judge(fake[side]), 1.0) for side, judge in judges.items()}
        terms |= {
            "cycle": self.recipe.settings.cycle_weight * cycle,
            "mapping": self.recipe.settings.mapping_weight * mapping,
        }
        self._move("generators", terms)
        for judge in judges.values():
            judge.requires_grad_(True)
        losses = {
            f"{side}_judge": 0.5 * (judged(judge(batch[side]), 1.0) + judged(judge(fake[side].detach()), 0.0))
            for side, judge in judges.items()
        }
        self._move("discriminators", losses)
        return {name: term.detach() for name, term in (terms | losses).items()}

    def _move(self, player: str, terms: Batch) -> None:
        optimizer = self.optimizers[player]
        optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()


def judged(scores: Tensor, asked: float) -> Tensor:
    """Least squares."""
    return mse_loss(scores, torch.full_like(scores, asked))


def check_terms(plain: Batch, ours: dict[str, Tensor]) -> None:
    """Whether both computed the same.

    Raises:
        UserError: a term is missing, or another one.
    """
    for name in plain.keys() | ours.keys():
        if name not in plain or name not in ours:
            raise UserError(f"the term {name} is of one of the two trainings alone")
        one, other = float(plain[name]), float(ours[name].detach())
        if abs(one - other) > LARGEST_DIFFERENCE * abs(other):
            raise UserError(f"the term {name} is {one:.6g} in the plain step and {other:.6g} in ours")


def recipe_of(settings: Settings) -> CycleGAN:
    """CycleGAN by its paper but for the size asked for."""
    return CycleGAN(CycleGANSettings(ngf=settings.ngf, blocks=settings.blocks))


def drawn(count: int, height: int, width: int) -> Images:
    """Images of noise: what they show costs nothing."""
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def in_turn(settings: Settings, work: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the fastest repetition of each."""
    best = dict.fromkeys(work, float("inf"))
    for _ in range(settings.rounds):
        for name, run in work.items():
            started = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def rates(seconds: dict[str, float], count: int) -> dict[str, float]:
    """``count`` by the seconds of each, and how many times ours is as fast."""
    found = {name: round(count / value, 3) for name, value in seconds.items()}
    return {**found, "ratio": round(seconds["plain"] / seconds["ours"], 3)}


if __name__ == "__main__":
    run_job(Settings, main)
