"""A small Segment Anything: the package's own classes at a size that a laptop's CPU trains in half an hour.

Kirillov et al., "Segment Anything", ICCV 2023, section 3. One crop fills the whole square canvas, so a mask
never depends on a neighbour's pixels.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

CANVAS = 128
PATCH = 8
WIDTH = 128
DEPTH = 4
HEADS = 4


class OverlappingPatchEmbed(nn.Module):
    """The package's patch embedding plus what three strided convolutions see across patch borders.

    Convolutions in front of a transformer make it learn in far fewer steps: Xiao et al., "Early Convolutions Help
    Transformers See Better", NeurIPS 2021. Theirs begin at zero here, so the sum begins as the package's own.
    """

    def __init__(self, proj: nn.Module) -> None:
        super().__init__()
        self.proj = proj
        last = nn.Conv2d(64, WIDTH, 3, stride=2, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.overlapping = nn.Sequential(
            nn.Conv2d(3, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            last,
        )

    def forward(self, canvases: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, S / 8, S / 8, WIDTH)."""
        return (self.proj(canvases) + self.overlapping(canvases)).permute(0, 2, 3, 1)


def build_sam_tiny() -> Any:
    """`segment_anything.modeling.Sam` with a 128 x 128 canvas, a 4-block ViT of width 128 and a 2-block decoder."""
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    grid = CANVAS // PATCH
    encoder = ImageEncoderViT(
        img_size=CANVAS,
        patch_size=PATCH,
        embed_dim=WIDTH,
        depth=DEPTH,
        num_heads=HEADS,
        mlp_ratio=3,
        out_chans=WIDTH,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        window_size=0,
    )
    encoder.patch_embed = OverlappingPatchEmbed(encoder.patch_embed.proj)
    prompts = PromptEncoder(WIDTH, (grid, grid), (CANVAS, CANVAS), mask_in_chans=16)
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=256, num_heads=HEADS),
        transformer_dim=WIDTH,
        iou_head_depth=3,
        iou_head_hidden_dim=64,
    )
    return Sam(encoder, prompts, decoder)
