"""A trained ReID network as a function of images: saved with how to build it, loaded by name or path."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from manifests.errors import UserError, one_line
from manifests.format.soft_labels import ClassMap
from pipeline.checkpoints import resolve
from pipeline.checkpoints.downloads import file_sha256
from pipeline.checkpoints.network_files import NetworkMetadata, Side, load_network, read_metadata
from pipeline.checkpoints.state import save_state
from pipeline.common.finite import NotFiniteError
from pipeline.common.images import resize
from pipeline.common.tensors import to_signed
from pipeline.reid.network import PARTS, NetworkSettings, ReidNetwork

FILE_NAME = "reid.safetensors"
Images = NDArray[np.uint8]


@dataclass(frozen=True)
class ReidModel:
    """A ReID network on one device, in float32, with one batch shape for ever: a row of any result depends on that
    row's image alone. Images are (N, H, W, 3) uint8 RGB of any size and are brought to the network's own. Every method
    raises `NotFiniteError` where the network answers with what is not finite."""

    network: ReidNetwork
    height: int
    width: int
    classes: ClassMap | None = None
    """Who the classes are, where they are people."""
    sha256: str = ""
    """Of the weights file; empty for a network that was never written."""
    batch_size: int = 32

    @property
    def people(self) -> ClassMap:
        """Who the classes are.

        Raises:
            UserError: they are no people, or of no names.
        """
        if self.classes is None:
            raise UserError("the ReID network does not say whom its classes name: train it anew")
        return self.classes

    def embed(self, images: Images) -> NDArray[np.float32]:
        """(N, D) rows of Euclidean length 1: compare them by their inner product."""
        return self._run(self.network.embed, images)[0]

    def embed_parts(self, images: Images) -> NDArray[np.float32]:
        """As `embed`, by local max pooling: (N, parts * D) rows of Euclidean length 1.

        Raises:
            UserError: the network's last map has fewer rows than there are parts.
        """
        rows = math.ceil(self.height / 16 / self.network.settings.last_stride)
        if rows < PARTS:
            raise UserError(
                f"local max pooling needs {PARTS} rows in the last map; this network of {self.height} x {self.width} "
                f"images has {rows}: leave --lmp out, or train with a greater --height"
            )
        return self._run(self.network.embed_parts, images)[0]

    def pooled(self, images: Images) -> NDArray[np.float32]:
        """(N, D) features before the neck, of any length: what Fréchet distances are taken of."""
        return self._run(self.network.pooled, images)[0]

    def logits(self, images: Images) -> NDArray[np.float32]:
        """(N, K) scores of the classes."""
        return self._run(self.network.logits, images)[0]

    def probabilities(self, images: Images, temperature: float = 1.0) -> NDArray[np.float32]:
        """(N, K): softmax of the scores over ``temperature``; above 1 flatter. Rows sum to 1."""
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        scores = torch.from_numpy(self.logits(images)).double() / temperature
        return np.asarray(scores.softmax(dim=1).float().numpy())

    def activations(self, images: Images) -> list[NDArray[np.float32]]:
        """What each stage of the backbone gives: (N, C, h, w), from fine to coarse."""
        return self._run(self.network.activations, images)

    def _run(self, function: Callable[[Tensor], Tensor | list[Tensor]], images: Images) -> list[NDArray[np.float32]]:
        """The outputs of ``function`` over all images, batch by batch; the last batch is filled up."""
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise ValueError(f"images must be (N, H, W, 3) uint8, got {images.shape} {images.dtype}")
        device = next(self.network.parameters()).device
        parts: list[list[Tensor]] = []
        with torch.inference_mode():
            for start in range(0, max(len(images), 1), self.batch_size):
                part = images[start : start + self.batch_size]
                filled = np.zeros((self.batch_size, self.height, self.width, 3), np.uint8)
                for row, image in enumerate(part):
                    filled[row] = resize(image, self.height, self.width)
                made = function(to_signed(filled, device))
                outputs = made if isinstance(made, list) else [made]
                parts.append([output[: len(part)].float().cpu() for output in outputs])
        return self._finite([torch.cat(outputs).numpy() for outputs in zip(*parts, strict=True)])

    def _finite(self, outputs: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        rows = np.ones(len(outputs[0]), np.bool_)
        for output in outputs:
            rows &= np.isfinite(output).all(axis=tuple(range(1, output.ndim)))
        if not rows.all():
            raise NotFiniteError(
                f"the ReID network {self.sha256[:12]} answers {(~rows).sum()} of {len(rows)} images with NaN: "
                "train it again, with a lower --learning-rate, or name another"
            )
        return outputs


def as_model(network: ReidNetwork, height: int, width: int, classes: ClassMap | None = None) -> ReidModel:
    """A trained network in memory as a model."""
    return ReidModel(network.eval().requires_grad_(False), height, width, classes)


def save_reid(
    path: Path,
    network: ReidNetwork,
    height: int,
    width: int,
    classes: ClassMap | None = None,
    dtype: torch.dtype = torch.float32,
) -> str:
    """Write ``network``, how to build it and whom its classes name; returns the file's SHA-256."""
    state = {name: one.to(dtype) if one.is_floating_point() else one for name, one in network.state_dict().items()}
    metadata = {
        "reid_network": network.settings.model_dump_json(),
        "num_classes": str(network.classes),
        "height": str(height),
        "width": str(width),
        **({ClassMap.FOOTER_KEY: classes.to_json()} if classes is not None else {}),
    }
    save_state(state, path, metadata)
    return file_sha256(path)


def start_from(network: ReidNetwork, name_or_path: str) -> str:
    """Give ``network`` the weights of a trained one (as for `load_reid`), but its classifier: that is of other people.

    Returns the SHA-256 of the weights file.

    Raises:
        UserError: as `load_reid`, or the networks are not of one kind.
    """
    trained = load_reid(name_or_path)
    theirs, mine = (one.settings.model_dump() for one in (trained.network, network))
    for name, value in theirs.items():
        if mine[name] != value:
            raise UserError(
                f"--start-from {name_or_path} is a network with {name} {value}, not {mine[name]}: take the same "
                f"--{name.replace('_', '-')}"
            )
    state = {name: one for name, one in trained.network.state_dict().items() if not name.startswith("classifier.")}
    network.load_state_dict(state, strict=False)
    return trained.sha256


class ReidMetadata(NetworkMetadata):
    """What `save_reid` writes."""

    reid_network: str
    num_classes: int = Field(ge=1, le=2**24)
    height: Side
    width: Side
    classes: str | None = Field(default=None, alias=ClassMap.FOOTER_KEY)


def load_reid(name_or_path: str | Path, device: torch.device | str = "cpu", batch_size: int = 32) -> ReidModel:
    """A shipped model by name, a file, or the output folder of a training.

    Raises:
        UserError: not found, wrong digest, or no ReID network of this project.
    """
    given = Path(name_or_path).expanduser()
    path = given / FILE_NAME if given.is_dir() else resolve(name_or_path)
    metadata = read_metadata(path, ReidMetadata, "ReID network")
    try:
        settings = NetworkSettings.model_validate_json(metadata.reid_network)
        classes = ClassMap.from_json(metadata.classes) if metadata.classes is not None else None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} does not fit its own settings: {one_line(error, 200)}") from None
    if classes is not None and len(classes) != metadata.num_classes:
        raise UserError(f"{path} does not fit its own settings: {metadata.num_classes} classes, {len(classes)} named")
    network = load_network(path, lambda: ReidNetwork(settings, metadata.num_classes))
    network = network.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return ReidModel(network, metadata.height, metadata.width, classes, file_sha256(path), batch_size)
