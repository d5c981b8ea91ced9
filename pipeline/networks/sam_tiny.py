"""A small Segment Anything: the package's own classes at a size that a laptop's CPU trains in half an hour.

Kirillov et al., "Segment Anything", ICCV 2023, section 3. One crop fills the whole square canvas, so a mask
never depends on a neighbour's pixels.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

CANVAS = 128
PATCH = 8
WIDTH = 128
DEPTH = 4
HEADS = 4


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
    prompts = PromptEncoder(WIDTH, (grid, grid), (CANVAS, CANVAS), mask_in_chans=16)
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=256, num_heads=HEADS),
        transformer_dim=WIDTH,
        iou_head_depth=3,
        iou_head_hidden_dim=64,
    )
    return Sam(encoder, prompts, decoder)
