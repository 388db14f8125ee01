"""The labels of every record of a file: `unblank predict`."""

import heapq
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isclose
from pathlib import Path
from typing import Any

from torch import tensor

from unblank.answering.given import read_given
from unblank.answering.labels import label_answers, label_questions, require_probability
from unblank.answering.report import Judged, LabelReport, report_on
from unblank.answering.run import (
    AnsweredRecord,
    RecordAnswering,
    answer_in_batches,
    answer_to_file,
    content_hash,
    model_facts,
)
from unblank.data.written_records import require_writable
from unblank.finetuning.labels.tuned_task import TunedTask
from unblank.models.half_weights import weights_dtype
from unblank.plurals import counted
from unblank.prompting import ClozeTask, TaskExample
from unblank.prompting.examples import has_label
from unblank.prompting.judging import right_label
from unblank.prompting.predicting import decide

__all__ = ["PredictedRecords", "predict_records"]

_NO_EXAMPLE = TaskExample("", {})
_MOST_MISTAKES = 10


class PredictedRecords:
    """The answers to all records, as they are made; they can be gone through once.

    The output is there once all of them were taken.

    Args:
        answered: the records with their answers.
        tuned: what was asked.
        abstain_below: probability below which nothing was predicted.

    Attributes:
        report: after the last answer, if there are labels.
    """

    def __init__(
        self, answered: Iterator[AnsweredRecord], tuned: TunedTask, abstain_below: float
    ) -> None:
        self.report: LabelReport | None = None
        self._answered, self._tuned = answered, tuned
        self._abstain_below = abstain_below

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the answers, then make the report."""
        tally = _Tally(self._tuned.task)
        for one in self._answered:
            if "error" not in one.answer:
                tally.add(one)
            yield one.answer
        self.report = tally.report(self._tuned, self._abstain_below)


class _Tally:
    """What was predicted beside what is right, without the texts of all but the worst mistakes."""

    def __init__(self, task: ClozeTask) -> None:
        self._task = task
        self._judged: list[Judged] = []
        self._num_strange = 0
        self._mistakes: list[tuple[float, int, dict[str, Any]]] = []
        self._same: dict[Any, Any] = {}  # labels are kept once, not once a record

    def add(self, one: AnsweredRecord) -> None:
        examples, is_strange = label_questions(self._task, one.record, one.place)
        self._num_strange += is_strange
        answers = one.answer.get("answers", [one.answer])
        for example, answer in zip(examples, answers, strict=True):
            if has_label(example):
                self._add(example, answer)

    def report(self, tuned: TunedTask, abstain_below: float) -> LabelReport | None:
        """Return the report; None if no label is known, with a warning if some were strange."""
        if self._judged:
            source = "" if tuned.calibration is None else str(tuned.calibration.source)
            mistakes = [found for *_, found in sorted(self._mistakes, reverse=True)]
            return report_on(
                self._task, self._judged, abstain_below, self._num_strange, mistakes, source
            )
        if self._num_strange:
            task = self._task
            warnings.warn(
                f"there is no report: no label in {task.label_field!r} is one of task {task.name} "
                f"({counted(self._num_strange, 'record')})",
                stacklevel=2,
            )
        return None

    def _add(self, example: TaskExample, answer: Mapping[str, Any]) -> None:
        task = self._task
        right = tuple(right_label(task, example, number) for number in example.answers)
        guess = _guess(task, answer)
        judged = Judged(
            right=self._same.setdefault(right, right),
            guess=self._same.setdefault(guess, guess),
            probability=answer.get("probability", 0.0),
            shares=answer["probabilities"] if task.decision == "several" else {},
            right_value=example.value,
            right_rank=example.answers[0] if task.decision == "rank" else 0,
            question=example.group,
        )
        if not judged.is_right:
            self._note_mistake(example, judged)
        self._judged.append(judged)

    def _note_mistake(self, example: TaskExample, judged: Judged) -> None:
        found = {
            "place": example.place,
            "predicted": judged.guess,
            "probability": judged.probability,
            "right": list(judged.right),
            "fields": example.fields,
        }
        # Of equally sure ones the first are kept.
        heapq.heappush(self._mistakes, (judged.probability, -len(self._judged), found))
        if len(self._mistakes) > _MOST_MISTAKES:
            heapq.heappop(self._mistakes)


def predict_records(
    tuned: TunedTask,
    folder: Path,
    input_path: Path,
    output: Path,
    *,
    abstain_below: float,
    batch_size: int,
    overwrite: bool,
) -> PredictedRecords:
    """Return the predictions of all records of a file, which are made as they are gone through.

    Processes that torchrun started share out the records; all but the main one give none.

    Args:
        tuned: the model with its task.
        folder: of the model; a run goes on only with the same weights.
        input_path: file of records, with the fields that the task needs, perhaps with labels.
        output: file for the answers: .jsonl, .csv, .tsv or .parquet.
        abstain_below: predict nothing where the best label has a lower probability.
        batch_size: examples scored together.
        overwrite: replace the output if it is there.

    Raises:
        FileNotFoundError: no such input.
        FileExistsError: the output is there already.
        ValueError: a broken input, no record with the fields of the task, an ending that cannot
            be written, or a threshold for a task of numbers.
    """
    require_writable(output)
    task = tuned.task
    require_probability(task, abstain_below)
    given = read_given(input_path)

    def read(place: str, record: dict[str, Any]) -> list[TaskExample]:
        return label_questions(task, record, place)[0]

    def answer(
        asked: Sequence[list[TaskExample]], on_batch: Callable[[int], None]
    ) -> list[dict[str, Any]]:
        def answer_batch(batch: Sequence[list[TaskExample]]) -> list[dict[str, Any]]:
            return _answered(tuned, batch, batch_size, abstain_below)

        return answer_in_batches(asked, _length, answer_batch, batch_size, on_batch)

    given.require_some(read)
    answered = answer_to_file(
        given,
        RecordAnswering(read, _length, answer),
        output,
        task={
            "command": "predict",
            "model": model_facts(folder),
            "input": given.content_hash,
            "task": task.content_hash,
            "options": {
                "asked": dict(tuned.asked),
                "abstain_below": abstain_below,
                **({"thresholds": dict(task.thresholds)} if task.thresholds else {}),
            },
            "calibration": tuned.calibration and content_hash(asdict(tuned.calibration)),
            "dtype": str(weights_dtype(tuned.model)),
        },
        batch_size=batch_size,
        doing=f"predict {task.name}",
        overwrite=overwrite,
    )
    return PredictedRecords(answered, tuned, abstain_below)


def _length(examples: Sequence[TaskExample]) -> int:
    return max(sum(map(len, example.fields.values())) for example in examples)


def _answered(
    tuned: TunedTask,
    records: Sequence[list[TaskExample]],
    batch_size: int,
    abstain_below: float,
) -> list[dict[str, Any]]:
    """Return the answers to some records; if one of them is refused, each is answered alone."""
    try:
        shares = tuned.shares([one for examples in records for one in examples], batch_size)
    except ValueError as error:
        if len(records) == 1:
            return [{"error": str(error).removeprefix(f"{records[0][0].place}: ")}]
        return [_answered(tuned, [examples], batch_size, abstain_below)[0] for examples in records]
    return label_answers(tuned, records, shares, abstain_below)


def _guess(task: ClozeTask, answer: Mapping[str, Any]) -> str | float | tuple[str, ...]:
    """Return what was predicted, also where the model abstained."""
    if task.decision == "several":
        return tuple(answer["predicted"])
    if task.is_regression or answer["predicted"] is not None:
        guess: str | float = answer["predicted"]
        return guess
    of_texts = {one["text"]: one["probability"] for one in answer.get("candidates", ())}
    shares: dict[str, float] = of_texts or answer["probabilities"]
    if task.decision == "first":  # the first candidate may be the likeliest at less than a half
        return "true" if isclose(answer["probability"], shares["true"]) else "false"
    if task.decision == "rank":
        middle = decide(task, _NO_EXAMPLE, tensor([shares[label] for label in task.labels]))
        return middle.label
    return max(shares, key=shares.__getitem__)
