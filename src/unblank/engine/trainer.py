"""The training loop: micro-batches, loss over the whole global batch, update, log, save.

It knows no model family (that is a `TrainUnit`) and no files (those are hooks). Dropout is reseeded
from (seed, step, process, micro-batch), so nothing random has to be saved.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from unblank.data.loader import DataState, StepBatches
from unblank.engine.averages import MovingAverage
from unblank.engine.parallel import World
from unblank.engine.precision import Precision
from unblank.engine.progress import Progress, Window
from unblank.engine.units import TokenLoss, TrainUnit

__all__ = ["NonFiniteError", "Trainer", "TrainerHooks"]


class NonFiniteError(RuntimeError):
    """Too many steps in a row had no finite loss; the message says which and what to try."""


class TrainerHooks(Protocol):
    """What the loop calls outside itself; each hook sees the trainer."""

    def after_step(self, trainer: "Trainer") -> None:
        """Called after every step: log, validate, sample, save when it is time."""
        ...

    def on_skipped(self, trainer: "Trainer", sample_numbers: Sequence[int]) -> None:
        """Called when a step was skipped because its loss or gradient was not finite."""
        ...


@dataclass(slots=True, kw_only=True)
class Trainer:
    """One run of the loop over a stream of steps.

    Attributes:
        module: what is called with a batch, perhaps replicated or sharded (`share_model`).
        unit: the same unit that `module` holds, for its counts and weights.
        optimizers: over the module's parameters, each of which one of them changes.
        learning_rate: number of an update, from 1 -> its learning rate.
        steps: the data, one item an optimiser step.
        world: the processes of the run.
        precision: the arithmetic.
        seed: seed of dropout.
        max_steps: steps in the whole run.
        clip_norm: largest gradient norm, 0 = not clipped.
        max_nonfinite_steps: stop after that many skipped steps in a row.
        average: moves with the weights; None for no average.
        hooks: called after each step.
        progress: where the run is; a resumed run starts with that of its checkpoint.
        data_state: where the data is after the last step.
    """

    module: nn.Module
    unit: TrainUnit
    optimizers: Sequence[torch.optim.Optimizer]
    learning_rate: Callable[[int], float]
    steps: Iterator[StepBatches]
    world: World
    precision: Precision
    seed: int
    max_steps: int
    clip_norm: float
    max_nonfinite_steps: int
    hooks: TrainerHooks
    progress: Progress
    data_state: DataState
    average: MovingAverage | None = None

    def run(self) -> None:
        """Train until `max_steps` steps are done.

        Raises:
            NonFiniteError: after `max_nonfinite_steps` steps in a row without a finite loss.
        """
        self.module.train()
        while self.progress.step < self.max_steps:
            started = time.perf_counter()
            self._step(next(self.steps))
            self.progress.window.seconds += time.perf_counter() - started
            self.hooks.after_step(self)
            if self.progress.nonfinite_in_a_row >= self.max_nonfinite_steps:
                raise NonFiniteError(_advice(self.progress))

    def take_window(self) -> Window:
        """Return the sums since the last call, and start new ones."""
        window, self.progress.window = self.progress.window, Window()
        return window

    def _step(self, step: StepBatches) -> None:
        update = self.progress.step + 1
        self.unit.start_step(update)
        # Before any forward pass: each micro-batch is divided by the counts of the whole step.
        counts = self._global_counts(step.batches)
        loss_sums, shares = self._accumulate_gradients(step.batches, counts, update)
        norm = self._clipped_norm()
        # One NaN would stay in the weights and moments for good, so such a step changes nothing.
        if math.isfinite(norm) and all(math.isfinite(value) for value in loss_sums.values()):
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = self.learning_rate(update)
                optimizer.step()
            if self.average is not None:
                self.average.update(update)
            self.progress.nonfinite_in_a_row = 0
            self.progress.window.add_losses(loss_sums, counts)
            self.progress.window.add_shares(shares)
            self.progress.window.gradient_norms.append(norm)
        else:
            self.progress.nonfinite_in_a_row += 1
            self.progress.skipped_steps += 1
        # None rather than zeros: the next backward pass then writes gradients instead of adding.
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        self._advance(step, update)
        if self.progress.nonfinite_in_a_row:
            self.hooks.on_skipped(self, step.sample_numbers)

    def _global_counts(self, batches: Sequence[Any]) -> dict[str, int]:
        counts = dict.fromkeys(self.unit.weights, 0)
        for batch in batches:
            for name, count in self.unit.counts(batch).items():
                counts[name] += count
        totals = self.world.sum([float(count) for count in counts.values()])
        return {name: int(total) for name, total in zip(counts, totals, strict=True)}

    def _accumulate_gradients(
        self, batches: Sequence[Any], counts: dict[str, int], update: int
    ) -> tuple[dict[str, float], dict[str, list[float]]]:
        sums: dict[str, Tensor] = {}
        shares: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            torch.manual_seed(dropout_seed(self.seed, update, self.world.rank, number))
            with self._gradient_sync(is_last=number == len(batches) - 1):
                with self.precision.autocast(self.world.device):
                    losses: dict[str, TokenLoss] = self.module(batch)
                self._scaled_total(losses, counts).backward()
            for name, loss in losses.items():
                detached = loss.loss_sum.detach()
                sums[name] = sums[name] + detached if name in sums else detached
            for name, share in self.unit.shares.items():
                # float32 sums of counts are not exact above 2^24.
                measured = torch.stack(share).double()
                shares[name] = shares[name] + measured if name in shares else measured
        loss_sums = {name: total for name, (total,) in self._over_processes(sums).items()}
        return loss_sums, self._over_processes(shares)

    def _over_processes(self, parts: dict[str, Tensor]) -> dict[str, list[float]]:
        """Return the numbers of each tensor, all of one shape, summed over processes."""
        if not parts:
            return {}
        numbers = torch.stack([*parts.values()]).flatten().tolist()
        totals = self.world.sum([float(number) for number in numbers])
        width = len(totals) // len(parts)
        starts = range(0, len(totals), width)
        return {
            name: totals[start : start + width] for name, start in zip(parts, starts, strict=True)
        }

    def _scaled_total(self, losses: dict[str, TokenLoss], counts: dict[str, int]) -> Tensor:
        # DDP and FSDP average gradients over processes; times world size, the average is the sum.
        terms = [
            loss.loss_sum * (self.unit.weights[name] * self.world.size / max(counts[name], 1))
            for name, loss in losses.items()
        ]
        return torch.stack(terms).sum()

    def _gradient_sync(self, *, is_last: bool) -> AbstractContextManager[None]:
        # Gradients are exchanged once per step, not once per micro-batch.
        if isinstance(self.module, nn.parallel.DistributedDataParallel) and not is_last:
            return self.module.no_sync()
        for part in self.module.children():
            if isinstance(part, FSDPModule):
                part.set_requires_gradient_sync(is_last)
        return nullcontext()

    def _clipped_norm(self) -> float:
        # Without a limit the norm is still needed: for the logs, and to know that it is finite.
        limit = self.clip_norm if self.clip_norm > 0 else math.inf
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), limit)
        if isinstance(norm, DTensor):  # sharded gradients give a norm that is sharded too
            norm = norm.full_tensor()
        return float(norm)

    def _advance(self, step: StepBatches, update: int) -> None:
        self.data_state = step.state
        progress, window = self.progress, self.progress.window
        progress.step = update
        progress.samples += step.num_samples
        progress.tokens += step.used_positions
        window.steps += 1
        window.used_positions += step.used_positions
        window.total_positions += step.total_positions


def dropout_seed(seed: int, update: int, rank: int, micro_batch: int) -> int:
    """Return the seed of torch's generators for one forward pass of one process."""
    state = np.random.SeedSequence((seed, update, rank, micro_batch)).generate_state(2)
    # Two words of 32 bits make a seed of 64.
    return int(state[0]) << 32 | int(state[1])


def _advice(progress: Progress) -> str:
    return (
        f"stopped at step {progress.step}: loss or gradient not finite, steps in a row: "
        f"{progress.nonfinite_in_a_row} (skipped.jsonl names their samples). The weights are those "
        "from before these steps. Try a lower optim.learning_rate, a longer optim.warmup_steps, or "
        "--train.precision fp32, and look at the text of these samples"
    )
