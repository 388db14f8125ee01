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
    monkeypatch.setattr(loss, "_ROWS_MULTIPLE", rows_multiple)
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


def test_a_sample_of_every_row_is_the_exact_loss():
    torch.manual_seed(0)
    hidden, weight = torch.randn(11, 8), torch.randn(50, 8)
    target = torch.randint(20, (11,))
    exact = linear_cross_entropy_sum(hidden, weight, target)
    assert_close(
        linear_cross_entropy_sum(hidden, weight, target, sampled_softmax=49),
        exact,
        rtol=0.1,
        atol=0,
    )
    assert linear_cross_entropy_sum(hidden, weight, target, sampled_softmax=50) == exact


def test_sampled_normalisers_are_unbiased_whatever_the_targets():
    torch.manual_seed(0)
    hidden, weight = torch.randn(1, 8), torch.randn(400, 8) / 3
    target = (hidden @ weight.T).argmax(1)
    logits = (hidden @ weight.T)[0]
    estimates = [
        (
            linear_cross_entropy_sum(hidden, weight, target, sampled_softmax=60) + logits[target]
        ).exp()
        for _ in range(2000)
    ]
    estimates = torch.stack(estimates)
    error = estimates.std() / len(estimates) ** 0.5
    assert abs(estimates.mean() - logits.exp().sum()) < 4 * error
    assert error < 0.01 * logits.exp().sum()


def test_sampled_gradients_are_those_of_the_weighted_rows():
    torch.manual_seed(0)
    hidden = torch.randn(6, 8, requires_grad=True)
    weight = torch.randn(90, 8, requires_grad=True)
    target = torch.tensor([3, 3, 70, 5, 12, 70])
    torch.manual_seed(1)
    actual = linear_cross_entropy_sum(hidden, weight, target, sampled_softmax=30)
    grad_hidden, grad_weight = torch.autograd.grad(actual, [hidden, weight])
    is_used = grad_weight.abs().sum(1) > 0
    assert int(is_used.sum()) == 30
    weights = torch.where(is_used, 86 / 26, 0.0)
    weights[target] = 1.0
    logits = hidden @ weight.T
    normaliser = (weights * logits.exp()).sum(1).log()
    expected = (normaliser - logits.gather(1, target[:, None])[:, 0]).sum()
    assert_close(actual, expected)
    assert_close(
        (grad_hidden, grad_weight),
        torch.autograd.grad(expected, [hidden, weight]),
        atol=1e-5,
        rtol=1e-5,
    )


def test_many_targets_still_leave_room_for_as_many_others():
    torch.manual_seed(0)
    hidden, weight = torch.randn(40, 8), torch.randn(200, 8, requires_grad=True)
    total = linear_cross_entropy_sum(hidden, weight, torch.arange(40), sampled_softmax=10)
    total.backward()
    assert int((weight.grad.abs().sum(1) > 0).sum()) == 80


def test_smoothing_a_sample_is_refused():
    hidden, weight = torch.randn(2, 8), torch.randn(9, 8)
    with pytest.raises(ValueError, match="sampled_softmax"):
        linear_cross_entropy_sum(hidden, weight, torch.tensor([1, 2]), 0.1, sampled_softmax=4)


def test_sampling_where_every_row_is_a_target_is_exact():
    torch.manual_seed(5)
    hidden, weight, target = torch.randn(40, 8), torch.randn(20, 8), torch.arange(40) % 20
    sampled = linear_cross_entropy_sum(hidden, weight, target, sampled_softmax=10)
    torch.testing.assert_close(sampled, linear_cross_entropy_sum(hidden, weight, target))
