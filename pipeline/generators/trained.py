"""A trained generator: saved as safetensors that say how to build it, loaded by name or path, used as a function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor, nn

from manifests.common.json_text import json_text
from manifests.errors import UserError
from pipeline.checkpoints import resolve
from pipeline.checkpoints.downloads import file_sha256
from pipeline.checkpoints.network_files import NetworkMetadata, Side, load_network, read_metadata
from pipeline.checkpoints.state import save_state
from pipeline.common.finite import NotFiniteError
from pipeline.common.precision import Precision, resolve_precision
from pipeline.common.tensors import are_finite, clipped, to_batch
from pipeline.common.transfers import Download, upload
from pipeline.generators.convolutions import Convolutions
from pipeline.generators.networks.arranged import arrange, memory_format
from pipeline.generators.recipes import find_recipe
from pipeline.generators.recipes.base import Recipe

FILE_NAME = "generator.safetensors"


@dataclass(frozen=True)
class MadePart:
    """Some of the rows, which the device has seen together."""

    images: Download
    finite: Download
    """Whether they are."""
    made: Tensor
    """The images (N, H, W, 3) uint8 where they were made, perhaps not finished."""
    source: Tensor | None
    """So those that they were made from, if any."""


@dataclass(frozen=True)
class Making:
    """Images that a generator's device makes meanwhile."""

    parts: list[MadePart]
    _nothing: NDArray[np.uint8]

    def result(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """What `Generator.attempt` returns, waited for."""
        made = [(part.images.array(), part.finite.array()) for part in self.parts]
        if len(made) == 1:
            return made[0]
        images, finite = zip(*made, strict=True) if made else ([self._nothing], [np.ones(0, np.bool_)])
        return np.concatenate(images), np.concatenate(finite)


@dataclass(frozen=True)
class Generator:
    """A generator on one device, in one precision, with one way of computing for ever."""

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
    convolutions: Convolutions
    """How they are computed; never ``auto``."""
    _recipe: Recipe
    _network: nn.Module
    _device: torch.device

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns that `generate` reads."""
        return self._recipe.inputs

    @property
    def source_type(self) -> str:
        """What IPTC calls its images: one of `manifests.format.schema.SOURCE_TYPES`."""
        return self._recipe.source_type

    @property
    def network(self) -> nn.Module:
        """In eval mode, in its precision and layout."""
        return self._network

    @property
    def at_a_time(self) -> int:
        """How many rows the network sees together."""
        return self.batch_size if self.convolutions == "channels_last" else 1

    def translate(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(N, H, W, 3) uint8 RGB -> the same shape, restyled; for recipes that read nothing but the source image."""
        return self.generate({"source": images})

    def generate(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
        """As `attempt`, where every row has to come out.

        Raises:
            NotFiniteError: the pixels of one are not finite.
            ValueError: as `attempt`.
        """
        images, finite = self.attempt(columns)
        if not finite.all():
            raise NotFiniteError(
                f"the generator {self.name} makes pixels that are not finite in {(~finite).sum()} of {len(finite)} "
                "images: train it again, with a lower --learning-rate, or run it with --precision float32"
            )
        return images

    def attempt(self, columns: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """N rows of each input column -> (N, H, W, 3) uint8 RGB, and which of them (N,) are pictures: where a pixel is
        not finite its row is False and holds nothing. A row depends on that row alone.

        Images and drawings are (N, H, W, 3) uint8, masks (N, H, W) bool, conditions (N,) int64, noise (N, D) float32.
        A recipe that draws by a row's own ``seed`` (N,) int64 takes the rows' numbers where there is none.
        The network always sees `at_a_time` rows (the last batch is filled up), so that the libraries below
        choose the same arithmetic however a caller cuts the work.

        Raises:
            ValueError: a column is missing, of another shape or type, or has a side that 4 does not divide.
        """
        return self.begin(columns).result()

    def begin(self, columns: Mapping[str, NDArray[Any]]) -> Making:
        """As `attempt`, which a device need not have finished when this returns.

        Raises:
            ValueError: as `attempt`.
        """
        rows = len(next(iter(columns.values()), ()))
        given = self._recipe.completed(dict(columns), rows, self._size_of(columns))
        used = {name: given[name] for name in self.inputs if name in given}
        if len(used) < len(self.inputs):
            raise ValueError(f"{self.recipe} reads the columns {self.inputs}, got {tuple(columns)}")
        for name, column in used.items():
            _check_column(name, column)
        lengths = {len(column) for column in used.values()}
        if len(lengths) != 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")
        count = lengths.pop()
        parts = [
            self._batch({name: column[start : start + self.at_a_time] for name, column in used.items()})
            for start in range(0, count, self.at_a_time)
        ]
        return Making(parts, self._nothing(used))

    def _batch(self, part: Mapping[str, NDArray[Any]]) -> MadePart:
        rows = len(next(iter(part.values())))
        with torch.inference_mode():
            given = {name: upload(_filled(column, self.at_a_time), self._device) for name, column in part.items()}
            batch = to_batch(given, self._device, memory_format(self.convolutions))
            dtype = getattr(torch, self.precision)
            batch = {name: column.to(dtype) if column.is_floating_point() else column for name, column in batch.items()}
            made = self._recipe.generate(self._network, batch)[:rows]
            images, source = clipped(made), given.get("source")
            return MadePart(
                Download(images), Download(are_finite(made)), images, None if source is None else source[:rows]
            )

    def _size_of(self, columns: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
        """Height and width of what is made: as of what goes in, if that has any."""
        sides = [column.shape[1:3] for column in columns.values() if column.ndim >= 3]
        return (sides[0][0], sides[0][1]) if sides else (self.height, self.width)

    def _nothing(self, used: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
        return np.empty((0, *self._size_of(used), 3), np.uint8)


def _check_column(name: str, column: NDArray[Any]) -> None:
    picture = column.ndim == 4 and column.shape[3] == 3 and column.dtype == np.uint8
    mask = column.ndim == 3 and column.dtype == np.bool_
    numbers = column.ndim <= 2 and column.dtype in (np.int64, np.float32)
    if not (picture or mask or numbers):
        raise ValueError(
            f"{name} must be (N, H, W, 3) uint8 or another kind of input, got {column.shape} {column.dtype}"
        )
    if column.ndim > 2 and (column.shape[1] % 4 or column.shape[2] % 4):
        raise ValueError(f"height and width must be divisible by 4, got {column.shape[1:3]}")


def _filled(column: NDArray[Any], rows: int) -> NDArray[Any]:
    if len(column) == rows:
        return column
    filled = np.zeros((rows, *column.shape[1:]), column.dtype)
    filled[: len(column)] = column
    return filled


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
    """The network's tensors in ``dtype``; counters, which half precision cannot hold, as they are."""
    state = network.state_dict()
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def build_metadata(recipe: Recipe, height: int, width: int) -> dict[str, str]:
    """What `load_generator` needs beside the tensors; it travels inside the weights file."""
    settings = json_text(recipe.sized((height, width)).settings.model_dump(mode="json"), sort_keys=True)
    return {"recipe": recipe.name, "settings": settings, "height": str(height), "width": str(width)}


def load_generator(
    name_or_path: str | Path,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    batch_size: int = 32,
    own_recipe: type[Recipe] | None = None,
    convolutions: Convolutions = "auto",
    generation: Mapping[str, Any] | None = None,
) -> Generator:
    """A shipped generator by name, a file, or the output folder of a training; of ``own_recipe`` where it is one that
    the table of recipes does not list. ``convolutions`` by themselves are what is usually fast on such a device;
    ``generation``: settings of the recipe that are chosen anew (`Recipe.asked`).

    Raises:
        UserError: not found, wrong digest, or no generator of a recipe known here.
    """
    given = Path(name_or_path).expanduser()
    path = given / FILE_NAME if given.is_dir() else resolve(name_or_path)
    recipe, size = read_recipe(path, own_recipe)
    recipe = recipe.asked(generation or {})
    network = load_network(path, lambda: recipe.build_generator(size))
    dtype = resolve_precision(precision, device)
    network = network.to(device, dtype).eval().requires_grad_(False)
    return Generator(
        name=str(name_or_path) if not given.exists() else path.stem,
        recipe=recipe.name,
        settings=recipe.settings.model_dump(mode="json"),
        sha256=file_sha256(path),
        height=size[0],
        width=size[1],
        precision=str(dtype).removeprefix("torch."),
        batch_size=batch_size,
        convolutions=arrange(network, convolutions, size),
        _recipe=recipe,
        _network=network,
        _device=torch.device(device),
    )


class GeneratorMetadata(NetworkMetadata):
    """What `build_metadata` writes."""

    recipe: str
    settings: str
    height: Annotated[Side, Field(ge=16, multiple_of=4)]
    width: Annotated[Side, Field(ge=16, multiple_of=4)]


def read_recipe(path: Path, own_recipe: type[Recipe] | None = None) -> tuple[Recipe, tuple[int, int]]:
    """The recipe that a weights file's metadata name, with its settings, and the (height, width) it was trained at.

    Raises:
        UserError: they name none, or one that this version does not know; a value is out of bounds.
    """
    metadata = read_metadata(path, GeneratorMetadata, "generator")
    model = (
        own_recipe if own_recipe is not None and own_recipe.name == metadata.recipe else find_recipe(metadata.recipe)
    )
    try:
        recipe = model(model.settings_model.model_validate_json(metadata.settings))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise UserError(f"{path} was made by another version of {model.name}: {where}: {first['msg']}") from None
    return recipe, (metadata.height, metadata.width)
