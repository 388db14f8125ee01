"""What makes two starts of a fine-tuning run the same run: its settings, and where it may go on."""

from pathlib import Path
from typing import Any

from unblank.engine.resume import ResumePoint, find_start
from unblank.finetuning.settings import FinetuneSettings
from unblank.settings.recipes import read_settings, to_mapping, to_yaml

__all__ = ["find_finetune_start", "settings_of"]

FREE_SETTINGS = frozenset(
    {
        *("data.train", "data.validation", "data.monolingual", "data.num_workers"),
        *("train.output_dir", "train.resume", "train.epochs", "train.max_steps", "train.seeds"),
        *("train.log_every", "train.save_every", "train.keep_checkpoints", "train.track"),
        *("train.patience", "train.final", "train.average_last", "train.validation_samples"),
        *("train.validate_every", "train.max_nonfinite_steps", "train.arrange_memory"),
        *("ganlm.keep_discriminator", "generation"),
    }
)
"""Never compared. Training data is, by its content."""


def find_finetune_start(
    config: FinetuneSettings, precision: str, num_processes: int
) -> ResumePoint | None:
    """Return the checkpoint that a run continues from, or None to start a new one.

    Args:
        config: the settings of this start.
        precision: the arithmetic chosen for it, fp32 or bf16.
        num_processes: processes of this start.

    Raises:
        ValueError: if the folder holds another run, or a checkpoint was made with other settings.
        FileNotFoundError: if `train.resume` names no checkpoint folder.
    """

    def settings(folder: Path | None) -> dict[str, Any]:
        return settings_of(config, precision, num_processes)

    def recorded(path: Path) -> dict[str, Any] | None:
        try:
            run = read_settings(FinetuneSettings, path)
        except (ValueError, TypeError):
            return None
        if to_yaml(run) != path.read_text(encoding="utf-8"):
            return None
        return settings_of(run, precision, num_processes)

    train = config.train
    return find_start(train.output_dir, train.resume, settings, recorded)


def settings_of(config: FinetuneSettings, precision: str, num_processes: int) -> dict[str, Any]:
    """Return dotted name -> value of every setting that a resumed run is compared by.

    Args:
        config: the run.
        precision: the arithmetic chosen for it, fp32 or bf16.
        num_processes: processes of this start.
    """
    flat: dict[str, Any] = {}
    for section, values in to_mapping(config).items():
        if isinstance(values, dict):
            flat |= {f"{section}.{name}": value for name, value in values.items()}
        else:
            flat[section] = values
    if config.optim.schedule in ("cosine", "linear"):  # a longer run has another schedule
        flat["the length of the run"] = [config.train.epochs, config.train.max_steps]
    if config.task == "seq2seq":  # it decides which pairs share a batch
        share = max(config.train.batch_tokens // num_processes, 1)
        flat["train.micro_batch_tokens"] = config.train.micro_batch_tokens or share
    flat["optim.learning_rate"] = config.learning_rate
    flat["train.precision"] = precision
    flat["processes"] = num_processes
    return {
        name: value
        for name, value in flat.items()
        if not {name, name.partition(".")[0]} & FREE_SETTINGS
    }
