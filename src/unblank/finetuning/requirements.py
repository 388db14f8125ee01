"""Refuses fine-tuning runs that cannot work, by their settings alone, before any text is read."""

import warnings
from collections.abc import Collection
from pathlib import Path

from unblank.adapters.record import has_adapter
from unblank.extras import require_package
from unblank.finetuning.labels.classifier_model import is_classifier_folder
from unblank.finetuning.pairs.answers import SCORES
from unblank.finetuning.settings import FinetuneSettings
from unblank.metrics.bleu_tokenizers import require_bleu_tokenizer
from unblank.metrics.packages import require_metric_packages
from unblank.prompting import load_task
from unblank.prompting.soft import require_glm
from unblank.settings.given import changed_names, refuse_unused
from unblank.untrusted.opening import config_in

__all__ = [
    "PAIRS",
    "QUESTIONS",
    "WRITING_TASKS",
    "require_possible_method",
    "require_tuning_packages",
]

PAIRS = "seq2seq"
"""Name of the task for pairs."""
QUESTIONS = "qa"
"""Name of the task for questions about passages."""
WRITING_TASKS = (PAIRS, QUESTIONS)
"""Tasks in which a model writes; every other name is that of a task with labels."""

_BESIDE = ("lora", "prompt", "deep-prompt")
"""Methods that train something alongside a frozen model."""

_ONLY_PAIRS = (
    *("data.source", "data.target", "data.languages", "data.validation_languages", "data.tag"),
    *("data.share", "data.lines", "seq2seq.too_long"),
)
_ONLY_WRITING = (
    *("data.alpha", "data.temperature_start", "data.temperature_end", "data.temperature_epochs"),
    *("data.monolingual", "data.text_field", "data.text_unit", "data.num_workers"),
    *("train.batch_tokens", "train.micro_batch_tokens", "seq2seq", "generation", "ganlm"),
)
_ONLY_LABELS = (
    *("data.hold_out", "train.batch_size", "train.micro_batch_size", "grid.batch_sizes", "cloze"),
)


_ONLY_BLANKS = tuple(
    f"cloze.{name}"
    for name in (
        *("patterns", "scoring", "layout", "loss", "prompts", "test_prompts", "words"),
        *("test_words", "consistency", "calibrate"),
    )
)
_ONLY_CLASSIFIERS = ("cloze.pooled", "cloze.branch")


_ONLY_TRAINING = (
    *("optim", "grid", "data.share", "data.alpha", "data.monolingual"),
    *("train.max_steps", "train.minutes", "train.epochs", "train.save_every", "train.save_minutes"),
    *("train.keep_checkpoints", "train.validate_every", "train.patience", "train.ema_decay"),
    *("train.average_last", "train.final", "train.max_nonfinite_steps", "train.log_every"),
)
"""What has no effect where nothing is trained."""


def _unused_settings(settings: FinetuneSettings) -> dict[str, str]:
    """Return what this task and method do not use: dotted name -> why, as half a sentence."""
    unused: dict[str, str] = {}
    if settings.task in WRITING_TASKS:
        unused |= dict.fromkeys(_ONLY_LABELS, "only tasks with labels use it")
    else:
        unused |= dict.fromkeys(_ONLY_WRITING, f"only --task {PAIRS} and {QUESTIONS} use it")
    if settings.task != PAIRS:
        unused |= dict.fromkeys(_ONLY_PAIRS, f"only --task {PAIRS} uses it")
    if settings.task != QUESTIONS:
        unused["qa"] = f"only --task {QUESTIONS} uses it"
    method = f"--method {settings.method}"
    if settings.task not in WRITING_TASKS:
        if _has_head(settings):
            unused |= dict.fromkeys(_ONLY_BLANKS, "a classifier does not use it")
        else:
            unused |= dict.fromkeys(_ONLY_CLASSIFIERS, "only a classifier uses it")
    if settings.method != "lora":
        unused["lora"] = f"{method} trains no adapters"
    if settings.method not in ("prompt", "deep-prompt"):
        unused["prompt"] = f"{method} trains no prompt"
    if settings.method == "deep-prompt":
        unused["prompt.encoder"] = f"{method} has no encoder"
    return unused


def _has_head(settings: FinetuneSettings) -> bool:
    """Whether a classifier answers: one that is asked for, or the model that is started from."""
    is_asked_for = settings.method == "classifier" or settings.cloze.classifier
    return is_asked_for or is_classifier_folder(settings.model.init_from)


def require_possible_method(
    settings: FinetuneSettings, given: Collection[str] | None = None
) -> None:
    """Raise an error for a run that cannot work, as far as its settings tell.

    Args:
        settings: of the run.
        given: dotted names of the settings that were given; None takes those that are not as they
            are by default.

    Raises:
        ImportError: a package that the run would want later is not installed.
        ValueError: settings that contradict one another, that the task or the method does not use,
            or that the model to start from cannot follow.
    """
    given = changed_names(settings) if given is None else given
    refuse_unused(given, _unused_settings(settings))
    if settings.method == "none":
        _tell_without_effect(given)
    require_tuning_packages(settings)
    data, model, train = settings.data, settings.model, settings.train
    if model.init_from is not None and has_adapter(model.init_from):
        raise ValueError(
            f"{model.init_from} is an adapter or a prompt, not a model: start from the base model "
            "that its adapter.json names, or from what `unblank merge` makes of them"
        )
    if settings.method in _BESIDE:
        _require_base(settings)
    if not data.train and settings.method != "none":
        raise ValueError("no training examples: give --data.train FILE [...]")
    if settings.method == "none" and not data.is_validated:
        raise ValueError("no held-out examples: --method none needs --data.validation FILE [...]")
    if model.init_from is None and model.init_from_encoder is None and not model.preset:
        raise ValueError(
            "no model to start from: give --model.init-from FOLDER, --model.init-from-encoder "
            "FOLDER, or --model.preset NAME to train from random weights"
        )
    asks = train.patience or train.average_last or train.final in ("best", "average")
    if not data.is_validated and (asks or train.metric is not None):
        raise ValueError(
            "train.metric, patience, average_last and final need held-out examples: give "
            "--data.validation FILE [...]"
        )


def _tell_without_effect(given: Collection[str]) -> None:
    """Warn of settings that only a training uses; a training's recipe may be used to measure."""
    found = [
        name
        for name in sorted(given)
        if any(name == one or name.startswith(f"{one}.") for one in _ONLY_TRAINING)
    ]
    if found:
        warnings.warn(
            f"--method none trains nothing, so {', '.join(found)} have no effect"
            if len(found) > 1
            else f"--method none trains nothing, so {found[0]} has no effect",
            stacklevel=2,
        )


def require_tuning_packages(settings: FinetuneSettings) -> None:
    """Raise ImportError for a package that a run would want after its first step."""
    if settings.method == "lora":
        require_package("peft", "--method lora")
    if not settings.data.is_validated:
        return
    if settings.task == PAIRS:
        metrics = SCORES.get(settings.train.metric or "loss", ())
        require_metric_packages(metrics)
        if "bleu" in metrics:
            require_bleu_tokenizer(settings.generation.bleu_tokenizer)
    elif settings.task != QUESTIONS:  # whose scores need none
        require_metric_packages(load_task(settings.task).metrics)


def _require_base(settings: FinetuneSettings) -> None:
    """Refuse what cannot be trained beside a frozen model."""
    method, base = settings.method, settings.model.init_from
    if base is None:
        raise ValueError(
            f"--method {method} trains few parameters of a finished model: give its folder with "
            "--model.init-from"
        )
    for name in ("extra_tokens", "transfer_rows"):
        if not getattr(settings.tokenizer, name):
            continue
        raise ValueError(
            f"tokenizer.{name} needs new rows of the embedding table, which --method {method} "
            "does not train: use --method full"
        )
    if settings.ganlm.branch == "discriminator":
        raise ValueError(
            f"ganlm.branch discriminator changes the model itself, but --method {method} saves "
            f"only what it trains alongside {base}: use --method full"
        )
    if method == "lora" or not (Path(base) / "config.json").is_file():
        return
    base_config = config_in(base)
    require_glm(base_config, f"--method {method}")
    if method == "prompt":
        _require_room(settings, base_config.max_position_embeddings)


def _require_room(settings: FinetuneSettings, positions: int) -> None:
    limits = {"positions of the model": positions}
    if settings.task in WRITING_TASKS:
        limits["seq2seq.max_source_length"] = settings.seq2seq.max_source_length
    length = settings.prompt.length
    for name, limit in limits.items():
        if length > limit // 2:
            raise ValueError(
                f"prompt.length {length} takes more than half of the {limit} {name}: a prompt "
                "takes up positions of the source, so lower it"
            )
