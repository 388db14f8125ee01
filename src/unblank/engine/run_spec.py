"""The description of a run for the engine, and what two starts of it are compared by."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from unblank.engine.dry_run import DryRun
from unblank.engine.schedules import wsd_identity
from unblank.engine.settings import OptimSettings, TrainSettings
from unblank.engine.training import TrainingOpener, TuningMethod
from unblank.settings.identity import compared_settings

__all__ = ["RunSpec", "identity_at_step", "identity_of"]


class _RunSettings(Protocol):
    """What the engine reads of the settings of a whole run, a dataclass of sections."""

    @property
    def optim(self) -> OptimSettings:
        """The optimiser."""
        ...

    @property
    def train(self) -> TrainSettings:
        """Length, hardware, and what is written when."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """Everything that the engine needs to know of one run.

    Attributes:
        command: for the header and the provenance, such as `pretrain`.
        settings: whole, as they are written to `run.yaml`.
        open_training: opens what is learned.
        method: which weights change.
        start: where the first weights come from, for the header.
        effective: settings, checkpoint or None, number of processes -> the settings that stand for
            others, by dotted name, when two starts are compared.
        learning_rate: the peak.
        learning_rate_note: where it comes from, for the header.
        steps_note: where their number comes from, for the header.
        is_training: whether weights change; else the model is only measured.
        is_validated: whether there is something held out.
        epochs: passes over the examples, where `train.max_steps` is not given.
        most_usual_period: steps between two validations, and between two checkpoints, where the
            settings do not say; a fifth of a shorter run. None for an epoch, and for checkpoints
            where there are validations.
        fill_every: steps between two rounds of fills.
        patience: validations without a better one after which the run stops; None for never.
        average_last: how many of the last validated weights are averaged.
        final: which weights become the model; None for the last ones, and no others are kept.
        results: what `results.json` says of the run beside scores.
        dry_run: what the run stands for if only its first steps are done, and nothing is kept.
    """

    command: str
    settings: _RunSettings
    open_training: TrainingOpener
    method: TuningMethod
    start: str
    effective: Callable[[Any, Path | None, int], dict[str, Any]]
    learning_rate: float
    learning_rate_note: str = ""
    steps_note: str = ""
    is_training: bool = True
    is_validated: bool = True
    epochs: float = 1.0
    most_usual_period: int | None = None
    fill_every: int = 0
    patience: int | None = None
    average_last: int = 0
    final: str | None = None
    results: dict[str, Any] = field(default_factory=dict)
    dry_run: DryRun | None = None


def identity_of(
    spec: RunSpec,
    settings: _RunSettings,
    checkpoint: Path | None,
    step: int,
    precision: str,
    num_processes: int,
) -> dict[str, Any]:
    """Return by dotted name what two starts of a run are compared by.

    Args:
        spec: the run.
        settings: of this start.
        checkpoint: that is continued, or None.
        step: number of steps that are done.
        precision: name of the arithmetic.
        num_processes: of this start.
    """
    return {
        **compared_settings(settings),
        **spec.effective(settings, checkpoint, num_processes),
        **identity_at_step(settings, step),
        "train.precision": precision,
        "processes": num_processes,
    }


def identity_at_step(settings: _RunSettings, step: int) -> dict[str, Any]:
    """Return the part of the identity that changes as the run goes on."""
    optim, max_steps = settings.optim, settings.train.max_steps
    if optim.schedule != "wsd" or max_steps is None:
        return {}
    return wsd_identity(optim, max_steps, step)
