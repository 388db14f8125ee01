"""Float32 products change their library only where that is exact, and only inside the block."""

import pytest
import torch

from unblank.models import products
from unblank.models.products import fast_fp32_products

CPU = torch.device("cpu")


@pytest.mark.parametrize("is_exact", [True, False])
def test_products_are_switched_only_if_exact_and_switched_back(monkeypatch, is_exact):
    monkeypatch.setattr(products, "_is_amd", lambda: True)
    monkeypatch.setattr(products, "_products_are_exact", lambda: is_exact)
    products._is_faster_and_exact.cache_clear()
    before = torch.get_float32_matmul_precision()
    with fast_fp32_products(torch.float32, CPU) as note:
        assert bool(note) is is_exact
        assert (torch.get_float32_matmul_precision() == "medium") is is_exact
    assert torch.get_float32_matmul_precision() == before
    with fast_fp32_products(torch.bfloat16, CPU) as note:
        assert note == ""
    products._is_faster_and_exact.cache_clear()
