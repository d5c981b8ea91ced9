"""A trained generator: saved as safetensors that say how to build it, loaded by name or path, used as a function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from manifests.errors import UserError
from pipeline.checkpoint_download import file_sha256
from pipeline.checkpoint_state import load_metadata, load_state, save_state
from pipeline.checkpoints import resolve
from pipeline.precision import Precision, resolve_precision
from pipeline.recipes import find_recipe
from pipeline.recipes.base import Recipe
from pipeline.tensors import to_signed, to_uint8

FILE_NAME = "generator.safetensors"


@dataclass(frozen=True)
class Generator:
    """An image-to-image generator on one device, in one precision, with one batch shape for ever."""

    name: str
    recipe: str
    settings: dict[str, Any]
    """The recipe's settings."""
    sha256: str
    """Of the weights file."""
    height: int
    width: int
    """The size it was trained at; it takes any size divisible by 4."""
    precision: str
    batch_size: int
    _recipe: Recipe
    _network: nn.Module
    _device: torch.device

    def translate(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8 RGB -> the same shape, restyled. A row's bytes depend on that row alone.

        The network always sees ``batch_size`` rows (the last batch is filled up), so that the libraries below
        choose the same arithmetic however a caller cuts the work.

        Raises:
            ValueError: another shape or type, or a side that 4 does not divide.
        """
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be (N, H, W, 3) uint8, got {images.shape} {images.dtype}")
        if images.shape[1] % 4 or images.shape[2] % 4:
            raise ValueError(f"height and width must be divisible by 4, got {images.shape[1:3]}")
        made = np.empty_like(images)
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            made[start : start + len(part)] = self._batch(part)[: len(part)]
        return made

    def _batch(self, part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        filled = np.zeros((self.batch_size, *part.shape[1:]), np.uint8)
        filled[: len(part)] = part
        with torch.inference_mode():
            source = to_signed(filled, self._device).to(getattr(torch, self.precision))
            return to_uint8(self._recipe.generate(self._network, {"source": source}))


def save_generator(
    path: Path,
    network: nn.Module,
    recipe: Recipe,
    height: int,
    width: int,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write ``network`` and how to build it; returns the file's SHA-256.

    float16 halves the file and keeps 3 more bits than the bfloat16 it is mostly run in.
    """
    save_state(half_state(network, dtype), path, build_metadata(recipe, height, width))
    return file_sha256(path)


def half_state(network: nn.Module, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """The network's tensors in ``dtype``."""
    return {name: tensor.detach().to(dtype) for name, tensor in network.state_dict().items()}


def build_metadata(recipe: Recipe, height: int, width: int) -> dict[str, str]:
    """What `load_generator` needs beside the tensors; it travels inside the weights file."""
    settings = json.dumps(recipe.settings.model_dump(mode="json"), sort_keys=True)
    return {"recipe": recipe.name, "settings": settings, "height": str(height), "width": str(width)}


def load_generator(
    name_or_path: str | Path,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    batch_size: int = 32,
) -> Generator:
    """A shipped generator by name, a file, or the output folder of a training.

    Raises:
        UserError: not found, wrong digest, or no generator of a recipe known here.
    """
    given = Path(name_or_path).expanduser()
    path = given / FILE_NAME if given.is_dir() else resolve(name_or_path)
    state, metadata = load_state(path), load_metadata(path)
    recipe = _recipe_of(path, metadata)
    network = recipe.build_generator()
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path} does not fit its own settings: {reason}") from None
    dtype = resolve_precision(precision, device)
    network = network.to(device, dtype).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return Generator(
        name=str(name_or_path) if not given.exists() else path.stem,
        recipe=recipe.name,
        settings=recipe.settings.model_dump(mode="json"),
        sha256=file_sha256(path),
        height=int(metadata["height"]),
        width=int(metadata["width"]),
        precision=str(dtype).removeprefix("torch."),
        batch_size=batch_size,
        _recipe=recipe,
        _network=network,
        _device=torch.device(device),
    )


def _recipe_of(path: Path, metadata: Mapping[str, str]) -> Recipe:
    if not {"recipe", "settings", "height", "width"} <= set(metadata):
        raise UserError(f"{path} is no generator of this project: it does not say how to build it")
    model = find_recipe(metadata["recipe"])
    try:
        return model(model.settings_model.model_validate_json(metadata["settings"]))
    except ValidationError as error:
        raise UserError(f"{path} was made by another version of {model.name}: {error.errors()[0]['msg']}") from None
