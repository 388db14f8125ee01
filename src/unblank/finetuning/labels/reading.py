"""What every task with labels needs: its file, tokenizer, examples, and the model to start from."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.records import find_record_files
from unblank.engine.task import TaskContext
from unblank.families.table import FAMILIES, family_of_run
from unblank.finetuning.labels.held_out import measured_examples
from unblank.finetuning.methods import prepare_tokenizer
from unblank.finetuning.settings import FinetuneData, FinetuneSettings, FinetuneTrain
from unblank.progress_bars import progress_bar
from unblank.prompting.examples import TaskExample, read_examples, require_labels
from unblank.prompting.task import ClozeTask, load_task
from unblank.starting.model import build_model
from unblank.starting.tokenizer import TOKENIZER_NAME, open_tokenizer

__all__ = ["Labelled", "read_labelled", "split_held_out"]

Encoded = TypeVar("Encoded")

_USUAL = FinetuneSettings()

_NEW_LENGTH = 256
"""Positions of a model that starts from nothing, unless set."""

_MANY = 1000
"""Examples that take so long to encode that a bar is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A task with its examples.

    Attributes:
        context: of the run.
        family: of the model.
        task: what is asked.
        tokenizer: of the model.
        train: training examples, perhaps none.
        validation: held-out examples, perhaps none.
        max_length: positions of an example.
        content: hash of each training file.
    """

    context: TaskContext
    family: str
    task: ClozeTask
    tokenizer: PreTrainedTokenizerFast
    train: tuple[TaskExample, ...]
    validation: tuple[TaskExample, ...]
    max_length: int
    content: list[str]

    def build_glm(self) -> PreTrainedModel:
        """Return the language model to start from; of the checkpoint if the run continues one."""
        config = self.context.config
        return build_model(
            config.model,
            self.tokenizer,
            max_length=self.max_length,
            seed=config.train.seed,
            checkpoint=self.context.checkpoint,
        )

    def encode_all(
        self, examples: Sequence[TaskExample], encode: Callable[[TaskExample], Encoded]
    ) -> list[Encoded]:
        """Return each example as `encode` makes it, with a bar on the error stream if many."""
        is_shown = self.context.world.is_main and len(examples) > _MANY
        encoded = []
        with progress_bar(show=is_shown) as progress:
            bar = progress.add_task("encoding examples", total=len(examples))
            for example in examples:
                encoded.append(encode(example))
                progress.advance(bar)
        return encoded


def read_labelled(context: TaskContext, *, families: tuple[str, ...]) -> Labelled:
    """Return the task of a run with tokenizer and examples, and say what was read.

    Args:
        context: the run.
        families: whose models can do it.

    Raises:
        ValueError: data, model and settings do not fit; the message names the file and line.
        FileNotFoundError: a file or folder is not there.
    """
    config = context.config
    _refuse_foreign_settings(config)
    task = load_task(config.task)
    if config.cloze.scoring is not None:
        task = replace(task, scoring=config.cloze.scoring)
    for number in config.cloze.patterns:
        task.pattern(number)
    known = (*task.metrics, "loss")
    if config.train.metric not in (None, *known):
        raise ValueError(
            f"train.metric is {config.train.metric!r}: task {task.name} has {', '.join(known)}"
        )
    family = family_of_run(config.model, context.checkpoint).name
    if family not in families:
        raise ValueError(
            f"tuning task {config.task!r} by --method {config.method} needs a model of the family "
            f"{' or '.join(families)}, and this is a {family}: cloze questions are for GLM, "
            "--method classifier for GLM and GanLM, --task seq2seq for all"
        )
    if families == ("glm",) and context.world.size > 1 and config.train.parallel == "fsdp":
        raise ValueError("cloze questions share the model by --train.parallel ddp, not fsdp")
    files = {
        name: [path for entry in getattr(config.data, name) for path in find_record_files(entry)]
        for name in ("train", "validation")
    }
    read = {name: read_examples(task, paths) for name, paths in files.items()}
    for name, data in read.items():
        if data.num_skipped:
            labels = ", ".join(map(repr, task.skip_labels))
            context.display.say(
                f"{name}: {data.num_skipped} of {data.num_records} left out, labelled {labels}"
            )
    examples, held_out = read["train"].examples, read["validation"].examples
    if config.data.hold_out:
        examples, held_out = split_held_out(examples, config.data.hold_out)
    validation = measured_examples(held_out, config.train.validation_samples)
    require_labels(task, validation)
    with context.world.main_first():
        tokenizer = open_tokenizer(
            config.model,
            config.tokenizer,
            FAMILIES[family],
            lambda: _texts(examples),
            folder=config.train.output_dir / TOKENIZER_NAME,
            world=context.world,
            checkpoint=context.checkpoint,
            display=context.display,
        )
    prepare_tokenizer(config, tokenizer)
    return Labelled(
        context=context,
        family=family,
        task=task,
        tokenizer=tokenizer,
        train=examples,
        validation=validation,
        max_length=_max_length(context),
        content=[hashlib.sha256(path.read_bytes()).hexdigest() for path in files["train"]],
    )


def split_held_out(
    examples: Sequence[TaskExample], share: float
) -> tuple[tuple[TaskExample, ...], tuple[TaskExample, ...]]:
    """Return the examples to learn from, and those whose text hashes into the share.

    Equal texts stay together, and so do the questions of a group; the order is kept.

    Raises:
        ValueError: one of the two would be empty.
    """
    is_held_out = [_place_in_unit(example) < share for example in examples]
    pairs = list(zip(examples, is_held_out, strict=True))
    learnt = tuple(example for example, is_out in pairs if not is_out)
    held_out = tuple(example for example, is_out in pairs if is_out)
    if not learnt or not held_out:
        raise ValueError(
            f"data.hold_out {share} of {len(examples)} examples leaves {len(learnt)} to learn from "
            f"and {len(held_out)} to validate on: give more examples or another share"
        )
    return learnt, held_out


def _place_in_unit(example: TaskExample) -> float:
    text = example.group or "\n".join(f"{k}={v}" for k, v in sorted(example.fields.items()))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _refuse_foreign_settings(config: FinetuneSettings) -> None:
    """Raise ValueError for a setting that only source/target tasks obey."""
    if config.cloze.ensemble:
        raise ValueError("cloze.ensemble stands for several runs: run_finetune_command starts them")
    changed = [
        f"data.{field.name}"
        for field in fields(FinetuneData)
        if field.name not in ("train", "validation", "hold_out")
        and getattr(config.data, field.name) != getattr(FinetuneData(), field.name)
    ]
    changed += [
        f"train.{name}"
        for name in ("batch_tokens", "micro_batch_tokens")
        if getattr(config.train, name) != getattr(FinetuneTrain(), name)
    ]
    sections = ("seq2seq", "generation", "ganlm")
    changed += [name for name in sections if getattr(config, name) != getattr(_USUAL, name)]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} means nothing for a task with labels ({config.task!r}): take "
            "it out, or choose --task seq2seq"
        )


def _max_length(context: TaskContext) -> int:
    """Return the positions of an example, and check that the model has them."""
    wanted = context.config.cloze.max_length
    folder = context.checkpoint or context.config.model.init_from
    if folder is None:
        return wanted or _NEW_LENGTH
    positions = int(AutoConfig.from_pretrained(folder).max_position_embeddings)
    if wanted is not None and wanted > positions:
        raise ValueError(
            f"cloze.max_length {wanted} is more than the {positions} positions of the model in "
            f"{folder}"
        )
    return wanted or positions


def _texts(examples: Iterable[TaskExample]) -> Iterable[str]:
    return (text for example in examples for text in example.fields.values())
