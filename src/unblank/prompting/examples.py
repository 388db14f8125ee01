"""Examples of a task, made of raw records that are known by file and line."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from unblank.data.fields import is_visible, no_field, with_nested
from unblank.data.language_files import LANGUAGE_FIELD, LanguageFile, language_of_record
from unblank.data.records import read_records
from unblank.plurals import counted
from unblank.prompting.patterns import FieldUse, fill_template
from unblank.prompting.readers import READERS, RawExample
from unblank.prompting.task import ClozeTask
from unblank.prompting.verbalizers import is_same_label, label_text, require_label
from unblank.prompting.yaml_lines import at_line

__all__ = [
    "CANDIDATE",
    "TaskData",
    "TaskExample",
    "has_label",
    "make_examples",
    "only_label",
    "read_examples",
    "require_labels",
]

CANDIDATE = "candidate"
"""Field by which a classifier's texts refer to the candidate of their row."""

_YES_NO = ("false", "true")


@dataclass(frozen=True, slots=True)
class TaskExample:
    """One question of a task.

    Attributes:
        place: file and line.
        fields: text of each field.
        answers: indices of the right labels or candidates; empty if the data has no label.
        none_applies: whether the data says that no label is right, where several may be.
        candidates: what may fill the blank, where the labels of the task do not say it.
        value: what a regression must predict.
        group: questions of one group are judged together (MultiRC).
        language: code, from the field `lang` or the file; empty if neither tells.
    """

    place: str
    fields: dict[str, str]
    answers: tuple[int, ...] = ()
    candidates: tuple[str, ...] = ()
    value: float | None = None
    group: str = ""
    language: str = ""
    none_applies: bool = False


@dataclass(frozen=True, slots=True)
class TaskData:
    """The examples of some files, and what became of their records.

    Attributes:
        examples: in the order of the files.
        num_records: records read.
        num_skipped: records left out because their label says so (`skip_labels`).
    """

    examples: tuple[TaskExample, ...]
    num_records: int
    num_skipped: int


def read_examples(task: ClozeTask, paths: Sequence[str | Path | LanguageFile]) -> TaskData:
    """Return the examples of some files, in order.

    Args:
        task: says which fields there must be.
        paths: of any kind that `unblank.data.records` reads; tables have a header. Perhaps with
            their languages.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: a broken record, a missing field, or a label that the task does not know; the
            message names file and line.
    """
    examples: list[TaskExample] = []
    num_records = num_skipped = 0
    files = [one if isinstance(one, LanguageFile) else LanguageFile(Path(one)) for one in paths]
    for file in files:
        before = num_records
        for place, record in read_records(file.path):
            num_records += 1
            made = make_examples(task, record, place, file.language)
            num_skipped += made is None
            examples += made or ()
        if num_records == before:
            raise ValueError(f"{file.path} has no example")
    if files and not examples:
        shown = ", ".join(str(file.path) for file in files)
        raise ValueError(
            f"{shown}: no example in {counted(num_records, 'record')} (left out "
            f"by `skip_labels`: {num_skipped})"
        )
    return TaskData(tuple(examples), num_records, num_skipped)


def make_examples(
    task: ClozeTask, record: dict[str, Any], place: str = "example", language: str = ""
) -> list[TaskExample] | None:
    """Return the examples of one raw record; None if its label says to leave it out.

    Args:
        task: the task.
        record: one JSON object.
        place: file and line, for messages.
        language: code of the file's language, or nothing.

    Raises:
        ValueError: if a field is missing, the label is none of the task's, or the record is in
            another language than its file.
    """
    label = label_text(with_nested(record).get(task.label_field, ""))
    if any(is_same_label(label, skipped) for skipped in task.skip_labels):
        return None
    try:
        language = language_of_record(record.get(LANGUAGE_FIELD), language) or task.language
        raws = READERS[task.reader](record, task.label_field)
        return [_example(task, raw, place, language) for raw in raws]
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def require_labels(task: ClozeTask, examples: Sequence[TaskExample]) -> None:
    """Check that every example has a label.

    Raises:
        ValueError: naming the first that has none.
    """
    unlabelled = [example for example in examples if not has_label(example)]
    if unlabelled:
        field = "answers" if task.reader == "record" else task.label_field
        near = get_close_matches(field, unlabelled[0].fields, n=1)
        hint = (
            f"; if the label is in the field {near[0]!r}, write `label: {near[0]}`" if near else ""
        )
        raise ValueError(
            f"{unlabelled[0].place}: there is no label in the field {field!r} "
            f"({len(unlabelled)} of {len(examples)} examples have none): training and scoring "
            f"need labels{hint}"
        )


def only_label(task: ClozeTask, examples: Sequence[TaskExample]) -> str | None:
    """Return the label that all examples of a classification have; None if there are several."""
    if not task.labels or task.is_regression or task.decision == "several":
        return None
    names = {task.labels[example.answers[0]] for example in examples}
    return names.pop() if len(names) == 1 else None


def has_label(example: TaskExample) -> bool:
    """Whether the data says what is right."""
    return bool(example.answers) or example.value is not None or example.none_applies


def _example(task: ClozeTask, raw: RawExample, place: str, language: str) -> TaskExample:
    fields = {name: label_text(value) for name, value in raw.fields.items() if value is not None}
    for name, derived in task.derive.items():
        source = _required(fields, derived.source)
        if source not in derived.words:
            raise ValueError(
                f"{derived.source} is {source!r}, but {name} is derived from "
                f"{', '.join(derived.words)} only"
            )
        fields[name] = derived.words[source]
    for name, asker in _needed_fields(task).items():
        if name not in fields and name not in raw.fields:
            raise ValueError(f"{no_field(fields, name)} ({asker} needs it)")
        value = raw.fields.get(name, "")
        if _is_no_text(value):
            raise ValueError(f"field {name!r} must be a text, got {value!r} ({asker} needs it)")
    candidates = raw.candidates or _candidates(task, raw, fields)
    empty = [index for index, text in enumerate(candidates) if not is_visible(text)]
    if empty:
        raise ValueError(f"candidate {empty[0]} is empty: give it words")
    (most, count), *_ = Counter(map(str.strip, candidates)).most_common(1) or [("", 0)]
    if count > 1:
        raise ValueError(f"two candidates have the same words {most!r}: drop one")
    group = f"{place}/{raw.group}" if raw.group else ""
    if task.decision == "several":
        several = _several_answers(task, raw.label)
        return TaskExample(
            place, fields, several or (), candidates, None, group, language, several == ()
        )
    answers, value = _answers(task, raw, candidates)
    return TaskExample(place, fields, answers, candidates, value, group, language)


def _candidates(task: ClozeTask, raw: RawExample, fields: dict[str, str]) -> tuple[str, ...]:
    if not task.candidates_field:
        return tuple(fill_template(template, fields) for template in task.candidates)
    _required(raw.fields, task.candidates_field)
    values = raw.fields[task.candidates_field]
    if not isinstance(values, list) or not values or any(map(_is_no_text, values)):
        raise ValueError(f"field {task.candidates_field!r} must be a list of texts, got {values!r}")
    return tuple(map(label_text, values))


def _answers(
    task: ClozeTask, raw: RawExample, candidates: tuple[str, ...]
) -> tuple[tuple[int, ...], float | None]:
    """Return the indices of what is right, or the number that is."""
    if raw.answers or raw.label is None or raw.label == "":
        return raw.answers, None
    label = label_text(raw.label)
    if task.is_regression:
        return (), _number_in_range(label, task.labels)
    if task.decision == "first":
        return (require_label(label, _YES_NO),), None
    if task.labels:
        return (require_label(label, task.labels),), None
    if label in candidates:
        index = candidates.index(label)
        is_number = isinstance(raw.label, int) and not isinstance(raw.label, bool)
        if is_number and index != raw.label and raw.label < len(candidates):
            raise ValueError(
                f"label {label} is both the number of the candidate {candidates[raw.label]!r} and "
                "the text of another one: write the text of the right one in quotes, such as "
                f'"{label}"'
            )
        return (index,), None
    if not label.isdecimal() or int(label) >= len(candidates):
        raise ValueError(
            f"label {label!r} is not a candidate: give the text of one, or its number, from 0 to "
            f"{len(candidates) - 1}"
        )
    return (int(label),), None


def _several_answers(task: ClozeTask, label: Any) -> tuple[int, ...] | None:
    """Return the indices of all labels that apply; None if the data does not say."""
    if label is None or label == "":
        return None
    named = label
    if isinstance(label, str) and label.lstrip().startswith("["):
        try:
            named = json.loads(label)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"the labels {label!r} are not a JSON list ({error}): write a list, or divide "
                "labels by a bar (|)"
            ) from error
    elif isinstance(label, str):
        named = [one.strip() for one in label.split("|")]
    if not isinstance(named, list):
        named = [named]
    if any(isinstance(one, list | dict) or one is None for one in named):
        raise ValueError(f"the labels must be a list of labels, got {label!r}")
    return tuple(sorted({require_label(label_text(one), task.labels) for one in named}))


def _number_in_range(label: str, labels: tuple[str, ...]) -> float:
    try:
        value = float(label)
    except ValueError:
        value = float("nan")
    if not float(labels[0]) <= value <= float(labels[-1]):
        raise ValueError(f"label {label!r} is not a number from {labels[0]} to {labels[-1]}")
    return value


def _needed_fields(task: ClozeTask) -> dict[str, str]:
    """Return the fields that an example must have, and where the task file asks for each."""
    askers = [(template, task.path.name) for template in (*task.candidates, *task.classifier)]
    for entry in task.patterns:
        line = at_line(entry.pattern.text).removesuffix(": ")
        asker = f"{task.path.name}, {line}," if line else task.path.name
        askers += [(entry.pattern.before, asker), (entry.pattern.after, asker)]
    wordings = [pattern for one in task.wordings.values() for pattern in one.patterns]
    for pattern in (*wordings, *task.universal):
        askers += [(pattern.before, task.path.name), (pattern.after, task.path.name)]
    return {
        part.name: asker
        for template, asker in reversed(askers)
        for part in template
        if isinstance(part, FieldUse) and part.name != CANDIDATE
    }


def _is_no_text(value: object) -> bool:
    return value is None or isinstance(value, list | dict | bytes)


def _required(fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise ValueError(no_field(fields, name))
    return fields[name]
