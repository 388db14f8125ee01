"""Every way to compute attention gives what the formula says."""

import pytest
import torch
from torch.testing import assert_close

from unblank.models import attention
from unblank.models.attention import attend, check_implementation, prepare_mask
from unblank.models.glm import GlmInfillConfig
from unblank.models.masks import packed_visibility


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, 300, 8).unbind()
    segments = torch.cat([torch.full((2, 180), 1), torch.full((2, 120), 2)], dim=1)
    segments[1, 170:] = 2
    is_prefix = torch.rand(2, 300) < 0.0
    is_prefix[:, :100] = True
    is_prefix[:, 180:250] = True
    return query, key, value, packed_visibility(segments, is_prefix)


def naive(query, key, value, visible, bias=0.0):
    scores = torch.einsum("bhtk,bhsk->bhts", query, key) / query.shape[-1] ** 0.5 + bias
    weights = torch.where(visible, scores, -torch.inf).softmax(-1)
    return torch.einsum("bhts,bhsk->bhtk", weights, value)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_implementations_equal_the_formula(implementation, inputs):
    query, key, value, visible = inputs
    mask = prepare_mask(visible, torch.float32, implementation)
    output, _ = attend(query, key, value, mask, implementation=implementation)
    assert_close(output, naive(query, key, value, visible), atol=1e-5, rtol=1e-5)


def test_blockwise_products_equal_the_formula_with_gradients(inputs):
    query, key, value, visible = inputs
    leaves = [tensor.double().requires_grad_() for tensor in (query, key, value)]
    mask = prepare_mask(visible, torch.bfloat16, "sdpa")
    assert mask.ranges is not None
    assert len(mask.ranges) > 1
    output, _ = attend(*leaves, mask, implementation="sdpa")
    gradients = torch.autograd.grad(output.square().sum(), leaves)
    expected = naive(*leaves, visible)
    expected_gradients = torch.autograd.grad(expected.square().sum(), leaves)
    assert_close(output, expected, atol=1e-5, rtol=1e-5)
    assert_close(gradients, expected_gradients, atol=1e-5, rtol=1e-4)


def test_blockwise_products_with_a_bias_equal_the_formula_with_its_gradient(inputs):
    query, key, value, visible = inputs
    bias = torch.randn(1, 3, 300, 300)
    leaves = [tensor.double().requires_grad_() for tensor in (query, key, value, bias)]
    mask = prepare_mask(visible, torch.bfloat16, "sdpa", bias=leaves[3])
    assert len(mask.ranges) > 1
    output, _ = attend(*leaves[:3], mask, implementation="sdpa")
    gradients = torch.autograd.grad(output.square().sum(), leaves)
    expected = naive(*leaves[:3], visible, leaves[3])
    expected_gradients = torch.autograd.grad(expected.square().sum(), leaves)
    assert_close(output, expected, atol=1e-5, rtol=1e-5)
    assert_close(gradients, expected_gradients, atol=1e-5, rtol=1e-4)


def test_the_gradient_of_a_bias_is_added_up_in_float32(inputs):
    query, key, value, visible = inputs
    bias = torch.randn(1, 3, 300, 300, requires_grad=True)
    tensors = [tensor.bfloat16() for tensor in (query, key, value)]
    mask = prepare_mask(visible, torch.bfloat16, "sdpa", bias=bias)
    output, _ = attend(*tensors, mask, implementation="sdpa")
    (gradient,) = torch.autograd.grad(output.float().square().sum(), [bias])
    exact = naive(*(tensor.float() for tensor in tensors), visible, bias)
    (expected,) = torch.autograd.grad(exact.square().sum(), [bias])
    assert gradient.dtype == torch.float32
    assert (gradient - expected).norm() < 0.02 * expected.norm()


def test_long_rows_leave_the_products_for_the_fused_kernel(inputs, monkeypatch):
    monkeypatch.setattr(attention, "_PRODUCTS_MAX_KEYS", 64)
    assert prepare_mask(inputs[3], torch.bfloat16, "sdpa").ranges is None


def test_unknown_implementation_names_the_choices():
    with pytest.raises(ValueError, match="sdpa, eager, flex_attention"):
        check_implementation("flash_attention_2", GlmInfillConfig())


def test_blockwise_dropout_keeps_the_mean(inputs):
    query, key, value, visible = inputs
    mask = prepare_mask(visible, torch.bfloat16, "sdpa")
    output, _ = attend(query, key, torch.ones_like(value), mask, dropout=0.5)
    assert output.mean().item() == pytest.approx(1.0, abs=0.05)
    assert output.std() > 0.01


def test_blockwise_dropout_has_the_gradient_of_its_forward(inputs):
    query, key, value, visible = inputs
    mask = prepare_mask(visible, torch.bfloat16, "sdpa")
    direction = torch.randn_like(query)

    def loss(moved):
        torch.manual_seed(1)  # the same weights are dropped each time
        return attend(moved, key, value, mask, dropout=0.5)[0].square().sum()

    leaf = query.clone().requires_grad_()
    gradient = torch.autograd.grad(loss(leaf), leaf)[0]
    slope = (loss(query + 0.01 * direction) - loss(query - 0.01 * direction)) / 0.02
    assert_close((gradient * direction).sum(), slope, rtol=2e-2, atol=0.1)


@pytest.mark.slow
def test_compiled_blockwise_dropout_stays_finite():
    visible = torch.ones(2, 1, 64, 64, dtype=torch.bool).tril()
    visible[..., :20] = True
    mask = prepare_mask(visible, torch.bfloat16, "sdpa")
    assert mask.ranges is not None
    compiled = torch.compile(lambda *tensors: attend(*tensors, mask, dropout=0.1)[0])
    torch.manual_seed(0)
    leaves = torch.randn(3, 2, 2, 64, 32, dtype=torch.bfloat16).requires_grad_()
    output = compiled(*leaves)
    (gradient,) = torch.autograd.grad(output.float().sum(), leaves)
    assert output.isfinite().all()
    assert gradient.isfinite().all()
