"""A model's answers to labelled examples: blanks, labels and candidates of a file."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from unblank.answering.given import GivenRecords, listed_texts, read_given
from unblank.api import Unblank
from unblank.calibrating.labelled import LabelledChoices, LabelledFills
from unblank.calibrating.settings import CalibrateSettings
from unblank.data.drawing import draw_from_files
from unblank.data.fields import field_text, field_value, has_field
from unblank.data.language_files import find_language_files
from unblank.data.records import Record
from unblank.evaluation.infilling import blank_words
from unblank.finetuning.labels.tuned_task import TunedTask
from unblank.generation.candidates import ScoringOptions
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions
from unblank.metrics.written_form import written_form
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.prompting.examples import TaskExample, read_examples, require_labels
from unblank.tokenization.special import BLANK_TOKENS

__all__ = ["ask_candidates", "ask_fills", "ask_labels"]

_MASK_RATIO = 0.15
_ANSWERS, _LABEL = "answers", "label"
"""Usual fields of what is right: of blanks, and of candidates."""

_Blanks = tuple[str, list[str]]
"""A text with blanks, and their answers."""


def ask_fills(unblank: Unblank, settings: CalibrateSettings) -> LabelledFills:
    """Return what the model fills into blanks whose answers are known.

    A fill is right if it is the answer as far as the tokenizer tells texts apart: capitals count
    only if it knows them.

    Texts that the model has no room for are left out, and counted in the note.

    Raises:
        ValueError: texts with blanks have no answers, or others as many as they have blanks; no
            text that the model has room for.
    """
    template = settings.text_field or "text"
    drawn = _drawn(read_given(settings.data, template), settings.limit)
    answers_field, rng = settings.answer_field or _ANSWERS, np.random.default_rng(settings.seed)
    ratio = settings.mask_ratio or _MASK_RATIO
    found: list[_Blanks] = []
    for place, record in drawn:
        text = field_text(place, record, template)
        if has_field(record, answers_field):
            found.append((text, _answers(place, record, answers_field, text)))
        elif any(token in text for token in BLANK_TOKENS):
            raise ValueError(
                f"{place}: the text has blanks, and there is no field {answers_field!r} with their "
                "answers: name it by --answer-field, or give texts without blanks"
            )
        elif (blanked := blank_words(text, ratio, rng)) is not None:
            found.append((blanked.text, list(blanked.answers)))
    if not found:
        raise ValueError(f"{settings.data}: every text is blanked entirely: give longer texts")
    options = DecodingOptions(num_beams=settings.num_beams or 1, max_tokens=settings.max_tokens)
    filler = unblank.filler(options)
    found, note = _with_room(filler, found)
    texts = [text for text, _ in found]
    with counting_bar("fill", len(texts)) as advance:
        results = filler.fill(texts, batch_size=settings.batch_size, on_batch=advance)
    pairs = [
        (text, blank.log_probability, _reads(unblank, blank.text) == _reads(unblank, answer))
        for (text, answers), result in zip(found, results, strict=True)
        for blank, answer in zip(result.blanks, answers, strict=True)
    ]
    keys, log_p, is_right = map(list, zip(*pairs, strict=True))
    return LabelledFills(keys, log_p, is_right, note)


def ask_labels(tuned: TunedTask, settings: CalibrateSettings) -> LabelledChoices:
    """Return what the model says of examples of a task whose labels are known.

    Raises:
        ValueError: a task of numbers, or an example without a label.
    """
    task = tuned.task
    if task.is_regression:
        raise ValueError(f"task {task.name} predicts a number, which has no probability")
    read = read_examples(task, find_language_files(str(settings.data))).examples
    examples = draw_from_files(read, settings.limit, lambda example: example.place)
    require_labels(task, examples)
    shares = tuned.shares(examples, settings.batch_size)
    if task.decision == "several":
        return _known_of_each(task.labels, examples, shares)
    is_first = task.decision == "first"
    pairs = zip(examples, shares, strict=True)
    right = [_right(example, len(one), first_alone=is_first) for example, one in pairs]
    return LabelledChoices(
        [_key(example) for example in examples],
        [one.tolist() for one in shares],
        right,
        first_alone=is_first,
        in_order=task.decision == "rank",
    )


def _known_of_each(
    labels: Sequence[str], examples: Sequence[TaskExample], shares: Sequence[Tensor]
) -> LabelledChoices:
    """Return each label of each example as a choice of its own: whether it applies or not."""
    keys: list[str] = []
    pairs: list[list[float]] = []
    right: list[tuple[int, ...]] = []
    for example, shares_L in zip(examples, shares, strict=True):
        for number, share in enumerate(shares_L.tolist()):
            keys.append(_key(example))
            pairs.append([share, 1.0 - share])
            right.append((0,) if number in example.answers else (1,))
    return LabelledChoices(keys, pairs, right, labels=[*labels] * len(examples))


def ask_candidates(
    unblank: Unblank, options: ScoringOptions, settings: CalibrateSettings
) -> LabelledChoices:
    """Return the shares of candidates of texts of which the right one is known.

    Raises:
        ValueError: a text without a right one among its candidates.
    """
    template, label_field = settings.text_field or "text", settings.answer_field or _LABEL
    drawn = _drawn(read_given(settings.data, template), settings.limit)
    keys: list[str] = []
    candidates: list[list[str]] = []
    right: list[tuple[int, ...]] = []
    for place, record in drawn:
        keys.append(field_text(place, record, template))
        listed = list(settings.candidates)
        if settings.candidates_field is not None:
            value = field_value(place, record, settings.candidates_field)
            listed = listed_texts(place, settings.candidates_field, value)
        label = field_text(place, record, label_field)
        if label not in listed:
            raise ValueError(
                f"{place}: {label!r} in the field {label_field!r} is none of the candidates "
                f"{', '.join(map(repr, listed[:10]))}"
            )
        candidates.append(listed)
        right.append((listed.index(label),))
    scorer = unblank.scorer(options)
    shares: list[list[float]] = []
    with counting_bar("score", len(keys)) as advance:
        for start in range(0, len(keys), settings.batch_size):
            part = slice(start, start + settings.batch_size)
            for scores in scorer.score(keys[part], candidates[part]):
                shares.append([one.share for one in scores.candidates])
            advance(len(keys[part]))
    return LabelledChoices(keys, shares, right)


def _with_room(filler: Filler, found: Sequence[_Blanks]) -> tuple[list[_Blanks], str]:
    """Return the texts that the model has room for, and a note on the others."""
    fitting: list[_Blanks] = []
    reason = ""
    for one in found:
        if problem := filler.why_not(one[0]):
            reason = reason or problem
        else:
            fitting.append(one)
    if not fitting:
        raise ValueError(f"none of the {counted(len(found), 'text')} can be filled: {reason}")
    num_out = len(found) - len(fitting)
    note = f"left out {num_out:,} of {counted(len(found), 'text')}: {reason}" if num_out else ""
    return fitting, note


def _drawn(given: GivenRecords, limit: int) -> list[Record]:
    """Return a fixed random choice of records, if there are more."""
    return list(draw_from_files(list(given), limit, lambda pair: pair[0]))


def _answers(place: str, record: dict[str, Any], name: str, text: str) -> list[str]:
    num_blanks = sum(text.count(token) for token in BLANK_TOKENS)
    value = field_value(place, record, name)
    is_one = num_blanks == 1 and isinstance(value, str) and not value.startswith("[")
    answers = [str(value)] if is_one else listed_texts(place, name, value)
    if len(answers) != num_blanks:
        raise ValueError(
            f"{place}: the field {name!r} has {counted(len(answers), 'answer')} for "
            f"{counted(num_blanks, 'blank')}: give one for each"
        )
    return answers


def _reads(unblank: Unblank, text: str) -> str:
    """Return a text as the tokenizer reads it, without outer spaces."""
    normalizer = unblank.tokenizer.backend_tokenizer.normalizer
    plain = written_form(text.strip())
    return plain if normalizer is None else str(normalizer.normalize_str(plain)).strip()


def _right(example: TaskExample, count: int, *, first_alone: bool) -> tuple[int, ...]:
    if not first_alone:
        return example.answers
    return (0,) if example.answers == (1,) else tuple(range(1, count))


def _key(example: TaskExample) -> str:
    pairs = sorted(example.fields.items())
    return example.group or "\n".join(f"{name}={text}" for name, text in pairs)
