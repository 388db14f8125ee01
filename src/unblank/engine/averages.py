"""A moving average of the weights, made as a run goes on, beside the weights that are trained.

After update t, the average a moves to the weights w by a <- d a + (1 - d) w, where d is the decay
asked for, or (1 + t) / (10 + t) where that is less, so that the first weights are soon forgotten.
The other kind of average, of the last validated weights, is `engine.selection`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from unblank.engine.state import State, shard_again

__all__ = ["MovingAverage"]


class MovingAverage:
    """The exponential moving average of a model's trainable weights.

    Each process averages what it holds: all weights, or its shard of them.

    Args:
        model: as it trains, perhaps sharded; its weights are where the average starts.
        decay: share of the old average that an update keeps, in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model = model
        self._decay = decay
        self._pairs = {
            name: (parameter, parameter.detach().clone())
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def update(self, update: int) -> None:
        """Take in the weights of optimiser step `update`, counted from 1."""
        decay = min(self._decay, (1 + update) / (10 + update))
        for parameter, average in self._pairs.values():
            average.lerp_(parameter, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights within the block; every process calls this."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def put_into_model(self) -> None:
        """Let the model have the averaged weights from now on; every process calls this."""
        shard_again(self._model)
        for parameter, average in self._pairs.values():
            parameter.copy_(average)

    @property
    def weights(self) -> State:
        """The live average, by name: all of it, or this process's shards."""
        return {name: average for name, (_, average) in self._pairs.items()}

    @torch.no_grad()
    def _swap(self) -> None:
        shard_again(self._model)
        for parameter, average in self._pairs.values():
            trained = parameter.detach().clone()
            # In place: optimisers, replicas and shards keep the tensors that they know.
            parameter.copy_(average)
            average.copy_(trained)
