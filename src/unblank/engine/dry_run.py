"""A run measured by its first steps, or planned by formulas: what it would take and write.

The folder of the run and its prepared text are read and never written.
"""

import math
import resource
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table
from torch import nn
from transformers import PreTrainedModel

from unblank.compatibility import recomputes_activations
from unblank.data.loader import StepBatches
from unblank.engine.first_steps import time_first_steps
from unblank.engine.memory_plan import (
    ProcessLayout,
    checkpoint_bytes,
    count_sizes,
    exchanged_bytes,
    plan_memory,
)
from unblank.engine.run_state import read_run_state
from unblank.engine.trainer import Trainer
from unblank.engine.units import TrainUnit
from unblank.plurals import counted
from unblank.process import process_count

__all__ = ["DryRun", "measure_first_steps", "plan_run", "thrown_away"]

_WARM_UP, _MEASURED = 1, 2
"""Steps that are not measured, as the first ones are slow, and steps that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """The run that a dry run measures or plans.

    Attributes:
        output_dir: where the run itself would write.
        num_runs: runs of the same kind that would be made, such as one a seed.
        world: processes for which memory is planned by formulas; None measures one process.
        passes: how often a position passes `num_hidden_layers` layers.
    """

    output_dir: Path
    num_runs: int = 1
    world: int | None = None
    passes: float = 1.0


@contextmanager
def thrown_away(output_dir: Path, cache_dir: Path, kept: Sequence[str]) -> Iterator[Path]:
    """Give a folder for a dry run, which finds in it what earlier runs have prepared.

    Args:
        output_dir: of the run itself.
        cache_dir: of the run's prepared text; what lies there is used, and nothing is added.
        kept: names of folders in `output_dir` that a new run would use, such as its tokenizer.

    Yields:
        A folder for the run, `run`, beside one for prepared text, `shards`.

    Raises:
        ValueError: there are several processes.
    """
    if process_count() > 1:
        raise ValueError("--dry-run measures one process: leave torchrun out")
    with TemporaryDirectory(prefix="unblank-dry-run-") as name:
        folder = Path(name) / "run"
        shards = Path(name) / "shards"
        shards.mkdir()
        for prepared in cache_dir.glob("*"):
            (shards / prepared.name).symlink_to(prepared.resolve())
        for one in kept:
            if (output_dir / one).is_dir():
                shutil.copytree(output_dir / one, folder / one)
        yield folder


def measure_first_steps(
    trainer: Trainer, dry_run: DryRun, *, steps_per_epoch: int, saves_all: bool
) -> Table:
    """Do the first steps, write nothing, and return what the whole run would take.

    Args:
        trainer: at its first step; it is of no use afterwards.
        dry_run: the run that is measured.
        steps_per_epoch: of the training; 0 if it has no epochs.
        saves_all: whether a folder holds all weights, or those that are trained alone.
    """
    num_steps = trainer.max_steps
    times = time_first_steps(trainer, warm_up=_WARM_UP, num_timed=_MEASURED)
    measured = times[_WARM_UP:] or times
    seconds = sum(measured) / max(len(measured), 1)
    tokens = trainer.progress.tokens / max(trainer.progress.step, 1)
    weights = list(trainer.module.parameters())
    trained = [weight for weight in weights if weight.requires_grad]
    size = sum(weight.nbytes for weight in (weights if saves_all else trained))
    beside = _optimizer_bytes(trainer)
    if trainer.average is not None:
        beside += sum(weight.nbytes for weight in trainer.average.weights.values())
    epochs = f" ({num_steps / steps_per_epoch:,.1f} epochs)" if steps_per_epoch else ""
    facts = {
        "steps": f"{num_steps:,}{epochs}",
        "tokens": f"about {num_steps * tokens:,.0f} ({tokens:,.0f} a step)",
        "speed": f"{seconds:.2f} s a step, {tokens / max(seconds, 1e-9):,.0f} tokens/s "
        f"(mean of {len(measured)} after {len(times) - len(measured)})",
        "time": f"about {timedelta(seconds=round(num_steps * seconds))}, without validation and "
        "saving",
        "memory": _memory(trainer.world.device),
        "writes": f"{dry_run.output_dir}: {_named(saves_all)} of about {_shown(size)}, checkpoints "
        f"of about {_shown(size + beside)} each",
        **_earlier(dry_run.output_dir),
    }
    if dry_run.num_runs > 1:
        facts["runs"] = f"{dry_run.num_runs:,} like this one"
    return _table(facts)


def plan_run(
    model: PreTrainedModel,
    matrices: Iterable[nn.Parameter],
    unit: TrainUnit,
    step: StepBatches,
    layout: ProcessLayout,
    dry_run: DryRun,
    *,
    activation_bytes: int,
    saves_all: bool,
    has_average: bool,
    on_cpu: bool,
) -> Table:
    """Return what each process of a run would need, by formulas.

    Args:
        model: perhaps on the meta device.
        matrices: that Muon changes.
        unit: counts what is scored.
        step: data of a step, all of it in one process.
        layout: of the processes.
        dry_run: what is planned.
        activation_bytes: 2 in bf16, 4 in fp32.
        saves_all: as for `measure_first_steps`.
        has_average: whether there is a moving average.
        on_cpu: whether the processes compute on CPUs.
    """
    num_batches = max(len(step.batches), 1)
    sizes = count_sizes(
        model,
        matrices,
        saves_all=saves_all,
        has_average=has_average,
        positions=math.ceil(step.total_positions / num_batches),
        scored=max(max(unit.counts(batch).values()) for batch in step.batches),
        micro_batches=max(num_batches // layout.size, 1),
        passes=dry_run.passes,
        activation_bytes=activation_bytes,
        recomputes=recomputes_activations(model),
    )
    needs = plan_memory(sizes, layout, on_cpu=on_cpu)
    total = sum(need.num_bytes for need in needs.values())
    group = f", {layout.shards} to a group" if layout.shards not in (1, layout.size) else ""
    facts = {
        "processes": f"{counted(layout.size, 'process', 'processes')} ({layout.parallel}{group})",
        "numbers": f"F {sizes.all:,}, P {sizes.trained:,}, R {sizes.root:,}, L {sizes.layer:,}, "
        f"T {sizes.positions:,}, N {sizes.layers}, W {sizes.width:,}, V {sizes.vocabulary:,}",
        **{name: f"{_shown(one.num_bytes)} = {one.formula}" for name, one in needs.items()},
        "memory": f"{_shown(total)} a process",
        "exchanged": f"{_shown(exchanged_bytes(sizes, layout))} a process and step",
        "writes": f"{dry_run.output_dir}: {_named(saves_all)} of {_shown(4.0 * sizes.saved)}, "
        f"checkpoints of {_shown(checkpoint_bytes(sizes))} each",
    }
    return _table(facts)


def _optimizer_bytes(trainer: Trainer) -> int:
    states = [state for one in trainer.optimizers for state in one.state.values()]
    return sum(moment.nbytes for state in states for moment in state.values())


def _earlier(output_dir: Path) -> dict[str, str]:
    """Return how far a run is that would be continued."""
    state = read_run_state(output_dir) if output_dir.is_dir() else None
    if state is None or state.checkpoint is None:
        return {}
    return {"continues": f"{state.checkpoint} ({state})"}


def _named(saves_all: bool) -> str:
    return "a model" if saves_all else "what is trained beside a model"


def _memory(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{_shown(torch.cuda.max_memory_allocated(device))} on {device} at its peak"
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return f"{_shown(peak)} at its peak, reading the text included"


def _shown(num_bytes: float) -> str:
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:,.1f} GB"


def _table(facts: Mapping[str, str]) -> Table:
    table = Table(
        title="dry run: nothing was written", title_justify="left", box=SIMPLE_HEAD,
        show_header=False,
    )  # fmt: skip
    table.add_column("")
    table.add_column("", overflow="fold")
    for name, fact in facts.items():
        table.add_row(name, fact)
    return table
