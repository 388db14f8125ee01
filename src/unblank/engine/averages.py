"""A moving average of the weights, made as a run goes on, beside the weights that are trained.

After update t, the average a moves to the weights w by a <- d a + (1 - d) w, where d is the decay
asked for, or (1 + t) / (10 + t) where that is less, so that the first weights are soon forgotten.
The other kind of average, of the last validated weights, is `engine.selection`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from unblank.engine.parallel import World
from unblank.engine.state import gather_state, load_weights, shard_again
from unblank.untrusted.weight_files import tensors_in

__all__ = ["MovingAverage", "load_average", "save_average"]

AVERAGE_NAME = "average.safetensors"
"""File of a checkpoint with the moving average."""


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

    def gather(self) -> dict[str, Tensor]:
        """Return the whole average by name, on the CPU; empty on processes that do not write."""
        with self.in_place():
            weights, _ = gather_state(self._model, ())
            # On one process these are the model's own tensors, which are about to change back.
            return {name: weights[name].clone() for name in self._pairs if name in weights}

    def load(self, weights: dict[str, Tensor], world: World) -> None:
        """Continue from an average that `gather` returned.

        Args:
            weights: read in the main process only.
            world: the processes of the run; all must call this.

        Raises:
            ValueError: if the model has no parameter of one of the names.
        """
        with self.in_place():
            load_weights(self._model, weights, world)

    @torch.no_grad()
    def _swap(self) -> None:
        shard_again(self._model)
        for parameter, average in self._pairs.values():
            trained = parameter.detach().clone()
            # In place: optimisers, replicas and shards keep the tensors that they know.
            parameter.copy_(average)
            average.copy_(trained)


def save_average(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write what `MovingAverage.gather` returned into a checkpoint."""
    tensors = {name: value.contiguous() for name, value in weights.items()}
    save_file(tensors, folder / AVERAGE_NAME)


def load_average(folder: Path, average: MovingAverage, world: World) -> None:
    """Continue from the average in a checkpoint; every process calls this, the main one reads."""
    average.load(tensors_in(folder / AVERAGE_NAME) if world.is_main else {}, world)
