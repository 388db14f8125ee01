"""What every task with labels needs: its tokenizer, its examples, and the model to start from."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.drawn_texts import DrawnTexts
from unblank.data.language_files import find_language_files
from unblank.engine.parallel import World
from unblank.engine.training import RunContext
from unblank.families.family import Family
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.families.table import FAMILIES, family_of_run
from unblank.finetuning.labels.held_out import measured_examples
from unblank.progress_bars import counting_bar
from unblank.prompting.examples import TaskExample, read_examples, require_labels
from unblank.prompting.task import ClozeTask
from unblank.starting.model import build_model
from unblank.starting.tokenizer import TOKENIZER_NAME, open_tokenizer
from unblank.untrusted.opening import config_in

__all__ = ["Labelled", "StartingPoint", "read_labelled"]

Encoded = TypeVar("Encoded")

_NEW_LENGTH = 256
"""Number of positions of a model that starts from random weights, unless set."""

_MANY = 1000
"""Number of examples from which encoding takes long enough to show a progress bar."""


@dataclass(frozen=True, slots=True)
class StartingPoint:
    """Where the first weights come from.

    Attributes:
        settings: the `model` section.
        seed: of new weights.
        checkpoint: whose weights are continued instead, if there is one.
    """

    settings: ModelSettings
    seed: int
    checkpoint: Path | None

    @property
    def folder(self) -> Path | None:
        """The folder that the weights are read from, if they are not new."""
        return self.checkpoint or self.settings.init_from

    def build(self, tokenizer: PreTrainedTokenizerFast, max_length: int) -> PreTrainedModel:
        """Return the language model; see `unblank.starting.model.build_model`."""
        return build_model(
            self.settings,
            tokenizer,
            max_length=max_length,
            seed=self.seed,
            checkpoint=self.checkpoint,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A task with its examples.

    Attributes:
        start: of the model.
        family: of the model.
        task: what is asked.
        tokenizer: of the model.
        train: training examples, perhaps none.
        validation: held-out examples, perhaps none.
        max_length: positions of an example.
        content: hash of each training file.
        world: the processes of the run.
    """

    start: StartingPoint
    family: Family
    task: ClozeTask
    tokenizer: PreTrainedTokenizerFast
    train: tuple[TaskExample, ...]
    validation: tuple[TaskExample, ...]
    max_length: int
    content: list[str]
    world: World

    def encode_all(
        self, examples: Sequence[TaskExample], encode: Callable[[TaskExample], Encoded]
    ) -> list[Encoded]:
        """Return each example as `encode` makes it, with a bar on the error stream if many."""
        is_shown = self.world.is_main and len(examples) > _MANY
        encoded = []
        with counting_bar("encoding examples", len(examples), show=is_shown) as advance:
            for example in examples:
                encoded.append(encode(example))
                advance(1)
        return encoded


def read_labelled(
    context: RunContext,
    start: StartingPoint,
    task: ClozeTask,
    *,
    tokenizer: TokenizerSettings,
    files: Mapping[str, Sequence[str]],
    hold_out: float | None,
    measured: int | None,
    max_length: int | None,
    by_classifier: bool,
    is_sharded: bool,
    tokenizer_folder: Path,
    prepare_tokenizer: Callable[[PreTrainedTokenizerFast], None] | None,
) -> Labelled:
    """Return the task of a run with tokenizer and examples, and say what was read.

    Args:
        context: of the run.
        start: of the model.
        task: what is asked.
        tokenizer: the `tokenizer` section.
        files: `train` and `validation` -> entries of the data.
        hold_out: share of the training examples that is held out instead of `validation`.
        measured: held-out examples that are measured; None for all.
        max_length: positions of an example; None for the model's.
        by_classifier: whether a head answers, and not a blank.
        is_sharded: whether the processes share one model.
        tokenizer_folder: folder of the run, where a new tokenizer is kept.
        prepare_tokenizer: called with the tokenizer once it is there.

    Raises:
        ValueError: data, model and settings do not fit; the message names the file and line.
        FileNotFoundError: a file or folder is not there.
    """
    family = family_of_run(start.settings, start.checkpoint)
    _require_able(family, task, by_classifier)
    if is_sharded and not by_classifier:
        raise ValueError("cloze questions do not support --train.parallel fsdp: use ddp")
    paths = {name: find_language_files(one) if one else () for name, one in files.items()}
    read = {name: read_examples(task, of_name) for name, of_name in paths.items()}
    for name, data in read.items():
        if data.num_skipped:
            labels = ", ".join(map(repr, task.skip_labels))
            context.display.say(
                f"{name}: {data.num_skipped} of {data.num_records} left out, labelled {labels}"
            )
    examples, held_out = read["train"].examples, read["validation"].examples
    if hold_out:
        examples, held_out = split_held_out(examples, hold_out)
    validation = measured_examples(held_out, measured)
    require_labels(task, validation)
    with context.world.main_first():
        opened = open_tokenizer(
            start.settings,
            tokenizer,
            family,
            lambda: DrawnTexts(
                [list(_texts(examples))], tokenizer.alpha, tokenizer.num_characters or None
            ),
            folder=tokenizer_folder / TOKENIZER_NAME,
            world=context.world,
            checkpoint=start.checkpoint,
            display=context.display,
        )
    if prepare_tokenizer is not None:
        prepare_tokenizer(opened)
    return Labelled(
        start=start,
        family=family,
        task=task,
        tokenizer=opened,
        train=examples,
        validation=validation,
        max_length=_max_length(max_length, start.folder),
        content=[hashlib.sha256(file.path.read_bytes()).hexdigest() for file in paths["train"]],
        world=context.world,
    )


def split_held_out(
    examples: Sequence[TaskExample], share: float
) -> tuple[tuple[TaskExample, ...], tuple[TaskExample, ...]]:
    """Return the examples to learn from, and those whose text hashes into the share.

    Equal texts stay together, and so do the examples of a group, which count as one text; the order
    is kept.

    Raises:
        ValueError: one of the two would be empty.
    """
    keys = [example.group or number for number, example in enumerate(examples)]
    texts: dict[Hashable, list[str]] = {}
    for key, example in zip(keys, examples, strict=True):
        texts.setdefault(key, []).extend(f"{k}={v}" for k, v in sorted(example.fields.items()))
    is_held_out = {key: _place_in_unit("\n".join(lines)) < share for key, lines in texts.items()}
    pairs = [(example, is_held_out[key]) for key, example in zip(keys, examples, strict=True)]
    training = tuple(example for example, is_out in pairs if not is_out)
    held_out = tuple(example for example, is_out in pairs if is_out)
    if not training or not held_out:
        raise ValueError(
            f"data.hold_out {share} of {len(examples)} examples leaves {len(training)} for "
            f"training and {len(held_out)} for validation: give more examples or another share"
        )
    return training, held_out


def _place_in_unit(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64


def _require_able(family: Family, task: ClozeTask, by_classifier: bool) -> None:
    """Refuse a family whose models cannot answer in the way that is asked for."""

    def is_able(other: Family) -> bool:
        return other.classifier is not None if by_classifier else other.writes == "blanks"

    if not by_classifier and not task.patterns:
        raise ValueError(
            f"task {task.name} has labels and no patterns, so no blank can be asked for them: "
            "train a classifier (--method classifier, or --cloze.classifier with lora or a prompt)"
        )
    if is_able(family):
        return
    able = " or ".join(name for name, other in FAMILIES.items() if is_able(other))
    way = "by a classifier" if by_classifier else "as cloze questions"
    raise ValueError(
        f"task {task.name} can be learned {way} with a model of the family {able} only, and this "
        f"is a {family.name}: cloze questions work with GLM, --method classifier with GLM and "
        "GanLM, --task seq2seq with all that write"
    )


def _max_length(wanted: int | None, folder: Path | None) -> int:
    """Return the positions of an example, and check that the model has them."""
    if folder is None:
        return wanted or _NEW_LENGTH
    positions = int(config_in(folder).max_position_embeddings)
    if wanted is not None and wanted > positions:
        raise ValueError(
            f"cloze.max_length {wanted} exceeds the {positions} positions of the model in "
            f"{folder}: lower it"
        )
    return wanted or positions


def _texts(examples: Iterable[TaskExample]) -> Iterable[str]:
    return (text for example in examples for text in example.fields.values())
