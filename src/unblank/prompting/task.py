"""Tasks as YAML: patterns, verbalizers, fields and metrics, of this library or of the user.

A file is read as plain strings (`Yes` stays the word Yes) and checked whole, so that a slip is
named before a model is loaded. Reading examples is in `examples`, scoring in `scoring`.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from unblank.prompting.patterns import End, Pattern, Template, parse_pattern, parse_template
from unblank.prompting.task_checks import check_keys, check_task, line_of
from unblank.prompting.task_yaml import at_line, read_task_yaml
from unblank.prompting.verbalizers import Verbalizer, parse_verbalizer

__all__ = [
    "METRICS",
    "ClozeTask",
    "Decision",
    "Derived",
    "Scoring",
    "TaskPattern",
    "load_task",
    "task_names",
]

TEMPLATES = Path(__file__).parent / "templates"

Scoring = Literal["logit", "sum", "mean"]
"""The logit of a single token, or the sum or mean of log-probabilities, the end included."""

Decision = Literal["label", "first", "text"]
"""What a prediction says: a label; whether the first candidate won; the words that won."""

READERS = ("records", "multirc", "record", "wsc")
"""How raw data becomes examples, see `unblank.prompting.readers`."""

_NESTED = ("record", "wsc")  # readers that find the candidates themselves

METRICS = (
    "accuracy", "f1", "macro_f1", "matthews", "f1a", "em", "record_f1", "record_em", "pearson",
    "spearman",
)  # fmt: skip
"""Names of the scores of a task."""


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
        max_wrong: most wrong candidates beside a right one in training; None is all.
        metrics: scores, the first chooses the best model.
        classifier: the texts that the classifier sees, joined by [SEP].
        example: a raw record, for showing.
    """

    name: str
    path: Path
    about: str = ""
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

    def pattern(self, number: int | None = None) -> TaskPattern:
        """Return a pattern by its number; None is the default one.

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
    return tuple(sorted(path.stem for path in TEMPLATES.glob("*.yaml")))


def load_task(name_or_file: str | Path) -> ClozeTask:
    """Return a task of the library by its name, or the task that a YAML file describes.

    Raises:
        ValueError: an unknown name, or a file with a mistake; the message names it.
        FileNotFoundError: if the file is not there.
    """
    path = Path(name_or_file)
    if path.suffix not in (".yaml", ".yml"):
        path = TEMPLATES / f"{name_or_file}.yaml"
        if not path.is_file():
            near = difflib.get_close_matches(str(name_or_file), task_names(), n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise ValueError(
                f"there is no task {str(name_or_file)!r}{hint} Known: {', '.join(task_names())}; "
                "or give a .yaml file"
            )
    if not path.is_file():
        raise FileNotFoundError(f"there is no task file {path}")
    try:
        return _build(path, read_task_yaml(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    except ValueError as error:
        has_line = str(error).startswith("line ")
        raise ValueError(f"{path}{', ' if has_line else ': '}{error}") from error


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
                f"{at_line(other.pattern.text)}pattern {other.pattern.text!r} is about labels "
                f"{list(other.verbalizer)}, the first about {list(labels)}: all patterns must "
                "know the same labels"
            )
    is_regression = _is_true(entries, "regression")
    metrics = tuple(_texts(entries, "metrics"))
    for metric in metrics:
        _choice({"metrics": metric}, "metrics", METRICS, "accuracy")
    task = ClozeTask(
        name=path.stem,
        path=path,
        about=entries.get("about", ""),
        patterns=patterns,
        default_pattern=_number(entries, "default_pattern") or 0,
        labels=_sorted_numbers(labels, entries) if is_regression else labels,
        candidates=candidates,
        candidates_field=candidates_field,
        reader=_choice(entries, "reader", READERS, "records"),
        derive={
            name: Derived(entry["from"], entry["words"])
            for name, entry in entries.get("derive", {}).items()
        },
        label_field=entries.get("label", "label"),
        skip_labels=tuple(_texts(entries, "skip_labels")),
        shorten=_shorten(entries),
        scoring=cast("Scoring", _choice(entries, "scoring", get_args(Scoring), "sum")),
        decision=cast("Decision", _choice(entries, "decision", get_args(Decision), "label")),
        is_regression=is_regression,
        max_wrong=_number(entries, "max_wrong"),
        metrics=metrics or (("pearson", "spearman") if is_regression else ("accuracy",)),
        classifier=tuple(map(parse_template, _texts(entries, "classifier"))),
        example=entries.get("example"),
    )
    check_task(task, entries)
    return task


def _task_pattern(entry: Any, verbalizer: Any) -> TaskPattern:
    own = verbalizer
    if isinstance(entry, dict):
        entry, own = entry.get("pattern", ""), entry.get("verbalizer", verbalizer)
    if not isinstance(entry, str) or "\n" in entry:
        raise ValueError(f"{at_line(entry)}a pattern is one line of text, got {entry!r}")
    if own is not None and not isinstance(own, dict):
        raise ValueError(
            f"{at_line(own) or at_line(entry)}a verbalizer maps labels to words (label: words), "
            f"got {own!r}"
        )
    return TaskPattern(parse_pattern(entry), {} if own is None else parse_verbalizer(own))


def _candidates(entries: Mapping[str, Any]) -> tuple[tuple[Template, ...], str]:
    if isinstance(name := entries.get("candidates"), str):
        return (), name
    return tuple(map(parse_template, _texts(entries, "candidates"))), ""


def _shorten(entries: Mapping[str, Any]) -> dict[str, End]:
    shorten = entries.get("shorten", {})
    for name, end in shorten.items():
        _choice({f"shorten.{name}": end}, f"shorten.{name}", get_args(End), "end")
    return cast("dict[str, End]", dict(shorten))


def _texts(entries: Mapping[str, Any], key: str) -> list[str]:
    values: list[Any] = entries.get(key, [])
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{line_of(entries, key)}{key} must be a list of texts, got {values!r}")
    return values


def _number(entries: Mapping[str, Any], key: str) -> int | None:
    value = entries.get(key)
    if value is None:
        return None
    if not str(value).isdecimal():
        raise ValueError(f"{at_line(value)}{key} must be a whole number, got {value!r}")
    return int(value)


def _is_true(entries: Mapping[str, Any], key: str) -> bool:
    value = entries.get(key, "false")
    if value.lower() not in ("true", "false"):
        raise ValueError(f"{at_line(value)}{key} is {value!r}: choose one of true, false")
    return bool(value.lower() == "true")


def _choice(entries: Mapping[str, Any], key: str, allowed: Sequence[str], default: str) -> str:
    value = entries.get(key, default)
    if value not in allowed:
        raise ValueError(f"{at_line(value)}{key} is {value!r}: choose one of {', '.join(allowed)}")
    return str(value)


def _sorted_numbers(labels: Sequence[str], entries: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        numbers = set(map(float, labels))
    except ValueError:
        numbers = set()
    if len(numbers) < len(labels) or not all(map(math.isfinite, numbers)):
        raise ValueError(
            f"{line_of(entries, 'verbalizer')}the labels of a regression are different numbers, "
            f"got {list(labels)}"
        )
    return tuple(sorted(labels, key=float))
