"""Segment Anything's layers with fused attention and norms: the same weights and values, less memory written.

The package (segment-anything 1.0) writes each attention's whole matrix, twice more with relative positions (805 MB
each for a global layer of ViT-B), its norm over channels in seven passes, and four masks where one is asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor, einsum, nn
from torch.nn import functional

from pipeline.annotation.stand_ins import standing_in

# Its two unused modules would import all of torchvision and PyTorch's compiler: 1.8 s of CPU.
with standing_in(frozenset({"segment_anything.predictor", "segment_anything.automatic_mask_generator"})):
    from segment_anything.modeling import common, image_encoder, mask_decoder, transformer

LARGEST_PLAIN = 65_536
"""Logits of a head (256 x 256) up to which plain products beat PyTorch's fused attention in bfloat16 on a CPU."""


class _EncoderAttention(image_encoder.Attention):
    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> the same."""
        n, height, width, _ = x.shape
        q, k, v = self.qkv(x).view(n, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        bias = _positions(q, self.rel_pos_h, self.rel_pos_w, height, width) if self.use_rel_pos else None
        mixed = _attend(q, k, v, bias)
        return self.proj(mixed.transpose(1, 2).reshape(x.shape))


class _DecoderAttention(transformer.Attention):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(B, tokens, C) each -> (B, tokens of q, C)."""
        parts = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        q, k, v = (part.unflatten(2, (self.num_heads, -1)).transpose(1, 2) for part in parts)
        return self.out_proj(_attend(q, k, v).transpose(1, 2).flatten(2))


class _Decoder(mask_decoder.MaskDecoder):
    def forward(
        self, image_embeddings: Tensor, image_pe: Tensor, sparse: Tensor, dense: Tensor, multimask_output: bool
    ) -> tuple[Tensor, Tensor]:
        """The package's for N people with one image (1, C, H, W), without repeating it: (N, 1, H', W') and (N, 1).

        Prompts are (N, prompts, C) and (N, C, H, W). The three masks of `multimask_output` come as they did.
        """
        if multimask_output:
            return super().forward(image_embeddings, image_pe, sparse, dense, multimask_output)
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight]).expand(len(sparse), -1, -1)
        tokens, places = self.transformer(image_embeddings + dense, image_pe, torch.cat([own, sparse], dim=1))
        upscaled = self.output_upscaling(places.transpose(1, 2).unflatten(2, image_pe.shape[2:]))
        weights = self.output_hypernetworks_mlps[0](tokens[:, 1])
        logits = (weights[:, None] @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        return logits, self.iou_prediction_head(tokens[:, 0])[:, :1]


class _Norm(common.LayerNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same in channels-last memory."""
        last = x.permute(0, 2, 3, 1)
        return functional.layer_norm(last, last.shape[3:], self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


_FUSED: dict[type, type] = {
    image_encoder.Attention: _EncoderAttention,
    transformer.Attention: _DecoderAttention,
    mask_decoder.MaskDecoder: _Decoder,
    common.LayerNorm2d: _Norm,
}


def fuse(model: nn.Module) -> None:
    """Have the model's layers run fused; parameters and their names stay."""
    for module in model.modules():
        module.__class__ = _FUSED.get(type(module), type(module))


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, heads, places, C) each, ``bias`` (B, heads, places of q, places of k) -> the shape of ``q``."""
    plain = q.dtype == torch.bfloat16 and q.device.type == "cpu" and q.shape[2] * k.shape[2] <= LARGEST_PLAIN
    if not plain:
        return functional.scaled_dot_product_attention(q, k, v, bias)
    rows, columns, values = (part.flatten(0, 1) for part in (q, k, v))
    added, share = (q.new_empty(1), 0) if bias is None else (bias.flatten(0, 1), 1)
    logits = torch.baddbmm(added, rows, columns.mT, beta=share, alpha=q.shape[-1] ** -0.5)
    # In bfloat16 what is beyond a multiple of 32 goes one by one: float32 is three times as quick in rows of 24.
    exact = None if k.shape[2] % 32 == 0 else torch.float32
    return torch.bmm(logits.softmax(-1, dtype=exact).to(q.dtype), values).view(q.shape)


def _positions(q: Tensor, rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """What relative positions add to the logits, (B, heads, H * W, H * W): a part by rows and one by columns."""
    placed = q.unflatten(2, (height, width))
    by_row = einsum("nhyxc,ykc->nhyxk", placed, image_encoder.get_rel_pos(height, height, rows))
    by_column = einsum("nhyxc,xkc->nhyxk", placed, image_encoder.get_rel_pos(width, width, columns))
    # einsum leaves them in another order of memory, which their large sum would inherit and be copied out of.
    return (by_row.contiguous()[..., :, None] + by_column.contiguous()[..., None, :]).flatten(4).flatten(2, 3)
