"""Float32 matrix products at full speed on AMD processors.

MKL takes a slow path there and oneDNN does not: 247 against 106 GFLOP/s on one core of an EPYC, for
products of many rows. torch reaches oneDNN through a switch that elsewhere trades exactness for
speed, so it is only set inside a block, and only where a product comes out as exact as float32
should be.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

__all__ = ["fast_fp32_products"]


@contextmanager
def fast_fp32_products(dtype: torch.dtype, device: torch.device) -> Iterator[str]:
    """Within the block, let oneDNN multiply float32 on AMD processors; yields a note, or "".

    Args:
        dtype: of the products; other than float32 nothing is changed.
        device: where they run; other than a CPU nothing is changed.
    """
    before = torch.get_float32_matmul_precision()
    note = ""
    if dtype == torch.float32 and device.type == "cpu" and _is_faster_and_exact():
        torch.set_float32_matmul_precision("medium")
        note = "; products through oneDNN"
    try:
        yield note
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def _is_faster_and_exact() -> bool:
    if not _is_amd():
        return False
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        return _products_are_exact()
    finally:
        torch.set_float32_matmul_precision(before)


def _is_amd() -> bool:
    information = Path("/proc/cpuinfo")
    return information.is_file() and "AuthenticAMD" in information.read_text(encoding="utf-8")


def _products_are_exact() -> bool:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(2, 256, 256, generator=generator)
    exact = left.double() @ right.double()
    # Products of this size err by some 1e-6 in float32 and by more than 1e-3 in bfloat16.
    return float((left @ right - exact).abs().max() / exact.abs().max()) < 1e-5
