"""Whether a run may start in a folder, from which checkpoint, and under which settings.

A folder belongs to one run: `run.yaml` in it holds the settings. Which of them may differ on resume
is marked at their fields (`unblank.settings.identity`); the ones that only share out the work do so
with a printed notice. All others are refused by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unblank.data.settings import MIXTURE
from unblank.engine.checkpoint import list_checkpoints
from unblank.engine.schedules import WSD_DECAY
from unblank.engine.written_lines import check_lines
from unblank.integrity import (
    CHECKPOINTS_NAME,
    MANIFEST_NAME,
    find_damage,
    require_sealed_text,
)
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.weight_files import INDEX_NAME

__all__ = [
    "OWED_NAME",
    "ROWS_OF_A_STEP",
    "RUN_NAME",
    "TRAINER_NAME",
    "Identity",
    "ResumePoint",
    "find_start",
    "require_recorded_settings",
    "require_same_text",
]

RUN_NAME = "run.yaml"
TRAINER_NAME = "trainer.json"
OWED_NAME = "owes_validation"
"""Key in `trainer.json`: whether a signal broke off the validation of the step."""

ROWS_OF_A_STEP = "rows of a step (train.batch_tokens, shared out equally by the processes)"
"""Name of what another number of processes may change, which older versions did not record."""

_MODEL_FILES = ("model.safetensors", INDEX_NAME)
_RUN_FILES = (RUN_NAME, CHECKPOINTS_NAME, "metrics.jsonl", *_MODEL_FILES, "config.json")


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A checkpoint to continue from."""

    folder: Path
    """The checkpoint."""
    trainer: dict[str, Any]
    """Its counters, data state and settings."""
    notices: tuple[str, ...]
    """Notices for the user: damaged checkpoints that were skipped, a changed layout."""

    @property
    def owes_validation(self) -> bool:
        """Whether a signal broke off the validation of its step."""
        return bool(self.trainer.get(OWED_NAME))

    @property
    def saved_at(self) -> datetime:
        """When it was made; older versions did not record it, then the time of its files."""
        recorded = self.trainer.get("saved_at")
        if recorded is not None:
            return datetime.fromisoformat(recorded)
        return datetime.fromtimestamp((self.folder / TRAINER_NAME).stat().st_mtime, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What two starts of a run are compared by, and in what they may differ."""

    settings: dict[str, Any]
    """Dotted name -> value."""
    defaults: dict[str, Any]
    """The same for settings left at their defaults: what a run of an older version had if its
    record lacks a name."""
    layout: set[str]
    """Names that may differ, with a notice."""


def find_start(
    output_dir: Path,
    resume: str,
    identity: Callable[[Path | None, int], Identity],
    recorded: Callable[[Path], dict[str, Any] | None],
) -> ResumePoint | None:
    """Return the checkpoint to continue from, or None to start a new run.

    Args:
        output_dir: folder of the run.
        resume: `train.resume`.
        identity: checkpoint folder, or None for a new run, and its steps -> what this start is
            compared by.
        recorded: a run's settings file -> what that run is compared by; None if it was cut.

    Raises:
        ValueError: if the folder holds another run, `resume` names a folder that is no checkpoint,
            a checkpoint was made with other settings, or the lines that the run wrote before it
            have changed.
        FileNotFoundError: if `resume` names no folder.
    """
    if resume == "auto":
        folder, notices = _latest_good(output_dir / CHECKPOINTS_NAME)
    elif resume == "never":
        folder, notices = None, ()
    else:
        folder, notices = _named(Path(resume)), ()
    if folder is None:
        _require_free_folder(output_dir, resume, identity, recorded)
        return None
    trainer = read_json_object(folder / TRAINER_NAME)
    step = trainer["progress"]["step"]
    layout = _require_same(trainer["settings"], identity(folder, step), folder)
    lost = check_lines(output_dir, trainer.get("lines", {}), step)
    return ResumePoint(folder, trainer, (*notices, *layout, *lost))


def require_same_text(point: ResumePoint, content: list[str]) -> None:
    """Refuse to continue on other training text than the checkpoint's.

    Args:
        point: the checkpoint.
        content: hash of each source, as `trainer.json` records it under `content`.

    Raises:
        ValueError: if they differ.
    """
    if point.trainer["content"] != content:
        raise ValueError(
            f"{point.folder} was trained on other text, or with another tokenizer, than this run. "
            "Restore the files, or start a new run in another train.output_dir (with "
            f"--model.init-from {point.folder} to start from its weights)"
        )


def require_recorded_settings(output_dir: Path) -> None:
    """Raise if the settings that a run wrote into its folder have changed.

    Raises:
        ValueError: they have, so that nobody can say whether another start continues that run.
    """
    require_sealed_text(
        output_dir / RUN_NAME,
        "restore it from a copy; to start over, empty that folder or choose another "
        "train.output_dir",
    )


def _latest_good(root: Path) -> tuple[Path | None, tuple[str, ...]]:
    notices: list[str] = []
    for folder in list_checkpoints(root):
        damage = find_damage(folder)
        if damage is None:
            return folder, tuple(notices)
        notices.append(f"checkpoint {folder} is damaged ({damage}): trying the one before it")
    if notices:
        raise ValueError(
            "; ".join(notices) + ". No checkpoint is left: to start over, empty the folder "
            "or choose another train.output_dir"
        )
    return None, ()


def _named(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"train.resume is {str(folder)!r}, which is not a folder: use auto, never, or the "
            f"folder of a checkpoint, such as RUN/{CHECKPOINTS_NAME}/step-00000500"
        )
    has_record = any((folder / name).is_file() for name in (MANIFEST_NAME, TRAINER_NAME))
    damage = find_damage(folder) if has_record else None
    if damage is None and not (folder / TRAINER_NAME).is_file():
        inside = list_checkpoints(folder / CHECKPOINTS_NAME) or list_checkpoints(folder)
        advice = f"; the latest one in it is {inside[0]}" if inside else ""
        raise ValueError(f"train.resume is {folder}, which is no checkpoint of a run{advice}")
    if damage is None:
        return folder
    others = [other for other in list_checkpoints(folder.parent) if other.name < folder.name]
    good = next((other for other in others if find_damage(other) is None), None)
    advice = f"; the one before it is intact: --train.resume {good}" if good else ""
    raise ValueError(f"checkpoint {folder} is damaged ({damage}){advice}")


def _require_free_folder(
    output_dir: Path,
    resume: str,
    identity: Callable[[Path | None, int], Identity],
    recorded: Callable[[Path], dict[str, Any] | None],
) -> None:
    found = [name for name in _RUN_FILES if (output_dir / name).exists()]
    if not found:
        return
    run_path = output_dir / RUN_NAME
    if resume == "auto" and run_path.is_file():
        # A run that died before its first checkpoint: the same settings may start it over.
        require_recorded_settings(output_dir)
        before = recorded(run_path)
        if before is not None:
            _require_same(before, identity(None, 0), output_dir)
            return
        if not set(_MODEL_FILES) & set(found):
            return
    raise ValueError(
        f"train.output_dir {output_dir} already has a run or a model ({', '.join(found)}): "
        "choose another folder, continue that run with --train.resume auto and the same settings, "
        "or empty the folder"
    )


def _require_same(before: Mapping[str, Any], now: Identity, folder: Path) -> tuple[str, ...]:
    """Return the notices of what may differ, and refuse what may not.

    What the record lacks, a newer version has added: before, it was as it is by default. What only
    the record has, is not a setting any more.
    """
    known = {ROWS_OF_A_STEP: now.settings.get(ROWS_OF_A_STEP), **now.defaults, **before}
    changed = {
        name: f"{name} was {known.get(name)!r}, now {value!r}"
        for name, value in sorted(now.settings.items())
        if known.get(name) != value
    }
    refused = [text for name, text in changed.items() if name not in now.layout]
    if refused:
        hint = ""
        if MIXTURE in changed and not changed.keys() & {"data.alpha", "data.temperature_start"}:
            raise ValueError(
                f"{folder} was made by a version that mixed by samples what is now mixed by tokens "
                "(data.alpha or data.temperature_*): finish it with that version, or start a new "
                f"run from its weights, in another train.output_dir (--model.init-from {folder})"
            )
        if "optim.decay_steps" in changed:
            hint = (
                " (optim.decay_steps is train.max_steps unless it is given; to keep the schedule: "
                f"--optim.decay-steps {before.get('optim.decay_steps')})"
            )
        elif WSD_DECAY in changed:
            hint = (
                " (its length may change up to the step at which the decay begins: give a longer "
                "one, or continue from an earlier checkpoint with --train.resume FOLDER)"
            )
        raise ValueError(
            f"{folder} belongs to a run with other settings: {'; '.join(refused)}{hint}. Use the "
            "same settings, or choose another train.output_dir"
        )
    notice = "the work is divided differently, so losses agree only up to rounding and dropout: "
    return (notice + "; ".join(changed.values()),) if changed else ()
