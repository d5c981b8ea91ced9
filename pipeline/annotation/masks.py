"""Foreground masks by Segment Anything, many people at a time.

Crops are packed on the model's square canvas (32 people on the official 1024 x 1024, one on the small model's
128 x 128), each canvas is encoded once, and every person is prompted with the box of their cell and with their
keypoints. Encoder, prompt encoder and mask decoder are called as modules on batches of one fixed shape; no
state is kept between calls. With one person a canvas, a mask depends on its own crop alone; on a packed canvas
the encoder's global attention sees the neighbours, so callers cut their batches the same way every time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.errors import UserError, one_line
from manifests.format.skeleton import KEYPOINTS, LEAST_SCORE
from pipeline.annotation.sam_tiny import WIDTH, build_sam_tiny
from pipeline.checkpoints import CHECKPOINTS, file_sha256, load_state, resolve
from pipeline.common.images import BoolMask, RgbImage, resize
from pipeline.common.precision import resolve_precision
from pipeline.common.winograd import use_winograd

SMALLEST_PART = 0.02
"""Islands and holes below this share of the mask's area are dropped and filled."""


class Foreground(NamedTuple):
    """``mask`` (H, W) bool at the crop's own size; ``quality``: the model's own prediction of its IoU, 0 to 1.

    NaN where that or the mask's logits are not finite: the mask means nothing.
    """

    mask: BoolMask
    quality: float


@dataclass(frozen=True)
class CanvasGrid:
    """How people are laid out on a canvas: ``rows`` x ``columns`` equal cells."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        return self.rows * self.columns


# Cells twice as high as wide on the official canvas: 256 x 128 pixels a person.
_PACKED = CanvasGrid(4, 8)
_WHOLE = CanvasGrid(1, 1)


@dataclass
class Segmenter:
    """A Segment Anything model on one device with one batch shape."""

    name: str
    sha256: str
    model: Any
    grid: CanvasGrid
    canvases: int
    """Canvases in a batch."""
    device: torch.device
    dtype: torch.dtype
    """Of the encoder's and the decoder's weights and values; prompts are placed in float32."""

    @property
    def canvas(self) -> int:
        """Side of the square canvas in pixels."""
        return int(self.model.image_encoder.img_size)

    def segment(
        self, images: Sequence[RgbImage], keypoints: Sequence[NDArray[np.float32]] | None = None
    ) -> list[Foreground]:
        """The person in each crop.

        Args:
            images: (H, W, 3) uint8 RGB crops of any sizes, one person filling each.
            keypoints: (17, 3) x, y in pixels of the crop, and score; those scored below 0.3 do not prompt.

        Raises:
            ValueError: as many keypoints as images are needed.
        """
        if keypoints is not None and len(keypoints) != len(images):
            raise ValueError(f"{len(images)} images but {len(keypoints)} sets of keypoints")
        people: list[Foreground] = []
        size = self.canvases * self.grid.cells
        for start in range(0, len(images), size):
            part = images[start : start + size]
            points = keypoints[start : start + size] if keypoints is not None else None
            people += self._batch(part, points)
        return people

    def _batch(self, images: Sequence[RgbImage], keypoints: Sequence[NDArray[np.float32]] | None) -> list[Foreground]:
        """One batch, filled up to its shape with grey canvases and empty prompts."""
        people = self.canvases * self.grid.cells
        canvases = np.full((self.canvases, self.canvas, self.canvas, 3), 127, np.uint8)
        boxes = np.stack([self._cell(index % self.grid.cells) for index in range(people)])
        points = np.zeros((people, KEYPOINTS, 2), np.float32)
        labels = np.full((people, KEYPOINTS), -1, np.int64)
        for index, image in enumerate(images):
            left, top, right, bottom = boxes[index].astype(int)
            cell = resize(image, bottom - top, right - left)
            canvases[index // self.grid.cells, top:bottom, left:right] = cell
            if keypoints is not None:
                points[index], labels[index] = _prompts(keypoints[index], image, boxes[index])
        with torch.inference_mode():
            logits, quality = predict_masks(
                self.model,
                # Planar: sums and products with a number for each channel are quick over whole planes.
                self._tensor(canvases).permute(0, 3, 1, 2).contiguous().float(),
                self._tensor(points),
                self._tensor(labels),
                self._tensor(boxes),
                self.grid.cells,
                self.dtype,
            )
        made = logits.float().cpu().numpy()
        finite = np.isfinite(made).all(axis=(1, 2))
        qualities = np.where(finite, quality.float().clamp(0, 1).cpu().numpy(), np.nan).tolist()
        return [
            Foreground(self._own_mask(made[index], boxes[index], image), qualities[index])
            for index, image in enumerate(images)
        ]

    def _cell(self, index: int) -> NDArray[np.float32]:
        """The cell's box on the canvas: left, top, right, bottom in pixels."""
        height, width = self.canvas // self.grid.rows, self.canvas // self.grid.columns
        row, column = divmod(index, self.grid.columns)
        corners = (column * width, row * height, (column + 1) * width, (row + 1) * height)
        return np.array(corners, np.float32)

    def _own_mask(self, logits: NDArray[np.float32], box: NDArray[np.float32], image: RgbImage) -> BoolMask:
        """Low-resolution logits of the whole canvas -> the mask of one cell at the crop's own size."""
        left, top, right, bottom = (box * (len(logits) / self.canvas)).round().astype(int)
        cell = np.ascontiguousarray(logits[top:bottom, left:right])
        sized = cv2.resize(cell, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
        return clean_mask(np.asarray(sized > 0, dtype=np.bool_))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device, non_blocking=True)


def predict_masks(
    model: Any,
    canvases: Tensor,
    points: Tensor,
    labels: Tensor,
    boxes: Tensor,
    people_per_canvas: int = 1,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Masks of all people on a batch of canvases.

    Args:
        canvases: (B, 3, S, S) RGB, 0 to 255.
        points: (N, 17, 2) pixels of the canvas; labels: (N, 17), 1 or -1 for none; boxes: (N, 4). N people, in
            the order of the canvases.
        dtype: of the encoder and the decoder.

    Returns:
        Logits (N, S', S') at the decoder's resolution (a fourth of the official canvas, half of the small one)
        and predicted IoU (N,).
    """
    embedded = model.image_encoder(((canvases - model.pixel_mean) / model.pixel_std).to(dtype))
    prompts = (*model.prompt_encoder((points, labels), boxes, None), model.prompt_encoder.get_dense_pe())
    sparse, dense, places = (part.to(dtype) for part in prompts)
    of_person = embedded.repeat_interleave(people_per_canvas, dim=0)
    # The decoder takes one image and many prompts, and adds the two: an image of zeros and a dense prompt that
    # carries each person's own embedding make it take many images.
    logits, quality = model.mask_decoder(torch.zeros_like(of_person[:1]), places, sparse, dense + of_person, False)
    return logits[:, 0], quality[:, 0]


def _prompts(
    keypoints: NDArray[np.float32], image: RgbImage, box: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points (17, 2) in pixels of the canvas and labels (17,): 1, or -1 for no prompt.

    A keypoint outside of its crop does not prompt: on a packed canvas it would lie on a neighbour.
    """
    size = np.array(image.shape[1::-1], np.float32)
    places, scores = keypoints[:, :2], keypoints[:, 2]
    inside = ((places >= -0.5) & (places < size - 0.5)).all(axis=1)
    used = inside & (scores >= LEAST_SCORE)
    # Pixel centres lie at whole numbers in crop and canvas alike; edges are what the scaling keeps.
    moved = (places + 0.5) * ((box[2:] - box[:2]) / size) - 0.5 + box[:2]
    return np.where(used[:, None], moved, 0).astype(np.float32), np.where(used, 1, -1).astype(np.int64)


def clean_mask(mask: BoolMask, smallest: float = SMALLEST_PART) -> BoolMask:
    """Drop islands and fill holes whose area is below ``smallest`` of the mask's; the largest part always stays."""
    least = smallest * float(mask.sum())
    kept = _without_small(mask, least)
    return ~_without_small(~kept, least)


def _without_small(mask: BoolMask, least: float) -> BoolMask:
    count, numbers, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count <= 2:
        return mask
    large = statistics[:, cv2.CC_STAT_AREA] >= least
    large[1 + statistics[1:, cv2.CC_STAT_AREA].argmax()] = True
    large[0] = False
    return np.asarray(large[numbers], dtype=np.bool_)


def load_segmenter(name_or_path: str | Path, device: str = "cpu") -> Segmenter:
    """A Segment Anything model by checkpoint name (``sam_tiny``, ``sam_vit_b``, ...) or path.

    The architecture is read off the checkpoint's shapes.

    Raises:
        UserError: not to be had, wrong digest, or no Segment Anything checkpoint.
    """
    # Not before masks are asked for; and before segment_anything, whose unused half it leaves out.
    from pipeline.annotation.sam_fused import fuse

    path = resolve(name_or_path)
    state = load_state(path)
    model, official = _build(state, path)
    _refuse_holes(model, state, path)
    try:
        model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    except RuntimeError as error:
        raise UserError(f"{path} is no complete Segment Anything checkpoint: {one_line(error, 200)}") from None
    model.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
    dtype = resolve_precision("auto", device)
    fuse(model)
    for part in (model.image_encoder, model.mask_decoder):
        part.to(dtype)
    if device == "cpu" and dtype == torch.float32:
        use_winograd(model)
    return Segmenter(
        name=str(name_or_path) if str(name_or_path) in CHECKPOINTS else path.stem,
        sha256=file_sha256(path),
        model=model,
        grid=_PACKED if official else _WHOLE,
        canvases=1 if official else 16,
        device=torch.device(device),
        dtype=dtype,
    )


def _build(state: Mapping[str, Tensor], path: Path) -> tuple[Any, bool]:
    """The model whose encoder has the checkpoint's width, and whether it is an official one."""
    first = state.get("image_encoder.patch_embed.proj.weight")
    if first is None:
        raise UserError(f"{path} is no Segment Anything checkpoint: it has no image_encoder.patch_embed.proj.weight")
    from segment_anything import sam_model_registry

    official = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
    builders: dict[int, Callable[[], Any]] = {width: sam_model_registry[name] for width, name in official.items()}
    width, known = int(first.shape[0]), sorted([*builders, WIDTH])
    if width not in known:
        raise UserError(f"{path}: no Segment Anything model has an encoder of width {width}; known: {known}")
    if width == WIDTH:  # drawing its weights takes less than what "meta" imports: PyTorch's compiler, 1.7 s of CPU
        with torch.random.fork_rng(devices=()):
            return build_sam_tiny(), False
    with torch.device("meta"):  # no time and memory for weights that the checkpoint replaces
        return builders[width](), True


def _refuse_holes(model: Any, state: Mapping[str, Tensor], path: Path) -> None:
    missing = sorted(set(model.state_dict()) - set(state))
    unknown = sorted(set(state) - set(model.state_dict()))
    if missing or unknown:
        first = f"missing {missing[0]}" if missing else f"unknown {unknown[0]}"
        raise UserError(f"{path} does not fit Segment Anything: {len(missing) + len(unknown)} keys differ ({first})")
