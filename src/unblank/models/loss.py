"""Cross-entropy over a large vocabulary without ever holding all logits.

Only the hidden states of scored positions come in; they are projected a chunk at a time, and the
gradients of a chunk are taken while its logits are still in cache.

Shapes: `N` scored positions, `D` width, `V` vocabulary rows, `C` positions in a chunk.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ROWS_MULTIPLE", "linear_cross_entropy_sum", "rows_at_once"]

CHUNK_BYTES = 64 * 2**20
"""Upper size of one chunk of fp32 logits."""

ROWS_MULTIPLE = 128
"""Chunks have a multiple of so many rows: every new shape of a product costs oneDNN a kernel."""


def linear_cross_entropy_sum(
    hidden_ND: Tensor, weight_VD: Tensor, target_N: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Return the summed cross-entropy of softmax(hidden @ weight^T) against the targets.

    With smoothing e the loss of a position is (1 - e) * nll + e * mean over all V rows of -log p,
    as in the original GLM code.

    Args:
        hidden_ND: float[N, D], hidden states of the scored positions only.
        weight_VD: float[V, D], the tied embedding table.
        target_N: int64[N], token ids in [0, V).
        label_smoothing: e in [0, 1).

    Returns:
        float32 scalar, 0 for N = 0.
    """
    if torch.is_autocast_enabled(hidden_ND.device.type):
        dtype = torch.get_autocast_dtype(hidden_ND.device.type)
        hidden_ND, weight_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
    apply: Callable[..., Tensor] = _ChunkedCrossEntropy.apply
    loss = apply(hidden_ND, weight_VD, target_N, label_smoothing)
    return loss


def rows_at_once(vocab_size: int, max_bytes: int) -> int:
    """Return how many rows of V fp32 numbers to handle together, a multiple of `ROWS_MULTIPLE`."""
    return max(1, max_bytes // (4 * vocab_size) // ROWS_MULTIPLE) * ROWS_MULTIPLE


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forward computes the gradients too: logits are made once and never kept."""

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, target_N: Tensor, smoothing: float
    ) -> Tensor:
        num_rows = weight_VD.shape[0]
        chunk = rows_at_once(num_rows, CHUNK_BYTES)
        needs_grad = any(ctx.needs_input_grad)
        grad_hidden = torch.empty_like(hidden_ND) if needs_grad else None
        grad_weight = torch.zeros_like(weight_VD) if needs_grad else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        for start in range(0, hidden_ND.shape[0], chunk):
            target_C = target_N[start : start + chunk, None]
            num_here = len(target_C)
            padding = (0, 0, 0, -num_here % ROWS_MULTIPLE)
            hidden_CD = functional.pad(hidden_ND[start : start + chunk], padding)
            logits_CV = (hidden_CD @ weight_VD.T)[:num_here]
            log_p_CV = torch.log_softmax(logits_CV, dim=-1, dtype=torch.float32)
            loss -= (1 - smoothing) * log_p_CV.gather(1, target_C).sum()
            if smoothing:
                loss -= smoothing / num_rows * log_p_CV.sum()
            if grad_hidden is None or grad_weight is None:
                continue
            grad_CV = log_p_CV.exp_()
            if smoothing:
                grad_CV -= smoothing / num_rows
            grad_CV.scatter_add_(
                1, target_C, torch.full_like(target_C, -(1 - smoothing), dtype=torch.float32)
            )
            grad_low_CV = functional.pad(grad_CV.to(hidden_ND.dtype), padding)
            grad_hidden[start : start + chunk] = (grad_low_CV @ weight_VD)[:num_here]
            grad_weight.addmm_(grad_low_CV.T, hidden_CD)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grad_outputs[0]
        return grad_hidden * scale, grad_weight * scale, None, None
