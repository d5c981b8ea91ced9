"""Which precision networks run in: bfloat16 where the hardware multiplies it natively, else float32."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def resolve_precision(precision: Precision, device: torch.device | str) -> torch.dtype:
    """The dtype for ``precision`` on ``device``; ``auto`` takes bfloat16 on Ampere and later and on CPUs with AMX
    or AVX-512 BF16."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if torch.device(device).type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        features = torch.cpu.get_capabilities()
        native = bool(features.get("amx_bf16") or features.get("avx512_bf16"))
    return torch.bfloat16 if native else torch.float32
