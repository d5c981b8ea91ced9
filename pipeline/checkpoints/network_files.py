"""Networks out of weights files that a stranger may have written.

What the metadata ask for is held against the tensors that are there before any of it is built: a file cannot ask for
more memory than it has bytes for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from manifests.errors import UserError, one_line
from pipeline.checkpoints.state import load_metadata, load_shapes, load_state
from pipeline.common.devices import shapes_alone
from pipeline.common.images import LARGEST_SIDE

Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
"""Height or width of the images that a network was trained on, pixels."""
Network = TypeVar("Network", bound=nn.Module)


class NetworkMetadata(BaseModel):
    """What a weights file says of how to build its network: numbers stand there as text."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Metadata = TypeVar("Metadata", bound=NetworkMetadata)


def read_metadata(path: Path, model: type[Metadata], what: str) -> Metadata:
    """The metadata of the file at ``path``, which should be a ``what``.

    Raises:
        UserError: it has none, lacks some, or a value is out of bounds.
    """
    stored = load_metadata(path)
    names = {field.alias or name for name, field in model.model_fields.items() if field.is_required()}
    if not names <= set(stored):
        raise UserError(f"{path} is no {what} of this project: it does not say how to build it")
    try:
        return model.model_validate(stored)
    except ValidationError as error:
        first = error.errors()[0]
        where, value = ".".join(map(str, first["loc"])), str(first["input"])[:40]
        raise UserError(f"{path} is no {what} of this project: its {where} {value!r}: {first['msg']}") from None


def load_network(path: Path, build: Callable[[], Network]) -> Network:
    """The network of ``build`` with the tensors of the safetensors file at ``path``, as float32.

    Raises:
        UserError: as `check_fits`.
    """
    check_fits(path, build)
    with torch.random.fork_rng(devices=[]):  # layers draw first weights, which are replaced
        network = build()
    state = load_state(path)
    network.load_state_dict({name: one.float() if one.is_floating_point() else one for name, one in state.items()})
    return network


def check_fits(path: Path, build: Callable[[], nn.Module]) -> None:
    """Whether the tensors of the file at ``path`` are those of the network that ``build`` makes; makes none.

    Raises:
        UserError: they are not, or no such network can be built.
    """
    found = load_shapes(path)
    try:
        with shapes_alone():
            wanted = {name: tuple(one.shape) for name, one in build().state_dict().items()}
    except (RuntimeError, ValueError, OverflowError) as error:
        raise UserError(f"{path} does not fit its own settings: {one_line(error, 200)}") from None
    differ = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if differ:
        name = differ[0]
        shapes = f"{name} is {found.get(name, 'missing')}, they ask for {wanted.get(name, 'none')}"
        raise UserError(f"{path} does not fit its own settings: {len(differ)} tensors differ, {shapes}")
