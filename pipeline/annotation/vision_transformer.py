"""The plain vision transformer that mmpose's ViTPose configurations take from mmpretrain, which is not installed.

Only what those configurations use: no class token, one feature map as output. Parameters bear mmpretrain's
names, so that official ViTPose checkpoints (arXiv:2204.12484) load. Imported after `pipeline.annotation.mmpose_import`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

NAME = "PlainVisionTransformer"
_ARCHITECTURES = {"base": {"embed_dims": 768, "num_layers": 12, "num_heads": 12, "feedforward_channels": 3072}}


class _Attention(nn.Module):
    def __init__(self, dims: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dims, 3 * dims, bias=qkv_bias)
        self.proj = nn.Linear(dims, dims)

    def forward(self, x: Tensor) -> Tensor:
        n, length, dims = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, self.heads, dims // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(n, length, dims))


class _Layer(nn.Module):
    def __init__(self, arch: Mapping[str, int], qkv_bias: bool) -> None:
        from mmcv.cnn.bricks.transformer import FFN

        super().__init__()
        dims = arch["embed_dims"]
        self.ln1 = nn.LayerNorm(dims, eps=1e-6)
        self.attn = _Attention(dims, arch["num_heads"], qkv_bias)
        self.ln2 = nn.LayerNorm(dims, eps=1e-6)
        self.ffn = FFN(dims, arch["feedforward_channels"], act_cfg={"type": "GELU"})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return self.ffn(self.ln2(x), identity=x)


class VisionTransformer(nn.Module):
    """Patches, learned positions, layers with their norm in front, a last norm."""

    def __init__(
        self,
        arch: Mapping[str, int],
        img_size: tuple[int, int],
        patch_size: int = 16,
        qkv_bias: bool = True,
        patch_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        """``arch`` holds embed_dims, num_layers, num_heads, feedforward_channels; ``img_size`` is (height, width)."""
        from mmcv.cnn.bricks.transformer import PatchEmbed

        super().__init__()
        dims = arch["embed_dims"]
        self.patch_embed = PatchEmbed(
            embed_dims=dims, kernel_size=patch_size, stride=patch_size, input_size=img_size, **(patch_cfg or {})
        )
        rows, columns = self.patch_embed.init_out_size
        self.pos_embed = nn.Parameter(torch.zeros(1, rows * columns, dims))
        self.layers = nn.ModuleList(_Layer(arch, qkv_bias) for _ in range(arch["num_layers"]))
        self.ln1 = nn.LayerNorm(dims, eps=1e-6)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """``(N, 3, H, W)`` of the configured size to one map ``(N, embed_dims, H / patch, W / patch)``."""
        x, (rows, columns) = self.patch_embed(images)
        x = x + self.pos_embed
        for layer in self.layers:
            x = layer(x)
        return (self.ln1(x).transpose(1, 2).reshape(len(x), -1, rows, columns),)


def adapted(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of ``mmpretrain.VisionTransformer`` as one of ours; training's parts are left out."""
    taken = ("arch", "img_size", "patch_size", "qkv_bias", "patch_cfg")
    if backbone.get("with_cls_token", True) or backbone.get("out_type") != "featmap":
        raise ValueError("only the vision transformer of mmpose's ViTPose configurations is supported")
    own = {name: backbone[name] for name in taken if name in backbone}
    return {"type": NAME, **own, "arch": _ARCHITECTURES.get(str(own["arch"]), own["arch"])}


def register() -> None:
    """Make the transformer known to mmpose's registry."""
    from mmpose.registry import MODELS

    if NAME not in MODELS.module_dict:
        MODELS.register_module(name=NAME, module=VisionTransformer)
