"""Whether a run may start in a folder, from which checkpoint, and under which settings.

A folder belongs to one run: `run.yaml` in it holds the settings. Settings that do not change the
numbers may differ on resume; so may the ones that only share out the work (`LAYOUT_SETTINGS`), with
a printed notice, as the losses then agree up to rounding and the draws of dropout. All others are
refused by name.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unblank.engine.checkpoint import list_checkpoints
from unblank.families.family import Family
from unblank.families.table import family_of_run
from unblank.integrity import CHECKPOINTS_NAME, find_damage
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import load_recipe, to_mapping, to_yaml

__all__ = [
    "LAYOUT_SETTINGS",
    "RUN_NAME",
    "TRAINER_NAME",
    "ResumePoint",
    "choose_start",
    "comparable_settings",
    "find_start",
    "require_same_text",
]

RUN_NAME = "run.yaml"
TRAINER_NAME = "trainer.json"

FREE_SETTINGS = frozenset(
    {
        *("data.train", "data.validation", "data.num_workers", "data.cache_dir"),
        *("train.output_dir", "train.resume", "train.max_steps", "train.max_nonfinite_steps"),
        *("train.log_every", "train.save_every", "train.keep_checkpoints", "train.track"),
        *("train.validate_every", "train.validation_samples", "train.sample_every"),
        *("train.arrange_memory", "data.too_long", "data.validation_languages"),
    }
)
"""Never compared. The training text is, by the hashes of its shards, wherever the files now lie."""

LAYOUT_SETTINGS = frozenset(
    {
        "train.micro_batch_size",
        "train.device",
        "train.parallel",
        "train.compile",
        "model.attention_implementation",
        "model.activation_checkpointing",
        "processes",
    }
)
"""Compared, and reported when they differ."""

_RUN_FILES = (RUN_NAME, CHECKPOINTS_NAME, "metrics.jsonl", "model.safetensors", "config.json")


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A checkpoint to continue from."""

    folder: Path
    """The checkpoint."""
    trainer: dict[str, Any]
    """Its counters, data state and settings."""
    notices: tuple[str, ...]
    """What the person should know: damaged checkpoints passed over, another layout."""


def choose_start(
    config: PretrainSettings, precision: str, num_processes: int
) -> ResumePoint | None:
    """Return the checkpoint that a pretraining run continues from, or None to start a new run.

    Args:
        config: the settings of this start.
        precision: the arithmetic chosen for it, fp32 or bf16.
        num_processes: processes of this start.

    Raises:
        ValueError: if the folder holds another run, or a checkpoint was made with other settings.
        FileNotFoundError: if `train.resume` names no checkpoint folder.
    """

    def settings(folder: Path | None, run: PretrainSettings = config) -> dict[str, Any]:
        return comparable_settings(run, family_of_run(run.model, folder), precision, num_processes)

    def recorded(path: Path) -> dict[str, Any] | None:
        whole = _whole_settings(path)
        return None if whole is None else settings(None, whole)

    return find_start(config.train.output_dir, config.train.resume, settings, recorded)


def find_start(
    output_dir: Path,
    resume: str,
    settings: Callable[[Path | None], dict[str, Any]],
    recorded: Callable[[Path], dict[str, Any] | None],
) -> ResumePoint | None:
    """Return the checkpoint to continue from, or None to start a new run.

    Args:
        output_dir: folder of the run.
        resume: `train.resume`.
        settings: checkpoint folder, or None for a new run -> what this start is compared by.
        recorded: a run's settings file -> what that run is compared by; None if it was cut.

    Raises:
        ValueError: if the folder holds another run, or a checkpoint was made with other settings.
        FileNotFoundError: if `resume` names no checkpoint folder.
    """
    if resume == "auto":
        folder, notices = _latest_good(output_dir / CHECKPOINTS_NAME)
    elif resume == "never":
        folder, notices = None, ()
    else:
        folder, notices = _named(Path(resume)), ()
    if folder is None:
        _require_free_folder(output_dir, resume, settings, recorded)
        return None
    trainer = json.loads((folder / TRAINER_NAME).read_text(encoding="utf-8"))
    layout = _require_same(trainer["settings"], settings(folder), folder)
    return ResumePoint(folder, trainer, (*notices, *layout))


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
            f"{point.folder} was trained on other text or with another tokenizer than data.train "
            "now names. Restore the files, or start a new run in another train.output_dir (with "
            f"--model.init_from {point.folder} to start from its weights)"
        )


def comparable_settings(
    config: PretrainSettings, family: Family, precision: str, num_processes: int
) -> dict[str, Any]:
    """Return dotted name -> value of every setting that a resumed run is compared by.

    Args:
        config: the run.
        family: of its model.
        precision: the arithmetic chosen for it, fp32 or bf16.
        num_processes: processes of this start.
    """
    flat = {
        f"{section}.{name}": value
        for section, values in to_mapping(config).items()
        for name, value in values.items()
    }
    # None means the end of the run: a longer run then has another schedule.
    if config.optim.schedule in ("cosine", "linear"):
        flat["optim.decay_steps"] = config.optim.decay_steps or config.train.max_steps
    else:
        flat["optim.decay_steps"] = None
    flat["train.precision"] = precision
    flat["processes"] = num_processes
    if family.rows.is_forward_pass:  # then it decides which samples share a batch
        flat["train.micro_batch_size (of an encoder-decoder)"] = config.train.micro_batch_size
    return {name: value for name, value in flat.items() if name not in FREE_SETTINGS}


def _latest_good(root: Path) -> tuple[Path | None, tuple[str, ...]]:
    notices: list[str] = []
    for folder in list_checkpoints(root):
        damage = find_damage(folder)
        if damage is None:
            return folder, tuple(notices)
        notices.append(f"checkpoint {folder} is damaged: {damage}; trying the one before it")
    if notices:
        raise ValueError(
            "; ".join(notices) + ". None is left: empty the folder, or choose another "
            "train.output_dir, to start anew"
        )
    return None, ()


def _named(folder: Path) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"train.resume is {str(folder)!r}: no such folder; allowed are auto, never, and the "
            f"folder of a checkpoint such as RUN/{CHECKPOINTS_NAME}/step-00000500"
        )
    damage = find_damage(folder)
    if damage is None:
        return folder
    others = [other for other in list_checkpoints(folder.parent) if other.name < folder.name]
    good = next((other for other in others if find_damage(other) is None), None)
    advice = f"; the one before it is good: --train.resume {good}" if good else ""
    raise ValueError(f"checkpoint {folder} is damaged: {damage}{advice}")


def _require_free_folder(
    output_dir: Path,
    resume: str,
    settings: Callable[[Path | None], dict[str, Any]],
    recorded: Callable[[Path], dict[str, Any] | None],
) -> None:
    found = [name for name in _RUN_FILES if (output_dir / name).exists()]
    if not found:
        return
    run_path = output_dir / RUN_NAME
    if resume == "auto" and run_path.is_file():
        # A run that died before its first checkpoint: the same settings may start it over.
        before = recorded(run_path)
        if before is not None:
            _require_same(before, settings(None), output_dir)
            return
        if "model.safetensors" not in found:
            return
    raise ValueError(
        f"train.output_dir {output_dir} already holds a run or a model ({', '.join(found)}). "
        "Choose another folder, continue that run with --train.resume auto and its settings, or "
        "empty the folder"
    )


def _whole_settings(path: Path) -> PretrainSettings | None:
    """Return the settings of a run, or None if the file was cut: it names every field otherwise."""
    try:
        config = load_recipe(path)
    except (ValueError, TypeError):
        return None
    return config if to_yaml(config) == path.read_text(encoding="utf-8") else None


def _require_same(
    before: Mapping[str, Any], now: Mapping[str, Any], folder: Path
) -> tuple[str, ...]:
    changed = {
        name: f"{name} was {before.get(name)!r}, now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }
    refused = [text for name, text in changed.items() if name not in LAYOUT_SETTINGS]
    if refused:
        hint = ""
        if "optim.decay_steps" in changed:
            hint = (
                " (it is train.max_steps unless set: keep the schedule by --optim.decay_steps "
                f"{before.get('optim.decay_steps')})"
            )
        raise ValueError(
            f"{folder} belongs to a run with other settings: {'; '.join(refused)}{hint}. Use the "
            "same settings, or another train.output_dir"
        )
    notice = "the work is shared out differently, so losses agree only up to rounding and dropout: "
    return (notice + "; ".join(changed.values()),) if changed else ()
