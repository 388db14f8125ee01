"""The labels of every record of a file: `unblank predict`."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import from_numpy

from unblank.answering.given import GivenRecords, Placed, read_given
from unblank.answering.report import Judged, LabelReport, report_on
from unblank.answering.run import answer_to_file, content_hash, model_facts
from unblank.calibration.maps import tempered
from unblank.data.written_records import require_writable
from unblank.finetuning.labels.tuned import TunedTask
from unblank.models.half_weights import weights_dtype
from unblank.plurals import counted
from unblank.prompting import ClozeTask, TaskExample, make_examples
from unblank.prompting.examples import has_label
from unblank.prompting.judging import right_label
from unblank.prompting.scoring import Prediction, decide, sureness

__all__ = ["predict_records"]

_NO_EXAMPLE = TaskExample("", {})
_SEVERAL = ("multirc", "record")
"""Readers that make several questions of a record."""


def predict_records(
    tuned: TunedTask,
    folder: Path,
    input_path: Path,
    output: Path,
    *,
    abstain_below: float = 0.0,
    batch_size: int = 32,
    overwrite: bool = False,
) -> tuple[list[dict[str, Any]], LabelReport | None]:
    """Predict the labels of every record; return the answers, and a report if there are labels.

    Processes that torchrun started share out the records; all but the main one return none.

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
    if abstain_below and task.is_regression:
        raise ValueError(
            f"task {task.name} predicts a number, which has no probability: leave out abstain_below"
        )
    if abstain_below and task.decision == "several":
        raise ValueError(
            f"task {task.name} names every label that is probable enough: leave out abstain_below, "
            "and give its file `thresholds: {label: 0.8}`"
        )
    given = read_given(input_path)
    placed, num_strange = _questions(task, given)

    def length_of(number: int) -> int:
        return _length(placed.found[number])

    def answer(numbers: Sequence[int], on_batch: Callable[[int], None]) -> list[dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        by_length = sorted(numbers, key=length_of)
        for start in range(0, len(numbers), batch_size):
            batch = by_length[start : start + batch_size]
            answers = _answered(tuned, [placed.found[n] for n in batch], batch_size, abstain_below)
            found |= dict(zip(batch, answers, strict=True))
            on_batch(len(batch))
        return [found[number] for number in numbers]

    answers = answer_to_file(
        given,
        placed.problems,
        answer,
        output,
        length_of=length_of,
        task={
            "command": "predict",
            "model": model_facts(folder),
            "input": content_hash(given.records),
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
    temperature = 1.0 if tuned.calibration is None else tuned.calibration.temperature
    judged = [
        one
        for number, examples in (placed.found.items() if answers else ())
        if "error" not in answers[number]
        for one in _judged(task, examples, answers[number], temperature)
    ]
    if not judged:
        if num_strange:
            warnings.warn(
                f"there is no report: no label in {task.label_field!r} is one of task {task.name} "
                f"({counted(num_strange, 'record')})",
                stacklevel=2,
            )
        return answers, None
    source = "" if tuned.calibration is None else str(tuned.calibration.source)
    return answers, report_on(task, judged, abstain_below, num_strange, source)


def _questions(task: ClozeTask, given: GivenRecords) -> tuple[Placed[list[TaskExample]], int]:
    """Return the examples of each record, and the number of labels that the task does not know."""
    num_strange = 0

    def read(place: str, record: dict[str, Any]) -> list[TaskExample]:
        nonlocal num_strange
        without = {name: value for name, value in record.items() if name != task.label_field}
        try:
            made = make_examples(task, record, place)
        except ValueError:
            if len(without) == len(record):
                raise
            made = None
        if made is None:  # left out in training, or a label of no use
            made = make_examples(task, without, place)
            num_strange += 1
        if not made:
            raise ValueError(f"{place}: the record asks no question")
        return made

    return given.each(read), num_strange


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
        asked = [one for examples in records for one in examples]
        predictions = iter(tuned.predictions(asked, batch_size))
    except ValueError as error:
        if len(records) == 1:
            return [{"error": str(error).removeprefix(f"{records[0][0].place}: ")}]
        return [_answered(tuned, [examples], batch_size, abstain_below)[0] for examples in records]
    answers = []
    for examples in records:
        found = [_answer(tuned.task, one, next(predictions), abstain_below) for one in examples]
        answers.append({"answers": found} if tuned.task.reader in _SEVERAL else found[0])
    return answers


def _answer(
    task: ClozeTask, example: TaskExample, prediction: Prediction, abstain_below: float
) -> dict[str, Any]:
    if task.is_regression:
        return {
            "predicted": prediction.value,
            "probabilities": dict(zip(task.labels, prediction.probabilities, strict=True)),
        }
    shares = list(prediction.probabilities)
    if task.decision == "several":
        return {
            "predicted": list(prediction.labels),
            "probabilities": dict(zip(task.labels, shares, strict=True)),
        }
    if task.decision == "first":
        names: Sequence[str] = ("true", "false")
        shares = [shares[0], 1.0 - shares[0]]
    else:
        names = example.candidates or task.labels
    probability = sureness(task, prediction)
    answer: dict[str, Any] = {"predicted": prediction.label, "probability": probability}
    if abstain_below:
        answer["abstained"] = probability < abstain_below
        answer["predicted"] = None if answer["abstained"] else prediction.label
    if example.candidates and task.decision != "first":
        pairs = zip(names, shares, strict=True)
        answer["candidates"] = [{"text": text, "probability": p} for text, p in pairs]
    else:
        answer["probabilities"] = dict(zip(names, shares, strict=True))
    return answer


def _judged(
    task: ClozeTask,
    examples: Sequence[TaskExample],
    answer: Mapping[str, Any],
    temperature: float,
) -> list[Judged]:
    """Return what was predicted beside what is right, of the examples that have a label."""
    found = []
    for example, one in zip(examples, answer.get("answers", [answer]), strict=True):
        if not has_label(example):
            continue
        right = tuple(right_label(task, example, number) for number in example.answers)
        probability = one.get("probability", 0.0)
        shares = one["probabilities"] if task.decision == "several" else {}
        found.append(Judged(example, right, _guess(task, one, temperature), probability, shares))
    return found


def _guess(
    task: ClozeTask, answer: Mapping[str, Any], temperature: float
) -> str | float | tuple[str, ...]:
    """Return what was predicted, also where the model abstained."""
    if task.decision == "several":
        return tuple(answer["predicted"])
    if task.is_regression or answer["predicted"] is not None:
        guess: str | float = answer["predicted"]
        return guess
    of_texts = {one["text"]: one["probability"] for one in answer.get("candidates", ())}
    shares: dict[str, float] = of_texts or answer["probabilities"]
    if task.decision == "rank":
        own_L = tempered([shares[label] for label in task.labels], 1 / temperature)
        return decide(task, _NO_EXAMPLE, from_numpy(own_L)).label
    return max(shares, key=shares.__getitem__)
