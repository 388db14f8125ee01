"""The chunked loss equals torch's cross-entropy, gradients included."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from unblank.models import loss
from unblank.models.loss import linear_cross_entropy_sum


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rows_multiple", [1, 4, 16])
@pytest.mark.parametrize("chunk_bytes", [1, 4 * 50 * 3, 2**20])
def test_chunked_loss_equals_cross_entropy(smoothing, chunk_bytes, rows_multiple, monkeypatch):
    monkeypatch.setattr(loss, "CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr(loss, "ROWS_MULTIPLE", rows_multiple)
    torch.manual_seed(0)
    hidden = torch.randn(11, 8, requires_grad=True)
    weight = torch.randn(50, 8, requires_grad=True)
    target = torch.randint(50, (11,))
    actual = linear_cross_entropy_sum(hidden, weight, target, smoothing)
    expected = functional.cross_entropy(
        hidden @ weight.T, target, reduction="sum", label_smoothing=smoothing
    )
    assert_close(actual, expected)
    assert_close(
        torch.autograd.grad(3 * actual, [hidden, weight]),
        torch.autograd.grad(3 * expected, [hidden, weight]),
        atol=1e-5,
        rtol=1e-5,
    )


def test_nothing_scored_is_a_loss_of_zero():
    hidden, weight = torch.randn(0, 8, requires_grad=True), torch.randn(5, 8, requires_grad=True)
    total = linear_cross_entropy_sum(hidden, weight, torch.empty(0, dtype=torch.long))
    total.backward()
    assert total.item() == 0
    assert not weight.grad.any()


def test_autocast_computes_in_bfloat16_and_sums_in_float32():
    torch.manual_seed(0)
    hidden, weight = torch.randn(64, 32), torch.randn(100, 32)
    target = torch.randint(100, (64,))
    exact = linear_cross_entropy_sum(hidden, weight, target)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = linear_cross_entropy_sum(hidden, weight, target)
    assert rounded.dtype == torch.float32
    assert rounded != exact
    assert_close(rounded, exact, rtol=1e-2, atol=0)
