"""Experiment trackers that a run can report to besides its own files, loaded only when named."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from unblank.engine.settings import TrackerName
from unblank.extras import require_package

__all__ = ["Tracker", "open_trackers", "require_trackers"]


class Tracker(Protocol):
    """Where numbers go."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Record named numbers of one step."""
        ...

    def close(self) -> None:
        """Send what is still waiting."""
        ...


class _TensorBoard:
    def __init__(self, output_dir: Path, settings: dict[str, Any], first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = str(output_dir / "tensorboard")
        self._writer = SummaryWriter(folder, purge_step=first_step)
        self._writer.add_text("settings", f"```\n{settings}\n```")

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Run:
    """A run of wandb or of trackio, which have one interface."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def _wandb(output_dir: Path, settings: dict[str, Any], first_step: int) -> _Run:
    import wandb

    return _Run(
        wandb.init(project="unblank", name=output_dir.name, dir=output_dir, config=settings)
    )


def _trackio(output_dir: Path, settings: dict[str, Any], first_step: int) -> _Run:
    import trackio

    return _Run(trackio.init(project="unblank", name=output_dir.name, config=settings))


_TRACKERS: dict[TrackerName, Callable[[Path, dict[str, Any], int], Tracker]] = {
    "tensorboard": _TensorBoard,
    "wandb": _wandb,
    "trackio": _trackio,
}


def require_trackers(names: Sequence[TrackerName]) -> None:
    """Raise ImportError if the package of a tracker is not installed; none is started."""
    for name in names:
        require_package(name, f"train.track {name}")


@contextmanager
def open_trackers(
    names: Sequence[TrackerName], output_dir: Path, settings: dict[str, Any], first_step: int
) -> Iterator[list[Tracker]]:
    """Keep a tracker open for each name.

    Args:
        names: keys of `TrackerName`.
        output_dir: folder of the run; its name is the run's name.
        settings: the run's configuration, recorded with the run.
        first_step: step from which on this process reports.

    Raises:
        ImportError: if a tracker's package is not installed.
    """
    require_trackers(names)
    trackers: list[Tracker] = []
    with ExitStack() as stack:
        for name in names:
            tracker = _TRACKERS[name](output_dir, settings, first_step)
            stack.callback(tracker.close)
            trackers.append(tracker)
        yield trackers
