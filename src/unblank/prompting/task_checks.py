"""What must hold in a task file: known keys of the right shape, and settings that fit together.

Each part's own syntax is checked where it is read: patterns, verbalizers, examples.
"""

from collections.abc import Mapping
from typing import Any

from unblank.plurals import numbered
from unblank.prompting.entries import Shapes, check_shapes, line_of, require_known
from unblank.prompting.patterns import FieldUse
from unblank.prompting.task import ClozeTask
from unblank.prompting.yaml_lines import at_line

__all__ = ["check_keys", "check_task"]

_SHAPES: Shapes = {
    "about": (str,), "files": (str,), "reader": (str,), "derive": (dict,), "label": (str,),
    "skip_labels": (list,), "labels": (list,), "thresholds": (dict,),
    "verbalizer": (dict,), "candidates": (str, list), "patterns": (list,),
    "default_pattern": (str,), "shorten": (dict,), "scoring": (str,), "decision": (str,),
    "regression": (str,), "max_wrong": (str,), "metrics": (list,), "classifier": (list,),
    "example": (dict,), "language": (str,), "translated": (list,), "hints": (dict,),
    "languages": (dict,), "universal": (list,), "verbalizers": (dict,),
}  # fmt: skip

_ONLY_PATTERNS = (
    *("default_pattern", "scoring", "translated", "hints", "languages", "universal"),
    "verbalizers",
)
_OF_NUMBERS = ("pearson", "spearman")
_OF_SEVERAL = ("micro_f1", "macro_f1", "exact")
_OF_RANKS = ("mae", "quadratic_kappa")
_OF_CLASS_1 = ("f1", "f1a")
_OF_CANDIDATES = ("record_f1", "record_em")


def check_keys(entries: Any) -> None:
    """Check which keys there are and what kind of value each has.

    Raises:
        ValueError: an unknown key, or a value of another shape; the message names the line.
    """
    check_shapes(entries, _SHAPES, "a task file")
    for name, entry in entries.get("derive", {}).items():
        is_whole = isinstance(entry, dict) and set(entry) == {"from", "words"}
        if not is_whole or not isinstance(entry["words"], dict):
            raise ValueError(
                f"{at_line(name)}derive.{name} needs `from: field` and `words: {{value: text}}`"
            )
    for entry in entries.get("patterns", []):
        for key in entry if isinstance(entry, dict) else ():
            require_known(key, ("pattern", "verbalizer"))


def check_task(task: ClozeTask, entries: Mapping[str, Any]) -> None:
    """Check that the settings of a task fit together.

    Raises:
        ValueError: settings that contradict one another, or that have no effect; the message names
            the line.
    """
    _check_decision(task, entries)
    _refuse_unused(task, entries)
    if task.patterns and task.default_pattern >= len(task.patterns):
        raise ValueError(
            f"{line_of(entries, 'default_pattern')}default_pattern is {task.default_pattern}: "
            f"the task has {numbered(len(task.patterns), 'pattern')}"
        )
    if len(task.candidates) == 1:
        raise ValueError(
            f"{line_of(entries, 'candidates')}candidates needs at least two texts to choose from"
        )
    if task.max_wrong == 0:
        raise ValueError(f"{line_of(entries, 'max_wrong')}max_wrong must be 1 or more")
    for entry in task.patterns if task.labels else ():
        if not entry.pattern.fields:
            text = entry.pattern.text
            raise ValueError(
                f"{at_line(text)}pattern {text!r} has no field, so all examples would ask the same "
                "question: write {name} where the text of a field belongs"
            )
    used = _used_fields(task)
    for name in task.shorten or ():
        if name not in used:
            raise ValueError(
                f"{at_line(name)}shorten names {name!r}, which no pattern uses: choose from "
                f"{', '.join(map(repr, used)) or 'no field'}"
            )
    for metric in task.metrics:
        if reason := _why_unfit(task, metric):
            raise ValueError(f"{at_line(metric)}metric {metric!r} {reason}")


def _check_decision(task: ClozeTask, entries: Mapping[str, Any]) -> None:
    place = line_of(entries, "decision")
    if task.decision == "several" and (task.patterns or task.is_regression):
        raise ValueError(
            f"{place}a blank holds one label, so several at once need a classifier: give `labels: "
            "[one, two]` and `classifier: ['{field}']` instead of verbalizer, patterns and "
            "regression"
        )
    if task.decision in ("first", "text") and task.labels:
        raise ValueError(
            f"{place}decision: {task.decision} is about the candidates of each example, and this "
            "task has the same labels for all: leave it out, or give candidates"
        )
    if task.is_regression and not task.labels:
        raise ValueError(
            f"{line_of(entries, 'regression')}regression needs numbers as labels, not candidates: "
            'give a verbalizer, as in `verbalizer: {"0": No, "5": Yes}`'
        )
    if task.decision == "rank" and (task.is_regression or len(task.labels) < 3):
        raise ValueError(
            f"{place}decision: rank needs at least three labels, in their order and without "
            "`regression`"
        )
    if task.thresholds and task.decision != "several":
        raise ValueError(
            f"{line_of(entries, 'thresholds')}thresholds are for decision: several, where each "
            "label has its own probability"
        )
    if not task.patterns and not task.classifier:
        raise ValueError(
            f"{line_of(entries, 'labels')}without patterns, only a classifier answers: name its "
            "texts, as in `classifier: ['{field}']`"
        )


def _refuse_unused(task: ClozeTask, entries: Mapping[str, Any]) -> None:
    """Refuse keys that the task never reads, whatever their value."""
    if "max_wrong" in entries and task.labels:
        raise ValueError(
            f"{line_of(entries, 'max_wrong')}max_wrong has no effect where every example has the "
            "same labels: it limits the candidates that each example brings; leave it out"
        )
    for key in _ONLY_PATTERNS if not task.patterns else ():
        if key in entries:
            raise ValueError(
                f"{line_of(entries, key)}{key} has no effect without patterns, as only a "
                "classifier answers: leave it out"
            )


def _why_unfit(task: ClozeTask, metric: str) -> str:
    if (task.decision == "several") != (metric in _OF_SEVERAL) and metric != "macro_f1":
        fit = ", ".join(_OF_SEVERAL) if task.decision == "several" else "accuracy, macro_f1"
        return f"does not apply to decision: {task.decision}: choose {fit}"
    if metric in _OF_RANKS and task.decision != "rank":
        return "applies to labels that have an order: write `decision: rank`, or choose accuracy"
    if task.is_regression != (metric in _OF_NUMBERS):
        fit = ", ".join(_OF_NUMBERS) if task.is_regression else "accuracy, macro_f1, matthews"
        return f"does not apply to {'numbers' if task.is_regression else 'labels'}: choose {fit}"
    if metric in _OF_CLASS_1 and "1" not in task.labels:
        return (
            "needs the label '1', which this task does not have: name the labels 0 and 1, or "
            "choose macro_f1"
        )
    if metric == "em" and task.reader != "multirc":
        return "applies to questions with several answers (reader: multirc): choose accuracy"
    if metric in _OF_CANDIDATES and task.labels:
        return "compares the words of candidates, and this task has labels: choose accuracy"
    return ""


def _used_fields(task: ClozeTask) -> tuple[str, ...]:
    """Return the fields of patterns and of the classifier's texts."""
    of_classifier = [
        part.name for template in task.classifier for part in template if isinstance(part, FieldUse)
    ]
    patterns = [entry.pattern for entry in task.patterns] + [*task.universal]
    patterns += [pattern for one in task.wordings.values() for pattern in one.patterns]
    of_patterns = [name for pattern in patterns for name in pattern.fields]
    return tuple(dict.fromkeys([*of_patterns, *of_classifier]))
