"""What many tests stand on: a small drawn world, its manifests, an untrained generator, one local Ray."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from manifests.store import open_dataset
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

    from pipeline.generator import save_generator
    from pipeline.recipes.ptgan import PTGAN, PTGANSettings

    recipe = PTGAN(PTGANSettings(ngf=8, blocks=1, ndf=8))
    network = recipe.build(torch.Generator().manual_seed(0), (128, 64))["source_to_target"]
    folder = tmp_path_factory.mktemp("generator")
    save_generator(folder / "generator.safetensors", network, recipe, 128, 64)
    return str(folder)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray of two cores for all tests that need one."""
    from pipeline.cluster.session import ray_session

    with ray_session(local_cpus=2):
        yield


@pytest.fixture(scope="session")
def toy_people(toy_sources: ToySources) -> int:
    """How many labelled training images the market-like domain has."""
    frame = open_dataset(toy_sources.market).scan().select("split", "role").collect()
    return frame.filter((frame["split"] == "train") & (frame["role"] == "person")).height


@pytest.fixture(scope="session")
def toy_annotations(toy_sources: ToySources, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The truth about every market-like image in the place of what the shipped models would find, in their names."""
    return write_annotations(toy_sources, str(tmp_path_factory.mktemp("truth") / "annotations"))
