"""The settings that every run shares: optimiser, length, hardware, what is written and when.

Standard library only: `--help` reads it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unblank.settings.checks import require, require_positive, require_share

__all__ = ["OptimSettings", "ScheduleName", "TrackerName", "TrainSettings"]

ScheduleName = Literal["cosine", "linear", "inverse_sqrt", "constant"]
TrackerName = Literal["tensorboard", "wandb", "trackio"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimSettings:
    """AdamW and its learning rate."""

    learning_rate: float = 4e-4
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of the first and second moment."""
    eps: float = 1e-6
    """Added to the root of the second moment."""
    weight_decay: float = 0.1
    """Decoupled weight decay; biases and LayerNorms are excluded, embeddings are not."""
    warmup_steps: int = 100
    """Steps of linear warm-up."""
    schedule: ScheduleName = "cosine"
    """Shape of the decay after warm-up."""
    min_learning_rate_ratio: float = 0.05
    """Floor of the schedule, as a share of the peak."""
    decay_steps: int | None = None
    """Step at which cosine and linear reach the floor; None = train.max_steps."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; 0 = not clipped."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "eps", "decay_steps")
        require_share(self, "min_learning_rate_ratio")
        for name in ("weight_decay", "warmup_steps", "clip_norm"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}: below 0")
        require(all(0 <= beta < 1 for beta in self.betas), f"betas {self.betas} not in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """Length and size of the run, what it writes and when, and the hardware."""

    output_dir: Path = Path("runs/pretrain")
    """Folder of the run: the model at the end, checkpoints, metrics, tokenizer."""
    max_steps: int = 1000
    """Optimiser steps."""
    batch_size: int = 32
    """Rows of one optimiser step, over all micro-batches and processes."""
    micro_batch_size: int = 8
    """Rows of one forward pass in one process; it bounds the memory."""
    seed: int = 0
    """Seed of the initial weights, the samples and the dropout."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    save_every: int = 500
    """Steps between two checkpoints; the last step is always saved."""
    keep_checkpoints: int = 2
    """How many of the latest checkpoints are kept."""
    validate_every: int = 500
    """Steps between two measurements of the held-out loss; 0 = never."""
    validation_samples: int = 512
    """Held-out samples over which the loss is measured, the same ones each time."""
    sample_every: int = 0
    """Steps between two rounds of filling blanks in held-out text; 0 = never."""
    resume: str = "auto"
    """auto = continue what output_dir holds; never = refuse if it holds a run; else a checkpoint
    folder."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 = autocast with fp32 weights; auto takes it where the hardware is fast at it."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    parallel: Literal["ddp", "fsdp"] = "ddp"
    """How processes started by torchrun share the model: a copy each, or a shard each."""
    compile: bool = False
    """Compile the encoder stack with torch.compile."""
    sampled_softmax: int = 0
    """Estimate the training loss from so many rows of the vocabulary, the targets of the
    micro-batch among them; 0 = exactly, from all. Faster for vocabularies above some 60,000."""
    max_nonfinite_steps: int = 5
    """Stop after so many steps in a row without a finite loss and gradient."""
    arrange_memory: bool = True
    """Huge pages and a malloc that keeps its memory, for the command's own process (Linux)."""
    track: tuple[TrackerName, ...] = ()
    """Also send metrics to these (extra `track`)."""

    def __post_init__(self) -> None:
        positive = ("max_steps", "batch_size", "micro_batch_size", "log_every", "save_every")
        require_positive(self, *positive, "keep_checkpoints", "validation_samples")
        require_positive(self, "max_nonfinite_steps")
        for name in ("seed", "validate_every", "sample_every", "sampled_softmax"):
            require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}: below 0")
        require(
            self.batch_size % self.micro_batch_size == 0,
            f"batch_size {self.batch_size} is not a multiple of micro_batch_size "
            f"{self.micro_batch_size}",
        )
