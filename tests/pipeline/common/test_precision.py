"""bfloat16 is chosen where this process multiplies it natively, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pipeline.common.precision import cpu_runs_bfloat16, resolve_precision

Patch = pytest.MonkeyPatch


@pytest.fixture
def able(monkeypatch: Patch) -> Iterator[Patch]:
    """A process that runs bfloat16, on whatever processor."""
    flags(monkeypatch, avx512_bf16=True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    cpu_runs_bfloat16.cache_clear()
    yield monkeypatch
    cpu_runs_bfloat16.cache_clear()


def flags(patch: Patch, **features: bool) -> None:
    patch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)


def auto() -> torch.dtype:
    return resolve_precision("auto", "cpu")


def test_where_it_runs_it_is_chosen(able: Patch) -> None:
    assert auto() == torch.bfloat16


def test_amx_alone_is_enough(able: Patch) -> None:
    flags(able, amx_bf16=True)
    assert auto() == torch.bfloat16


def test_not_without_its_instructions(able: Patch) -> None:
    flags(able, avx512_bf16=False, avx512_f=True)
    assert auto() == torch.float32


@pytest.mark.parametrize("capability", ["DEFAULT", "AVX2"])
def test_not_where_aten_is_held_down(able: Patch, capability: str) -> None:
    able.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert auto() == torch.float32


def test_not_where_onednn_takes_none(able: Patch) -> None:
    able.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert auto() == torch.float32


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_not_where_onednn_would_emulate_it(able: Patch, name: str) -> None:
    able.setenv(name, "avx512_core")
    assert auto() == torch.float32


@pytest.mark.parametrize("limit", ["AVX512_CORE_BF16", "AVX512_CORE_AMX", "DEFAULT", ""])
def test_a_limit_above_it_changes_nothing(able: Patch, limit: str) -> None:
    able.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert auto() == torch.bfloat16


def test_what_is_asked_for_by_name_is_taken_and_runs(able: Patch) -> None:
    flags(able)
    assert resolve_precision("float32", "cpu") == torch.float32
    dtype = resolve_precision("bfloat16", "cpu")
    weights = torch.ones(2, 3, 3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype):
        torch.nn.functional.conv2d(torch.ones(1, 3, 4, 4), weights).sum().backward()
    assert weights.grad is not None
    assert (weights.grad == 4).all()
