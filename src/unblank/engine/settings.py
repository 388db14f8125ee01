"""The settings that every run shares: optimiser, length, hardware, what is written and when.

Pretraining and fine-tuning add their own and have defaults of their own. Standard library only:
`--help` reads it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from unblank.settings.checks import require
from unblank.settings.identity import MayChange, SharesOut
from unblank.settings.marks import Excludes, PathText
from unblank.settings.ranges import (
    Duration,
    NotNegative,
    OpenShare,
    Positive,
    PositiveShare,
    ProperShare,
    Seed,
    check_values,
)

__all__ = [
    "DECAY_RATIO",
    "FinalName",
    "NotWithMinutes",
    "OptimSettings",
    "ScheduleName",
    "TrackerName",
    "TrainSettings",
]

ScheduleName = Literal["cosine", "linear", "wsd", "inverse_sqrt", "constant"]
DECAY_RATIO = 0.2
"""Share of a run over which wsd decays where nothing else is said."""
FinalName = Literal["better", "best", "average", "ema", "last"]
TrackerName = Literal["tensorboard", "wandb", "trackio"]

_T = TypeVar("_T")
NotWithMinutes = Annotated[MayChange[_T], Excludes("train.minutes")]
"""A length of a run that is given in steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimSettings:
    """The optimiser and its learning rate."""

    name: Literal["adamw", "muon"] = "adamw"
    """adamw; or muon for the matrices inside layers (orthogonalised momentum) and AdamW for all
    else."""
    learning_rate: Positive[float | None] = 4e-4
    """Peak learning rate."""
    muon_factor: Positive[float | None] = None
    """Learning rate of the matrices that muon changes, as a multiple of learning_rate. Default: 1;
    updates have the size of AdamW's."""
    betas: ProperShare[tuple[float, float]] = (0.9, 0.98)
    """Decay rates of the first and second moments."""
    eps: Positive[float] = 1e-6
    """Added to the square root of the second moment, against division by zero."""
    weight_decay: NotNegative[float] = 0.1
    """Decoupled weight decay; applied to embeddings, not to biases and LayerNorms."""
    warmup_steps: NotNegative[int | None] = 100
    """Number of steps of linear warm-up."""
    schedule: ScheduleName = "cosine"
    """Shape of the decay after warm-up. wsd (warm-up, stable, decay) decays only at the end, so a
    run can be continued from its stable part with another length."""
    decay_ratio: PositiveShare[float | None] = None
    """wsd: share of the steps over which the learning rate decays, in (0, 1]. Default: 0.2."""
    min_learning_rate_ratio: ProperShare[float] = 0.05
    """Floor of the schedule, as a fraction of the peak."""
    decay_steps: Positive[int | None] = None
    """Step at which cosine, linear and wsd reach the floor. Default: the last step."""
    clip_norm: NotNegative[float] = 1.0
    """Largest norm of the gradient, above which it is clipped; 0 = never."""

    def __post_init__(self) -> None:
        check_values(self)
        if self.muon_factor is not None and self.name != "muon":
            raise ValueError(
                f"muon_factor has no effect where the optimiser is {self.name}: set name to muon, "
                "or leave it out"
            )
        if self.decay_ratio is not None and self.schedule != "wsd":
            raise ValueError(
                f"decay_ratio has no effect where the schedule is {self.schedule}: set schedule to "
                "wsd, or leave it out"
            )

    def warmup(self, max_steps: int) -> int:
        """Return the steps of warm-up in a run of `max_steps` steps."""
        return self.warmup_steps or 0


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """Length and size of the run, what it writes and when, and the hardware."""

    output_dir: MayChange[Path] = Path("runs/unblank")
    """Folder of the run: the finished model, checkpoints, metrics."""
    max_steps: NotWithMinutes[Positive[int | None]] = None
    """Optimiser steps."""
    minutes: Annotated[MayChange[Duration[Positive[float | None]]], Excludes("train.max_steps")] = (
        None
    )
    """Time of the run instead of max_steps, from reading the text to the last step: before the
    first step some are timed, and the number that fits is fixed: run.yaml has it as max_steps
    beside the minutes."""
    batch_size: Positive[int] = 32
    """Rows per optimiser step (examples, for tasks with labels), over all micro-batches and
    processes."""
    micro_batch_size: SharesOut[Positive[int | None]] = None
    """Rows or examples per forward pass in one process; bounds the memory."""
    seed: Seed[int] = 0
    """Seed for new weights, the samples or their order, and dropout."""
    log_every: MayChange[Positive[int]] = 10
    """Steps between two lines of metrics.jsonl."""
    save_every: MayChange[Positive[int | None]] = None
    """Steps between two checkpoints; the last step is always saved, and so is the step at which a
    signal ends the run."""
    save_minutes: MayChange[Duration[Positive[float | None]]] = None
    """Also save a checkpoint when the last one is this many minutes old."""
    keep_checkpoints: MayChange[Positive[int]] = 1
    """Number of latest checkpoints to keep; wsd also keeps the last one before its decay."""
    validate_every: MayChange[NotNegative[int | None]] = None
    """Steps between two validations; 0 = never."""
    validation_samples: MayChange[Positive[int | None]] = None
    """Number of held-out samples to measure, the same random choice each time."""
    resume: MayChange[PathText] = "auto"
    """auto = continue the run in output_dir, if there is one; never = refuse if there is one; or a
    checkpoint folder to continue from."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 = autocast with fp32 weights; auto = bf16 where the hardware is fast at it."""
    device: SharesOut[str] = "auto"
    """auto, cpu, cuda, cuda:1, ..."""
    parallel: SharesOut[Literal["ddp", "fsdp"]] = "ddp"
    """How processes started by torchrun hold the model: a copy each (ddp), or a shard each
    (fsdp)."""
    shard_group: SharesOut[Positive[int | None]] = None
    """fsdp: processes that hold a model together, such as those of one machine; each such group is
    a replica. Default: all of them."""
    lost_after: MayChange[Duration[Positive[float]]] = 300.0
    """Several processes: seconds without a sign of life of one of them after which the others
    end."""
    ema_decay: OpenShare[float | None] = None
    """Also keep an exponential moving average of the weights, with this decay for each step, and
    measure it at each validation. Default: none."""
    average_last: MayChange[NotNegative[int]] = 0
    """Also average the weights of this many last validated checkpoints; 0 = none."""
    final: MayChange[FinalName | None] = None
    """Which weights become the finished model: the last ones, the best checkpoint, the average of
    the last checkpoints, the moving average (ema), or the best of all these on held-out examples
    (better). Default: the last ones."""
    max_nonfinite_steps: MayChange[Positive[int]] = 5
    """Stop after this many steps in a row whose loss or gradient is not finite."""
    arrange_memory: MayChange[bool] = True
    """Use huge pages and a malloc that keeps freed memory, for the command's own process
    (Linux)."""
    track: MayChange[tuple[TrackerName, ...]] = ()
    """Also send metrics to these trackers (needs the extra `track`)."""

    def __post_init__(self) -> None:
        check_values(self)
        require(
            self.final != "average" or self.average_last > 0,
            "final is average, and average_last is 0: set average_last, or choose another final",
        )
        require(
            self.shard_group is None or self.parallel == "fsdp",
            "shard_group has no effect where parallel is ddp: set parallel to fsdp, or leave it "
            "out",
        )
        require(
            self.final != "ema" or self.ema_decay is not None,
            "final is ema, and ema_decay is not set: set ema_decay, or choose another final",
        )
        require(
            self.validate_every != 0 or not (self.average_last or self.final == "best"),
            "average_last and final best choose by validation, and validate_every is 0: give a "
            "number of steps, or leave them out",
        )

    @property
    def is_timed(self) -> bool:
        """Whether the number of steps is still to be found from the time."""
        return self.minutes is not None and self.max_steps is None
