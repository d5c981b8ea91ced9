"""Which precision networks run in: bfloat16 where the hardware multiplies it natively, else float32."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

# torch is imported by who asks: its settings say only which there are.

Precision = Literal["auto", "float32", "bfloat16"]

_WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""The limits of oneDNN below its own bfloat16 kernels (its "CPU dispatcher control")."""


def resolve_precision(precision: Precision, device: torch.device | str) -> torch.dtype:
    """The dtype for ``precision`` on ``device``; ``auto`` takes bfloat16 on Ampere and later and on CPUs where
    `cpu_runs_bfloat16`. Asked for by name, bfloat16 runs on any CPU: where it is emulated, at half float32's speed."""
    import torch

    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if torch.device(device).type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = cpu_runs_bfloat16()
    return torch.bfloat16 if native else torch.float32


@cache
def cpu_runs_bfloat16() -> bool:
    """Whether this process multiplies bfloat16 by instructions made for it: the processor has AMX or AVX-512 BF16,
    and neither ATen (``ATEN_CPU_CAPABILITY``) nor oneDNN (``ONEDNN_MAX_CPU_ISA``) is kept from using them.

    Both libraries read their limits once, so the answer holds as long as the process.
    """
    import torch

    return (
        _processor_has_bfloat16()
        and torch.backends.cpu.get_cpu_capability() not in {"DEFAULT", "NO AVX", "AVX2"}
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        and _onednn_limit() not in _WITHOUT_BFLOAT16
    )


def _processor_has_bfloat16() -> bool:
    import torch

    if hasattr(torch.cpu, "get_capabilities"):
        features = torch.cpu.get_capabilities()
        return bool(features.get("amx_bf16") or features.get("avx512_bf16"))
    # torch 2.10, the last for CUDA 12; no processor has AMX's tiles without its bfloat16.
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def _onednn_limit() -> str:
    """oneDNN says itself whether it takes bfloat16, but not whether it would emulate it: that is told by its limit."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    return limit.upper()
