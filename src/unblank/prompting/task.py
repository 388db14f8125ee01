"""Tasks as YAML: patterns, verbalizers, fields and metrics, of this library or of the user.

A file is read as plain strings (`Yes` stays the word Yes) and checked whole, so that a slip is
named before a model is loaded. Reading examples is in `examples`, scoring in `scoring`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

from unblank.languages import find_language
from unblank.metrics.answers import ANSWER_METRICS
from unblank.prompting.entries import (
    choice,
    files_pattern,
    is_true,
    line_of,
    text_list,
    whole_number,
)
from unblank.prompting.patterns import End, Pattern, Template, parse_pattern, parse_template
from unblank.prompting.readers import READERS
from unblank.prompting.task_checks import check_keys, check_task
from unblank.prompting.verbalizers import Verbalizer, parse_verbalizer
from unblank.prompting.wording import (
    ENGLISH,
    Wording,
    read_universal,
    read_verbalizers,
    read_wordings,
    words_of_all,
)
from unblank.prompting.yaml_lines import at_line, build_from_yaml, find_yaml, names_in

__all__ = ["TEMPLATES", "ClozeTask", "Scoring", "TaskPattern", "load_task", "task_names"]

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the library's own tasks."""

Scoring = Literal["logit", "sum", "mean"]
"""The logit of a single token, or the sum or mean of log-probabilities, the end included."""

Decision = Literal["label", "first", "text"]
"""What a prediction is: a label, whether the first candidate won, or the words that won."""

_NESTED = ("record", "wsc", "winograd")  # readers that find the candidates themselves


@dataclass(frozen=True, slots=True)
class Derived:
    """A field made of another one: a word for each of its values."""

    source: str
    words: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TaskPattern:
    """A pattern with its verbalizer, which is empty where examples bring their own candidates."""

    pattern: Pattern
    verbalizer: Verbalizer


@dataclass(frozen=True, kw_only=True, slots=True)
class ClozeTask:
    """A task as cloze questions.

    Attributes:
        name: stem of the file.
        path: the file.
        about: one sentence.
        files: where the examples lie in a folder of data sets (`unblank.data.splits`), of a task in
            many languages those of one of them; empty if that is not said.
        patterns: ways to ask, all about the same labels.
        default_pattern: the one that is used unless others are asked for.
        labels: what can be answered; empty where examples bring their own candidates.
        candidates: candidates of an example as templates over its fields.
        candidates_field: or the field that lists them.
        reader: how raw data becomes examples.
        derive: fields made of other fields.
        label_field: field that holds the label.
        skip_labels: labels of examples that are counted and left out.
        shorten: fields that give way in a text that is too long, in this order, and at which end.
        scoring: how candidates are compared.
        decision: what a prediction says.
        is_regression: labels are numbers, and predictions lie between them.
        max_wrong: most wrong candidates beside a right one in training; None for all.
        metrics: scores, the first chooses the best model.
        classifier: the texts that the classifier sees, joined by [SEP].
        example: a raw record, for showing.
        language: of examples, if neither their fields nor their files tell; empty for none.
        wordings: language -> the prompts in its words.
        universal: prompts without words.
        verbalizers: language -> the words of the labels.
        all_words: those of all languages together.
    """

    name: str
    path: Path
    about: str = ""
    files: str = ""
    patterns: tuple[TaskPattern, ...]
    default_pattern: int = 0
    labels: tuple[str, ...] = ()
    candidates: tuple[Template, ...] = ()
    candidates_field: str = ""
    reader: str = "records"
    derive: Mapping[str, Derived] = field(default_factory=dict)
    label_field: str = "label"
    skip_labels: tuple[str, ...] = ()
    shorten: Mapping[str, End] = field(default_factory=dict)
    scoring: Scoring = "sum"
    decision: Decision = "label"
    is_regression: bool = False
    max_wrong: int | None = None
    metrics: tuple[str, ...] = ("accuracy",)
    classifier: tuple[Template, ...] = ()
    example: Mapping[str, Any] | None = None
    language: str = ""
    wordings: Mapping[str, Wording] = field(default_factory=dict)
    universal: tuple[Pattern, ...] = ()
    verbalizers: Mapping[str, Verbalizer] = field(default_factory=dict)
    all_words: Verbalizer = field(default_factory=dict)

    def pattern(self, number: int | None = None) -> TaskPattern:
        """Return a pattern by its number; None for the default one.

        Raises:
            ValueError: if there is no such pattern.
        """
        number = self.default_pattern if number is None else number
        if not 0 <= number < len(self.patterns):
            raise ValueError(
                f"task {self.name!r} has patterns 0 to {len(self.patterns) - 1}, not {number}"
            )
        return self.patterns[number]


def task_names() -> tuple[str, ...]:
    """Return the names of the tasks that come with the library."""
    return names_in(TEMPLATES)


def load_task(name_or_file: str | Path) -> ClozeTask:
    """Return a task of the library by its name, or the task that a YAML file describes.

    Raises:
        ValueError: an unknown name, or a file with a mistake; the message names it.
        FileNotFoundError: if the file is not there.
    """
    return build_from_yaml(find_yaml(name_or_file, TEMPLATES, "task"), _build)


def _build(path: Path, entries: Any) -> ClozeTask:
    check_keys(entries)
    verbalizer = entries.get("verbalizer")
    candidates, candidates_field = _candidates(entries)
    has_candidates = bool(candidates or candidates_field or entries.get("reader") in _NESTED)
    if (verbalizer is not None) == has_candidates:
        raise ValueError(
            f"{line_of(entries, 'candidates')}give either a verbalizer (label: words) or "
            "candidates (texts with fields, or the name of a field that lists them)"
        )
    if not entries.get("patterns"):
        raise ValueError(f"{line_of(entries, 'patterns')}patterns needs at least one pattern")
    patterns = tuple(_task_pattern(entry, verbalizer) for entry in entries["patterns"])
    labels = tuple(patterns[0].verbalizer)
    for other in patterns[1:]:
        if set(other.verbalizer) != set(labels):
            raise ValueError(
                f"{at_line(other.pattern.text)}pattern {other.pattern.text!r} has the labels "
                f"{list(other.verbalizer)}, but the first has {list(labels)}: all patterns must "
                "have the same labels"
            )
    language = _language(entries)
    verbalizers = read_verbalizers(
        entries, labels, {} if verbalizer is None else parse_verbalizer(verbalizer),
        language or ENGLISH,
    )  # fmt: skip
    is_regression = is_true(entries, "regression")
    metrics = text_list(entries, "metrics")
    for metric in metrics:
        choice({"metrics": metric}, "metrics", tuple(ANSWER_METRICS), "accuracy")
    task = ClozeTask(
        name=path.stem,
        path=path,
        about=entries.get("about", ""),
        files=files_pattern(entries),
        patterns=patterns,
        default_pattern=whole_number(entries, "default_pattern") or 0,
        labels=_sorted_numbers(labels, entries) if is_regression else labels,
        candidates=candidates,
        candidates_field=candidates_field,
        reader=choice(entries, "reader", tuple(READERS), "records"),
        derive={
            name: Derived(entry["from"], entry["words"])
            for name, entry in entries.get("derive", {}).items()
        },
        label_field=entries.get("label", "label"),
        skip_labels=text_list(entries, "skip_labels"),
        shorten=_shorten(entries),
        scoring=cast("Scoring", choice(entries, "scoring", get_args(Scoring), "sum")),
        decision=cast("Decision", choice(entries, "decision", get_args(Decision), "label")),
        is_regression=is_regression,
        max_wrong=whole_number(entries, "max_wrong"),
        metrics=metrics or (("pearson", "spearman") if is_regression else ("accuracy",)),
        classifier=tuple(map(parse_template, text_list(entries, "classifier"))),
        example=entries.get("example"),
        language=language,
        wordings=read_wordings(entries),
        universal=read_universal(entries),
        verbalizers=verbalizers,
        all_words=words_of_all(verbalizers),
    )
    check_task(task, entries)
    return task


def _task_pattern(entry: Any, verbalizer: Any) -> TaskPattern:
    own = verbalizer
    if isinstance(entry, dict):
        entry, own = entry.get("pattern", ""), entry.get("verbalizer", verbalizer)
    if not isinstance(entry, str) or "\n" in entry:
        raise ValueError(f"{at_line(entry)}a pattern must be one line of text, got {entry!r}")
    if own is not None and not isinstance(own, dict):
        raise ValueError(
            f"{at_line(own) or at_line(entry)}a verbalizer must map labels to words (label: "
            f"words), got {own!r}"
        )
    return TaskPattern(parse_pattern(entry), {} if own is None else parse_verbalizer(own))


def _language(entries: Mapping[str, Any]) -> str:
    if "language" not in entries:
        return ""
    try:
        return find_language(entries["language"]).code
    except ValueError as error:
        raise ValueError(f"{line_of(entries, 'language')}{error}") from error


def _candidates(entries: Mapping[str, Any]) -> tuple[tuple[Template, ...], str]:
    if isinstance(name := entries.get("candidates"), str):
        return (), name
    return tuple(map(parse_template, text_list(entries, "candidates"))), ""


def _shorten(entries: Mapping[str, Any]) -> dict[str, End]:
    shorten = entries.get("shorten", {})
    for name, end in shorten.items():
        choice({f"shorten.{name}": end}, f"shorten.{name}", get_args(End), "end")
    return cast("dict[str, End]", dict(shorten))


def _sorted_numbers(labels: Sequence[str], entries: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        numbers = set(map(float, labels))
    except ValueError:
        numbers = set()
    if len(numbers) < len(labels) or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"{line_of(entries, 'verbalizer')}the labels of a regression must be different "
            f"numbers, got {list(labels)}"
        )
    return tuple(sorted(labels, key=float))
