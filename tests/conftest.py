"""What many tests stand on: a small drawn world, its manifests, an untrained generator, one local Ray."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext

import pytest
from hypothesis import settings

from manifests.reading.dataset import open_dataset
from tests.browser import chromium
from tests.toy_inputs import ToySources, make_sources, write_annotations

__all__ = ["ToySources", "chromium"]


# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def toy_sources(tmp_path_factory: pytest.TempPathFactory) -> ToySources:
    """Six people in each of two domains, one image by each camera that sees them, ingested."""
    return make_sources(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def untrained_generator(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PTGAN generator with its first random weights: real code, worthless pictures."""
    import torch

    from pipeline.generators.recipes.ptgan import PTGAN, PTGANSettings
    from pipeline.generators.trained import save_generator

    recipe = PTGAN(PTGANSettings(ngf=8, blocks=1, ndf=8))
    network = recipe.build(torch.Generator().manual_seed(0), (128, 64))["source_to_target"]
    folder = tmp_path_factory.mktemp("generator")
    save_generator(folder / "generator.safetensors", network, recipe, 128, 64)
    return str(folder)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[str]:
    """The address of one Ray of two cores for all tests that need one, in this process and in others."""
    from pipeline.cluster.session import ray_session

    with ray_session(local_cpus=2):
        import ray

        yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="session")
def forkserver() -> ForkServerContext:
    """Processes forked from one server that has imported what they need: tens of milliseconds each."""
    server = multiprocessing.get_context("forkserver")
    workers = [
        "tests.jobs.in_process",
        "tests.jobs.test_benchmark_recipes",
        "tests.manifests.writing.kill_worker",
        "tests.pipeline.training.in_processes",
        "tests.pipeline.training.test_workers",
        "tests.pipeline.reid.test_workers",
    ]
    server.set_forkserver_preload([*workers, "pandas", "PIL.PngImagePlugin", "torch.utils.tensorboard"])
    return server


@pytest.fixture(scope="session")
def toy_people(toy_sources: ToySources) -> int:
    """How many labelled training images the market-like domain has."""
    frame = open_dataset(toy_sources.market).scan().select("split", "role").collect()
    return frame.filter((frame["split"] == "train") & (frame["role"] == "person")).height


@pytest.fixture(scope="session")
def toy_annotations(toy_sources: ToySources, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The truth about every market-like image in the place of what the shipped models would find, in their names."""
    return write_annotations(toy_sources, str(tmp_path_factory.mktemp("truth") / "annotations"))
