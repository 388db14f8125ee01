"""Reading tasks of YAML files, of this library or of the user.

A file is read as plain strings (`Yes` stays the word Yes) and checked whole, so that a slip is
named before a model is loaded.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

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
from unblank.prompting.patterns import End, Template, parse_pattern, parse_template
from unblank.prompting.readers import READERS
from unblank.prompting.task import ClozeTask, Decision, Derived, Scoring, TaskPattern
from unblank.prompting.task_checks import check_keys, check_task
from unblank.prompting.verbalizers import parse_verbalizer
from unblank.prompting.wording import (
    ENGLISH,
    read_universal,
    read_verbalizers,
    read_wordings,
    words_of_all,
)
from unblank.prompting.yaml_lines import at_line, build_from_yaml, find_yaml, names_in

__all__ = ["TEMPLATES", "load_task", "task_names"]

TEMPLATES = Path(__file__).parent / "templates"
"""Folder of the library's own tasks."""

_NESTED = ("record", "wsc", "winograd")  # readers that find the candidates themselves


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
    named = _named_labels(entries)
    if (verbalizer is not None) + has_candidates + bool(named) != 1:
        raise ValueError(
            f"{line_of(entries, 'candidates')}give either a verbalizer (label: words) or "
            "candidates (texts with fields, or the name of a field that lists them), or labels for "
            "a classifier alone"
        )
    patterns = _patterns(entries, verbalizer, is_named=bool(named))
    labels = named or tuple(patterns[0].verbalizer)
    language = _language(entries)
    verbalizers = read_verbalizers(
        entries, labels, {} if verbalizer is None else parse_verbalizer(verbalizer),
        language or ENGLISH,
    )  # fmt: skip
    is_regression = is_true(entries, "regression")
    decision = cast("Decision", choice(entries, "decision", get_args(Decision), "label"))
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
        decision=decision,
        thresholds=_thresholds(entries, labels),
        is_regression=is_regression,
        max_wrong=whole_number(entries, "max_wrong"),
        metrics=metrics or _usual_metrics(decision, is_regression),
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


def _patterns(
    entries: Mapping[str, Any], verbalizer: Any, *, is_named: bool
) -> tuple[TaskPattern, ...]:
    """Return the patterns, which have the same labels; none if labels are only named."""
    if bool(entries.get("patterns")) == is_named:
        why = (
            "labels have no words for patterns: give a verbalizer instead of labels"
            if is_named
            else "patterns needs at least one pattern"
        )
        raise ValueError(f"{line_of(entries, 'patterns')}{why}")
    patterns = tuple(_task_pattern(entry, verbalizer) for entry in entries.get("patterns", ()))
    for other in patterns[1:]:
        labels = list(patterns[0].verbalizer)
        if set(other.verbalizer) != set(labels):
            raise ValueError(
                f"{at_line(other.pattern.text)}pattern {other.pattern.text!r} has the labels "
                f"{list(other.verbalizer)}, but the first has {labels}: all patterns must have the "
                "same labels"
            )
    return patterns


def _usual_metrics(decision: Decision, is_regression: bool) -> tuple[str, ...]:
    if is_regression:
        return "pearson", "spearman"
    if decision == "several":
        return "micro_f1", "macro_f1", "exact"
    return ("quadratic_kappa", "mae", "accuracy") if decision == "rank" else ("accuracy",)


def _named_labels(entries: Mapping[str, Any]) -> tuple[str, ...]:
    labels = text_list(entries, "labels")
    if "labels" in entries and len(set(labels)) < max(len(labels), 2):
        raise ValueError(
            f"{line_of(entries, 'labels')}labels needs at least two different names, got "
            f"{list(labels)}"
        )
    return labels


def _thresholds(entries: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    thresholds = {}
    for label, text in entries.get("thresholds", {}).items():
        try:
            value = float(text)
        except (TypeError, ValueError):
            value = math.nan
        if label not in labels or not 0 < value < 1:
            raise ValueError(
                f"{at_line(label)}thresholds maps labels of the task to probabilities between 0 "
                f"and 1, got {label}: {text}"
            )
        thresholds[str(label)] = value
    return thresholds


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


def _shorten(entries: Mapping[str, Any]) -> dict[str, End] | None:
    shorten = entries.get("shorten")
    if shorten is None:
        return None
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
