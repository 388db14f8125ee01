"""The settings that every run shares: optimiser, length, hardware, what is written and when.

Pretraining and fine-tuning add their own and have defaults of their own. Standard library only:
`--help` reads it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unblank.settings.checks import require, require_positive, require_share
from unblank.settings.identity import MayChange, SharesOut

__all__ = ["OptimSettings", "ScheduleName", "TrackerName", "TrainSettings"]

ScheduleName = Literal["cosine", "linear", "inverse_sqrt", "constant"]
TrackerName = Literal["tensorboard", "wandb", "trackio"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimSettings:
    """AdamW and its learning rate."""

    learning_rate: float | None = 4e-4
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of the first and second moment."""
    eps: float = 1e-6
    """Added to the root of the second moment."""
    weight_decay: float = 0.1
    """Decoupled weight decay; biases and LayerNorms are excluded, embeddings are not."""
    warmup_steps: int | None = 100
    """Steps of linear warm-up."""
    schedule: ScheduleName = "cosine"
    """Shape of the decay after warm-up."""
    min_learning_rate_ratio: float = 0.05
    """Floor of the schedule, as a share of the peak."""
    decay_steps: int | None = None
    """Step at which cosine and linear reach the floor; not given: the last one."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 = not clipped."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "eps", "decay_steps")
        require_share(self, "min_learning_rate_ratio")
        for name in ("weight_decay", "warmup_steps", "clip_norm"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} is {value}: below 0")
        require(all(0 <= beta < 1 for beta in self.betas), f"betas {self.betas} not in [0, 1)")

    def warmup(self, max_steps: int) -> int:
        """Return the steps of warm-up in a run of `max_steps` steps."""
        return self.warmup_steps or 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """Length and size of the run, what it writes and when, and the hardware."""

    output_dir: MayChange[Path] = Path("runs/unblank")
    """Folder of the run: the model at the end, checkpoints, metrics."""
    max_steps: MayChange[int | None] = None
    """Optimiser steps."""
    batch_size: int = 32
    """Rows (of tasks with labels: examples) of one optimiser step, over all micro-batches and
    processes."""
    micro_batch_size: SharesOut[int | None] = None
    """Rows or examples of one forward pass in one process; it bounds the memory."""
    seed: int = 0
    """Seed of new weights, of the samples or their order, and of dropout."""
    log_every: MayChange[int] = 10
    """Steps between two lines of metrics.jsonl."""
    save_every: MayChange[int | None] = None
    """Steps between two checkpoints; the last step is always saved."""
    keep_checkpoints: MayChange[int] = 1
    """How many of the latest checkpoints are kept."""
    validate_every: MayChange[int | None] = None
    """Steps between two validations; 0 = never."""
    validation_samples: MayChange[int | None] = None
    """Held-out samples that are measured, the same ones each time."""
    resume: MayChange[str] = "auto"
    """auto = continue what output_dir holds; never = refuse if it holds a run; else a checkpoint
    folder."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 = autocast with fp32 weights; auto takes it where the hardware is fast at it."""
    device: SharesOut[str] = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    parallel: SharesOut[Literal["ddp", "fsdp"]] = "ddp"
    """How processes started by torchrun share the model: a copy each, or a shard each."""
    max_nonfinite_steps: MayChange[int] = 5
    """Stop after so many steps in a row without a finite loss and gradient."""
    arrange_memory: MayChange[bool] = True
    """Huge pages and a malloc that keeps its memory, for the command's own process (Linux)."""
    track: MayChange[tuple[TrackerName, ...]] = ()
    """Also send metrics to these (extra `track`)."""

    def __post_init__(self) -> None:
        require_positive(self, "max_steps", "batch_size", "micro_batch_size", "log_every")
        require_positive(self, "save_every", "keep_checkpoints", "validation_samples")
        require_positive(self, "max_nonfinite_steps")
        for name in ("seed", "validate_every"):
            value = getattr(self, name)
            require(value is None or value >= 0, f"{name} is {value}: below 0")
