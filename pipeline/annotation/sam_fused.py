"""Segment Anything's layers with fused attention and norms: the same weights and values, less memory written.

The package (segment-anything 1.0) writes each attention's whole matrix, twice more with relative positions (805 MB
each for a global layer of ViT-B), and its norm over channels in seven passes.
"""

from __future__ import annotations

from torch import Tensor, einsum, nn
from torch.nn import functional

from pipeline.annotation.stand_ins import standing_in

# Its two unused modules would import all of torchvision and PyTorch's compiler: 1.8 s of CPU.
with standing_in(frozenset({"segment_anything.predictor", "segment_anything.automatic_mask_generator"})):
    from segment_anything.modeling import common, image_encoder, transformer


class _EncoderAttention(image_encoder.Attention):
    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> the same."""
        n, height, width, _ = x.shape
        q, k, v = self.qkv(x).view(n, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        bias = _positions(q, self.rel_pos_h, self.rel_pos_w, height, width) if self.use_rel_pos else None
        mixed = functional.scaled_dot_product_attention(q, k, v, bias)
        return self.proj(mixed.transpose(1, 2).reshape(x.shape))


class _DecoderAttention(transformer.Attention):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, tokens, C) each -> (B, tokens of q, C)."""
        parts = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        heads = (part.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        return self.out_proj(functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2))


class _Norm(common.LayerNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same in channels-last memory."""
        last = x.permute(0, 2, 3, 1)
        return functional.layer_norm(last, last.shape[3:], self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


_FUSED: dict[type, type] = {
    image_encoder.Attention: _EncoderAttention,
    transformer.Attention: _DecoderAttention,
    common.LayerNorm2d: _Norm,
}


def fuse(model: nn.Module) -> None:
    """Have the model's layers run fused; parameters and their names stay."""
    for module in model.modules():
        module.__class__ = _FUSED.get(type(module), type(module))


def _positions(q: Tensor, rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """What relative positions add to the logits, (B, heads, H * W, H * W): a part by rows and one by columns."""
    placed = q.unflatten(2, (height, width))
    by_row = einsum("nhyxc,ykc->nhyxk", placed, image_encoder.get_rel_pos(height, height, rows))
    by_column = einsum("nhyxc,xkc->nhyxk", placed, image_encoder.get_rel_pos(width, width, columns))
    # einsum leaves them in another order of memory, which their large sum would inherit and be copied out of.
    return (by_row.contiguous()[..., :, None] + by_column.contiguous()[..., None, :]).flatten(4).flatten(2, 3)
