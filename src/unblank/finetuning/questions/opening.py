"""Opens the training on questions: files read, passages cut into windows, batches made."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from rich.table import Table
from transformers import PreTrainedTokenizerFast

from unblank.data.drawing import drawn_places
from unblank.data.language_files import LanguageFile, find_language_files
from unblank.engine.logging import Display
from unblank.engine.training import RunContext
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.families.table import family_of_run
from unblank.finetuning.pairs.answers import Answering
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.entries import RawEntry
from unblank.finetuning.pairs.opening import (
    metric_of,
    pair_start,
    pair_training,
    require_writing,
    unused_of_family,
)
from unblank.finetuning.pairs.text import TextPair
from unblank.finetuning.pairs.training import HeldOutPairs
from unblank.finetuning.questions.settings import QuestionMetric, QuestionSettings
from unblank.finetuning.questions.training import HeldOutQuestions, QuestionTraining
from unblank.finetuning.questions.windows import windows_as_pairs
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneGanLMSettings,
    FinetuneTrainSettings,
    GenerationSettings,
    PairSettings,
)
from unblank.questions.answers import require_rules
from unblank.questions.asked import AskedQuestion, WindowCounts, ask
from unblank.questions.asking import QuestionEncoder
from unblank.questions.reading import Question, read_questions
from unblank.settings.given import refuse_unused

__all__ = ["open_questions"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """The questions of one file."""

    file: LanguageFile
    questions: list[Question]


def open_questions(
    context: RunContext,
    *,
    model: ModelSettings,
    tokenizer: TokenizerSettings,
    data: FinetuneDataSettings,
    pairs: PairSettings,
    questions: QuestionSettings,
    ganlm: FinetuneGanLMSettings,
    train: FinetuneTrainSettings,
    generation: GenerationSettings,
    given: Collection[str],
    prepare_tokenizer: Callable[[PreTrainedTokenizerFast], None] | None,
) -> QuestionTraining:
    """Return the training with its data read and encoded.

    The sections of the settings are given one by one: `pairs` is `seq2seq`, of which the lengths,
    the smoothing and the blank are used, and `questions` is `qa`. `given` has the names of what was
    given; `prepare_tokenizer` is called once there is a tokenizer.

    Raises:
        ValueError: data, model and settings do not fit; the message names file and line.
        FileNotFoundError: a file or folder is not there.
    """
    world, family = context.world, family_of_run(model, context.checkpoint)
    require_writing(family, "qa")
    refuse_unused(given, unused_of_family(family))
    metric = metric_of(train, world, "qa", get_args(QuestionMetric), "f1")
    entries = _read(data.train)
    held_out = _measured(_read(data.validation), train.validation_samples)
    for entry in held_out:
        require_rules(entry.questions, questions.rules)
    start = pair_start(context, family, model, tokenizer, pairs, ganlm, train)
    with world.main_first():
        known = start.open_tokenizer([_as_texts(entry) for entry in entries])
    if prepare_tokenizer is not None:
        prepare_tokenizer(known)
    special, in_blank = family.special_ids(known), family.writes == "blanks"
    encoder = QuestionEncoder(known, special, questions.prompts, pairs.blank if in_blank else "")
    asked, measured = (
        [
            ask(entry.questions, encoder, pairs.max_source_length, show_progress=world.is_main)
            for entry in some
        ]
        for some in (entries, held_out)
    )
    _show(context.display, [*entries, *held_out], [*asked, *measured], len(entries))
    encoded = [windows_as_pairs(one, encoder, pairs.max_target_length, train.seed) for one in asked]
    answering = Answering.of(generation, pairs.max_target_length)
    as_pairs = pair_training(
        context,
        start,
        known,
        PairEncoder(known, special, pairs, in_blank, world.is_main),
        encoded,
        HeldOutPairs(  # the windows with an answer
            entries=[
                windows_as_pairs(one, encoder, pairs.max_target_length, None) for one in measured
            ],
            names=[str(entry.file.path) for entry in held_out],
            measured=None,
            is_shared=train.parallel == "ddp",
            precision=context.precision,
        ),
        data=data,
        pairs=pairs,
        train=train,
        answering=answering,
        metric="loss",
    )
    at_least_one = replace(answering.options, min_tokens=max(1, generation.min_tokens))
    held_out_questions = HeldOutQuestions(
        asked=[one for entry in measured for one in entry],
        rules=questions.rules,
        encoder=encoder,
        answering=replace(answering, options=at_least_one),
        extract=questions.extract,
        world=world,
    )
    counts = WindowCounts.of([one for entry in asked for one in entry])
    return QuestionTraining(as_pairs, held_out_questions, metric, counts)


def _read(entries: Sequence[str]) -> list[_Entry]:
    files = find_language_files(entries) if entries else ()
    return [_Entry(file, read_questions(file)) for file in files]


def _measured(entries: Sequence[_Entry], count: int | None) -> list[_Entry]:
    """Return the entries with a fixed random choice of `count` questions; None keeps all."""
    if not entries:
        return []
    sizes = [len(entry.questions) for entry in entries]
    places = drawn_places(sizes, count)
    return [
        _Entry(entry.file, [entry.questions[place] for place in drawn])
        for entry, drawn in zip(entries, places, strict=True)
        if drawn
    ]


def _as_texts(entry: _Entry) -> RawEntry:
    """Return what a new tokenizer is trained on."""
    texts = [
        TextPair(one.place, one.context, (one.text, *(answer.text for answer in one.answers)))
        for one in entry.questions
    ]
    return RawEntry(str(entry.file.path), texts, None)


def _show(
    display: Display,
    entries: Sequence[_Entry],
    asked: Sequence[Sequence[AskedQuestion]],
    num_train: int,
) -> None:
    """Print what became of the questions of each file."""
    table = Table(title="questions", title_justify="left")
    table.add_column("file", overflow="fold")
    table.add_column("language")
    for name in ("questions", "windows", "no window has the answer"):
        table.add_column(name, justify="right")
    for number, (entry, of_entry) in enumerate(zip(entries, asked, strict=True)):
        counts = WindowCounts.of(of_entry)
        languages = dict.fromkeys(one.language for one in entry.questions)
        held_out = " (held out)" * (number >= num_train)
        numbers = (counts.num_questions, counts.num_windows, counts.num_unfindable)
        table.add_row(
            f"{entry.file.path.name}{held_out}",
            ", ".join(filter(None, languages)) or "-",
            *(f"{count:,}" for count in numbers),
        )
    display.show(table)
