"""Muon: momentum whose matrices are made orthogonal before each step (Jordan et al., 2024).

The update of a matrix M of momentum is U V^T of its singular value decomposition U S V^T, so that
every direction of the matrix moves equally far. `torch.optim.Muon` iterates in bfloat16 one matrix
at a time, which CPUs without bf16 units take 30 times as long for; this one multiplies in the
arithmetic of the run, all matrices of one shape together, and knows fused projections and shards.

Shapes: `N` matrices, `R` rows, `C` columns.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, Replicate
from torch.optim import Optimizer

__all__ = ["Muon"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that pushes singular values towards 1, steepest at 0 (Jordan et al., 2024)."""
_ITERATIONS = 5
_MATCHED_RMS = 0.2
"""Root mean square of an update of AdamW, which makes one learning rate fit both (Liu et al., 2025,
"Muon is scalable for LLM training", section 2.2)."""
_STACKED_NUMBERS = 2**24
"""How many numbers are stacked at once: enough to be fast, little beside the model."""


def orthogonalize(matrices_NRC: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return matrices near U V^T of each, with singular values between about 0.7 and 1.2.

    Five steps of x (a + b x x^T + c (x x^T)^2), in which small singular values grow fastest. Where
    rows and columns differ much, the steps are taken by the small matrix x x^T alone: its products
    are cheaper. That needs float32, since rounding makes its small eigenvalues negative.

    Args:
        matrices_NRC: float[N, R, C]; a matrix of zeros stays so.
        dtype: arithmetic of the products.

    Returns:
        float[N, R, C] of the given dtype.
    """
    rows, columns = matrices_NRC.shape[1:]
    if rows > columns:
        orthogonal_NCR = orthogonalize(matrices_NRC.mT, dtype)
        return orthogonal_NCR.mT
    tiny = torch.finfo(torch.float32).tiny
    norms = torch.linalg.matrix_norm(matrices_NRC.float(), keepdim=True).clamp_min(tiny)
    x_NRC: Tensor = (matrices_NRC.float() / norms).to(dtype)
    if dtype == torch.float32 and columns >= 2 * rows:
        return torch.bmm(_iterated_factor(torch.bmm(x_NRC, x_NRC.mT)), x_NRC)
    for _ in range(_ITERATIONS):
        x_NRC = torch.bmm(_polynomial(torch.bmm(x_NRC, x_NRC.mT)), x_NRC)
    return x_NRC


def _polynomial(gram_NRR: Tensor) -> Tensor:
    """Return a + b g + c g^2 for each g."""
    a, b, c = _COEFFICIENTS
    factor_NRR = torch.baddbmm(gram_NRR, gram_NRR, gram_NRR, beta=b, alpha=c)
    factor_NRR.diagonal(dim1=1, dim2=2).add_(a)
    return factor_NRR


def _iterated_factor(gram_NRR: Tensor) -> Tensor:
    """Return the product of all steps' factors; they are polynomials of one matrix, so commute."""
    product_NRR = _polynomial(gram_NRR)
    factor_NRR = product_NRR
    for _ in range(_ITERATIONS - 1):
        gram_NRR = torch.bmm(torch.bmm(factor_NRR, gram_NRR), factor_NRR)
        factor_NRR = _polynomial(gram_NRR)
        product_NRR = torch.bmm(factor_NRR, product_NRR)
    return product_NRR


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay.

    A step of a matrix with R rows and C columns is lr * 0.2 * sqrt(max(R, C)) times its orthogonal
    momentum. A group may say `num_parts`: that its matrices hold as many matrices one above the
    other, such as the queries of each head, which are made orthogonal apart. For heads that is both
    cheaper and better (docs/log.md).
    """

    def __init__(
        self,
        params: Iterable[Mapping[str, Any]],
        *,
        lr: float,
        factor: float = 1.0,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Set up.

        Args:
            params: groups of matrices; sharded ones are gathered one stack at a time.
            lr: learning rate, as AdamW would have it.
            factor: multiple of it that matrices take.
            momentum: share of the old momentum that stays, in [0, 1).
            weight_decay: share of a weight, times the learning rate, that a step takes away.
            dtype: arithmetic of the orthogonalisation.
        """
        defaults = {
            "lr": lr,
            "factor": factor,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "num_parts": 1,
        }
        super().__init__([dict(group) for group in params], defaults)
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the weights by their gradients."""
        for group in self.param_groups:
            rate = float(group["lr"]) * group["factor"]
            parameters = [one for one in group["params"] if one.grad is not None]
            for stack in _stacks_of_one_shape(parameters):
                momenta = [self._nesterov(one, group["momentum"]) for one in stack]
                updates = self._orthogonal(momenta, group["num_parts"])
                for parameter, update in zip(stack, updates, strict=True):
                    parameter.mul_(1 - rate * group["weight_decay"])
                    parameter.add_(_sharded_like(update, parameter), alpha=-rate)

    def _nesterov(self, parameter: Tensor, momentum: float) -> Tensor:
        """Return the whole momentum of a parameter, one gradient ahead; update its state."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        ahead = gradient.lerp(average, momentum)
        return ahead.full_tensor() if isinstance(ahead, DTensor) else ahead

    def _orthogonal(self, momenta: list[Tensor], num_parts: int) -> Iterator[Tensor]:
        """Yield the update of each momentum, scaled to the size of AdamW's."""
        rows, columns = momenta[0].shape
        stack = torch.stack(momenta).view(-1, rows // num_parts, columns)
        scale = _MATCHED_RMS * math.sqrt(max(stack.shape[1:]))
        orthogonal = orthogonalize(stack, self._dtype).to(momenta[0].dtype) * scale
        yield from orthogonal.reshape(len(momenta), rows, columns)


def _stacks_of_one_shape(parameters: list[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the parameters, those of one shape together, in stacks of a bounded size."""
    by_shape: dict[torch.Size, list[Tensor]] = {}
    for parameter in parameters:
        by_shape.setdefault(parameter.shape, []).append(parameter)
    for shape, alike in by_shape.items():
        size = max(1, _STACKED_NUMBERS // shape.numel())
        yield from (alike[start : start + size] for start in range(0, len(alike), size))


def _sharded_like(update: Tensor, parameter: Tensor) -> Tensor:
    """Return this process's part of an update that every process has whole."""
    if not isinstance(parameter, DTensor):
        return update
    mesh = parameter.device_mesh
    whole = DTensor.from_local(update, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return whole.redistribute(placements=parameter.placements)
