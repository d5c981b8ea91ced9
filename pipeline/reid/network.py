"""ReID networks: a residual backbone, global average pooling, a batch-norm neck, a classifier without bias.

The neck is that of Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification" (CVPR
workshops 2019, section 3.5); the last stage keeps its resolution (section 3.4).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from manifests.errors import UserError, one_line
from pipeline.checkpoints import resolve
from pipeline.checkpoints.state import load_state
from pipeline.common.settings import Advanced, JobSettings

PARTS = 6
"""Horizontal stripes of local max pooling."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class NetworkSettings(JobSettings):
    """Which network is built."""

    group = "network"
    backbone: Literal["resnet18", "resnet50"] = Field(
        default="resnet18", description="resnet18: small, for CPUs; resnet50: the published baselines'"
    )
    channels: Advanced[int] = Field(
        default=32, ge=4, le=1024, multiple_of=4, description="of resnet18's first stage (64 in He et al., CVPR 2016)"
    )
    last_stride: Advanced[Literal[1, 2]] = Field(
        default=1, description="stride of the last stage (Luo et al., section 3.4)"
    )


class ReidNetwork(nn.Module):
    """Images (N, 3, H, W) float in [-1, 1] -> features (N, ``num_features``) and logits (N, K).

    In eval mode a row depends on that row alone.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, settings: NetworkSettings, classes: int) -> None:
        super().__init__()
        self.settings, self.classes = settings, classes
        build = _resnet50 if settings.backbone == "resnet50" else _resnet18
        self.stem, self.stages, self.num_features = build(settings)
        self.neck = nn.BatchNorm1d(self.num_features)
        self.neck.bias.requires_grad_(False)  # without a shift the classifier's planes pass through the origin
        self.classifier = nn.Linear(self.num_features, classes, bias=False)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def activations(self, images: Tensor) -> list[Tensor]:
        """What each stage gives: (N, C, h, w), from fine to coarse."""
        # Channel statistics of ImageNet, which pretrained backbones expect.
        current: Tensor = self.stem((images * 0.5 + 0.5 - self.mean) / self.deviation)
        found = []
        for stage in self.stages:
            current = stage(current)
            found.append(current)
        return found

    def pooled(self, images: Tensor) -> Tensor:
        """Features (N, D) before the neck, not normalised."""
        return self.activations(images)[-1].mean(dim=(2, 3))

    def embed(self, images: Tensor) -> Tensor:
        """Features (N, D) behind the neck, of Euclidean length 1: what images are compared by."""
        return F.normalize(self.neck(self.pooled(images)).float(), dim=1)

    def embed_parts(self, images: Tensor) -> Tensor:
        """Features (N, `PARTS` * D), of Euclidean length 1: the maxima of `PARTS` horizontal stripes of the last map.

        Local max pooling (Deng et al., "Image-Image Domain Adaptation with Preserved Self-Similarity and Domain-
        Dissimilarity for Person Re-identification", CVPR 2018, section 4.1): nothing is learned for it, so that the
        neck, which was trained on means, has no part in it. Stripes of a map of another height share a row or two.
        """
        stripes = F.adaptive_max_pool2d(self.activations(images)[-1].float(), (PARTS, 1))
        return F.normalize(stripes.flatten(start_dim=1), dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Scores (N, K) of the classes."""
        return self.classify(self.pooled(images))

    def classify(self, pooled: Tensor) -> Tensor:
        """The same of `pooled` features (N, D)."""
        scores: Tensor = self.classifier(self.neck(pooled))
        return scores

    def forward(self, images: Tensor) -> Tensor:
        """As `logits`."""
        return self.logits(images)


def build_network(settings: NetworkSettings, classes: int, seed: int = 0, pretrained: str | None = None) -> ReidNetwork:
    """A network initialised from ``seed`` alone, its backbone from ``pretrained`` (a torchvision state dict) if given.

    Raises:
        UserError: ``pretrained`` is missing or does not fit.
    """
    with torch.random.fork_rng(devices=[]):  # torchvision's layers draw first weights of their own; they are replaced
        network = ReidNetwork(settings, classes)
    _initialize(network, torch.Generator().manual_seed(seed))
    if pretrained is not None:
        _load_backbone(network, pretrained)
    return network


def _resnet18(settings: NetworkSettings) -> tuple[nn.Sequential, nn.ModuleList, int]:
    widths = [settings.channels * factor for factor in (1, 2, 4, 8)]
    stem = nn.Sequential(
        nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    )
    strides = (1, 2, 2, settings.last_stride)
    before = [widths[0], *widths[:-1]]
    stages = [_stage(*numbers) for numbers in zip(before, widths, strides, strict=True)]
    return stem, nn.ModuleList(stages), widths[-1]


class _NarrowShortcut(nn.Conv2d):
    """A 1x1 convolution that drops the pixels which its stride passes over, then has none.

    The same sums as `nn.Conv2d`'s, whose gradient by oneDNN writes behind its buffer where fewer channels come in
    than a vector register holds, 16 at most (torch 2.15, uxlfoundation/oneDNN issue 6035): the process aborts.
    """

    def forward(self, images: Tensor) -> Tensor:
        down, across = self.stride
        return F.conv2d(images[..., ::down, ::across], self.weight)


def _stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    from torchvision.models.resnet import BasicBlock  # seconds to import, for which --help need not wait

    shortcut = None
    if stride != 1 or channels_in != channels_out:
        kind = _NarrowShortcut if channels_in < 16 else nn.Conv2d
        convolution = kind(channels_in, channels_out, 1, stride, bias=False)
        shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels_out))
    first = BasicBlock(channels_in, channels_out, stride, shortcut)
    return nn.Sequential(first, BasicBlock(channels_out, channels_out))


def _resnet50(settings: NetworkSettings) -> tuple[nn.Sequential, nn.ModuleList, int]:
    from torchvision.models.resnet import resnet50

    whole = resnet50(weights=None)
    first = whole.layer4[0]
    first.conv2.stride = first.downsample[0].stride = (settings.last_stride, settings.last_stride)
    stem = nn.Sequential(whole.conv1, whole.bn1, whole.relu, whole.maxpool)
    return stem, nn.ModuleList([whole.layer1, whole.layer2, whole.layer3, whole.layer4]), 2048


def _initialize(network: ReidNetwork, generator: torch.Generator) -> None:
    """Convolutions as He et al. (ICCV 2015, section 2.2), the classifier from N(0, 0.001) as Luo et al."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    nn.init.normal_(network.classifier.weight, 0.0, 0.001, generator=generator)


_STEM_NAMES = {"conv1": "stem.0", "bn1": "stem.1"}


def _load_backbone(network: ReidNetwork, pretrained: str) -> None:
    """Put torchvision's weights under our names; its own classifier is dropped."""
    state = {}
    for name, tensor in load_state(resolve(pretrained)).items():
        top, _, rest = name.partition(".")
        if top.startswith("layer") and top[5:].isdigit():
            state[f"stages.{int(top[5:]) - 1}.{rest}"] = tensor
        elif top in _STEM_NAMES:
            state[f"{_STEM_NAMES[top]}.{rest}"] = tensor
    own = {name for name in network.state_dict() if name.startswith(("stem.", "stages."))}
    own -= {name for name in own if name.endswith(".num_batches_tracked")}  # older files have none; nothing reads it
    try:
        if not own <= state.keys():
            raise RuntimeError(f"{min(own - state.keys())} is missing")
        network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise UserError(
            f"{pretrained} does not fit a {network.settings.backbone} of these settings: {one_line(error, 200)}"
        ) from None
