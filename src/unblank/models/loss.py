"""Cross-entropy over a large vocabulary without ever holding all logits.

Only the hidden states of scored positions come in; they are projected a chunk at a time
(`logits_in_chunks`), and the gradients of a chunk are taken while its logits are still in cache.
Training may sample the vocabulary: the exact loss costs 6 * N * D * V operations, which is most of
a small model's step when V is 250,000.

Shapes: `N` scored positions, `D` width, `V` vocabulary rows, `C` positions in a chunk, `R` sampled
rows.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from unblank.examples import IGNORE_INDEX
from unblank.models.labels import check_labels

__all__ = [
    "CHUNK_BYTES",
    "GPU_CHUNK_BYTES",
    "log_probabilities_in_chunks",
    "logits_in_chunks",
    "loss_per_item",
    "token_loss",
]

CHUNK_BYTES = 32 * 2**20
"""Most bytes of one chunk of fp32 logits on a CPU, whose caches hold about as much: 64 MB took 6 %
longer in fp32 and 18 % in bf16 (measured on 30,592 rows of width 384)."""

GPU_CHUNK_BYTES = 64 * 2**20
"""The same elsewhere, where products of few rows do not pay."""

_ROWS_MULTIPLE = 128
"""Chunks have a multiple of this many rows: oneDNN builds a kernel for every new shape."""


def token_loss(
    hidden_BTD: Tensor,
    weight_VD: Tensor,
    labels_BT: Tensor,
    label_smoothing: float = 0.0,
    sampled_softmax: int = 0,
) -> tuple[Tensor, Tensor]:
    """Return the summed cross-entropy over the scored positions and their number.

    Args:
        hidden_BTD: last hidden states.
        weight_VD: the tied embedding table.
        labels_BT: int64[B, T], -100 where not scored.
        label_smoothing: as for `linear_cross_entropy_sum`.
        sampled_softmax: as for `linear_cross_entropy_sum`.

    Raises:
        ValueError: labels that are no rows of the table; or sampling in a compiled graph, whose
            shapes must not depend on the labels.
    """
    check_labels(labels_BT, weight_VD.shape[0], "tokens")
    is_scored = labels_BT != IGNORE_INDEX
    if torch.compiler.is_compiling():
        if sampled_softmax:
            raise ValueError("sampled_softmax cannot be compiled: leave it out, or do not compile")
        logits_BTV = functional.linear(hidden_BTD, weight_VD).float()
        loss_sum = functional.cross_entropy(
            logits_BTV.flatten(0, 1),
            labels_BT.flatten(),
            ignore_index=IGNORE_INDEX,
            reduction="sum",
            label_smoothing=label_smoothing,
        )
        return loss_sum, is_scored.sum()
    hidden_ND, target_N = hidden_BTD[is_scored], labels_BT[is_scored]
    loss_sum = linear_cross_entropy_sum(
        hidden_ND, weight_VD, target_N, label_smoothing, sampled_softmax
    )
    return loss_sum, is_scored.sum()


def loss_per_item(
    loss_sum: Tensor | None, num_scored: Tensor | None, num_items: Tensor | int | None
) -> Tensor | None:
    """Return the loss that transformers' `Trainer` expects of a micro-batch.

    Args:
        loss_sum: summed over what is scored; None for no loss.
        num_scored: how many that are.
        num_items: how many they are in all micro-batches of the step; None for this one alone.
    """
    if loss_sum is None or num_scored is None:
        return None
    return loss_sum / (num_scored.clamp(min=1) if num_items is None else num_items)


def linear_cross_entropy_sum(
    hidden_ND: Tensor,
    weight_VD: Tensor,
    target_N: Tensor,
    label_smoothing: float = 0.0,
    sampled_softmax: int = 0,
) -> Tensor:
    """Return the summed cross-entropy of softmax(hidden @ weight^T) against the targets.

    With smoothing e the loss of a position is (1 - e) * nll + e * mean over all V rows of -log p,
    as in the original GLM code.

    Sampled, the loss is an estimate from R rows: the distinct targets, taken exactly, and a uniform
    sample of the others, drawn in each call from torch's own generator and weighted by their
    number over the number drawn. The sum that normalises the softmax is then without bias, and its
    logarithm a little low. It is the sampled softmax of Jean et al. 2015 (section 3.2) whose
    proposal holds the batch's own targets for certain.

    Args:
        hidden_ND: float[N, D], hidden states of the scored positions only.
        weight_VD: float[V, D], the tied embedding table.
        target_N: int64[N], token ids in [0, V).
        label_smoothing: e in [0, 1).
        sampled_softmax: R, of which at least half are others; 0, or V and more, is all rows.

    Returns:
        float32 scalar, 0 for N = 0.

    Raises:
        ValueError: for smoothing together with sampling.
    """
    if sampled_softmax and label_smoothing:
        raise ValueError(
            "label smoothing needs every row of the vocabulary: leave sampled_softmax out"
        )
    offset_R = None
    if 0 < sampled_softmax < weight_VD.shape[0]:
        rows_R, offset_R, target_N = _sample_rows(target_N, weight_VD.shape[0], sampled_softmax)
        weight_VD = functional.embedding(rows_R, weight_VD)
    # Autocast does not reach into an autograd function, so its operands are cast here.
    if torch.is_autocast_enabled(hidden_ND.device.type):
        dtype = torch.get_autocast_dtype(hidden_ND.device.type)
        hidden_ND, weight_VD = hidden_ND.to(dtype), weight_VD.to(dtype)
    apply: Callable[..., Tensor] = _ChunkedCrossEntropy.apply
    return apply(hidden_ND, weight_VD, target_N, label_smoothing, offset_R)


def _sample_rows(target_N: Tensor, vocab_size: int, num_rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the sampled rows [R], what their logits gain [R], and the targets' places there."""
    is_other_V = torch.ones(vocab_size, dtype=torch.bool, device=target_N.device)
    is_other_V[target_N] = False
    others, targets = is_other_V.nonzero()[:, 0], (~is_other_V).nonzero()[:, 0]
    # At least as many others as targets: from few, the sum over all others is badly estimated.
    num_drawn = min(max(num_rows - len(targets), len(targets)), len(others))
    drawn = others[torch.randperm(len(others), device=others.device)[:num_drawn]]
    weight = len(others) / max(num_drawn, 1)  # none is drawn where every row is a target
    gains = (torch.zeros(len(targets)), torch.full((num_drawn,), weight).log())
    offset_R = torch.cat(gains).to(target_N.device)
    return torch.cat([targets, drawn]), offset_R, torch.searchsorted(targets, target_N)


def _chunk_bytes(device: torch.device) -> int:
    """Return the most bytes of one chunk of fp32 logits."""
    return CHUNK_BYTES if device.type == "cpu" else GPU_CHUNK_BYTES


def logits_in_chunks(
    hidden_ND: Tensor, weight_VD: Tensor, max_bytes: int
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield hidden @ weight^T piece by piece, as training wants it.

    Args:
        hidden_ND: float[N, D].
        weight_VD: float[V, D].
        max_bytes: upper size of one chunk of fp32 logits.

    Yields:
        Which rows of N; their hidden states, float[C or more, D], with rows of zeros up to a
        multiple of `_ROWS_MULTIPLE`; their logits, float[C, V].
    """
    for rows in _chunks(len(hidden_ND), len(weight_VD), max_bytes, _ROWS_MULTIPLE):
        num_rows = rows.stop - rows.start
        # Rows of zeros add nothing to a gradient.
        hidden_CD = functional.pad(hidden_ND[rows], (0, 0, 0, -num_rows % _ROWS_MULTIPLE))
        yield rows, hidden_CD, (hidden_CD @ weight_VD.T)[:num_rows]


def log_probabilities_in_chunks(
    head: nn.Linear, hidden_ND: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Yield which rows of N, and float32[C, V], the log-probabilities of their next tokens.

    Args:
        head: the output layer, V rows.
        hidden_ND: float[N, D], of the positions that predict something.
    """
    chunk_bytes = _chunk_bytes(hidden_ND.device)
    for rows in _chunks(len(hidden_ND), head.out_features, chunk_bytes, 1):
        yield rows, torch.log_softmax(head(hidden_ND[rows]).float(), dim=-1)


def _chunks(num_rows: int, vocab_size: int, max_bytes: int, multiple: int) -> Iterator[slice]:
    """Yield neighbouring rows of V fp32 numbers to handle together, a multiple of so many."""
    size = max(1, max_bytes // (4 * vocab_size) // multiple) * multiple
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Forward computes the gradients too: logits are made once and never kept."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        target_N: Tensor,
        smoothing: float,
        offset_V: Tensor | None,
    ) -> Tensor:
        num_rows = weight_VD.shape[0]
        needs_grad = any(ctx.needs_input_grad)
        grad_hidden = torch.empty_like(hidden_ND) if needs_grad else None
        grad_weight = torch.zeros_like(weight_VD) if needs_grad else None
        loss = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        chunk_bytes = _chunk_bytes(hidden_ND.device)
        for rows, hidden_CD, logits_CV in logits_in_chunks(hidden_ND, weight_VD, chunk_bytes):
            target_C1 = target_N[rows, None]
            if offset_V is not None:
                logits_CV = logits_CV + offset_V
            log_p_CV = torch.log_softmax(logits_CV, dim=-1, dtype=torch.float32)
            loss -= (1 - smoothing) * log_p_CV.gather(1, target_C1).sum()
            if smoothing:
                loss -= smoothing / num_rows * log_p_CV.sum()
            if grad_hidden is None or grad_weight is None:
                continue
            # The gradient of the logits, probabilities minus targets, in the memory of log p.
            grad_CV = log_p_CV.exp_()
            if smoothing:
                grad_CV -= smoothing / num_rows
            grad_CV.scatter_add_(
                1, target_C1, torch.full_like(target_C1, -(1 - smoothing), dtype=torch.float32)
            )
            padding = (0, 0, 0, len(hidden_CD) - len(grad_CV))
            # In the dtype of the products, as autograd would compute under autocast.
            grad_low_CV = functional.pad(grad_CV.to(hidden_ND.dtype), padding)
            grad_hidden[rows] = (grad_low_CV @ weight_VD)[: len(grad_CV)]
            grad_weight.addmm_(grad_low_CV.T, hidden_CD)
        ctx.save_for_backward(grad_hidden, grad_weight)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad_hidden, grad_weight = ctx.saved_tensors
        scale = grad_outputs[0]
        return grad_hidden * scale, grad_weight * scale, None, None, None
