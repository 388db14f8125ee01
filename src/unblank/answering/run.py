"""Answers to all records of a file, in order, to a file; an interrupted run is continued.

Every record has its answer in its place, with its number: one that cannot be answered has the
reason in the field `error`. All fields of the record go with it. Only the records and answers of a
window are in memory.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from unblank.answering.answer_file import AnswerFile, require_free, resume_hint_on_failure
from unblank.answering.given import GivenRecords
from unblank.answering.together import RecordWindow, SharedAnswers, refuse_parts
from unblank.data.length_groups import length_batches
from unblank.data.records import Record
from unblank.data.written_records import flattened, is_table, require_writable, write_records
from unblank.engine.replicas import join_replicas
from unblank.integrity import ADAPTER_RECORD_NAME
from unblank.plurals import counted
from unblank.progress_bars import counting_bar
from unblank.terminal_text import print_message
from unblank.untrusted.json_text import read_json_object

__all__ = [
    "BATCHES_A_WINDOW",
    "AnsweredRecord",
    "RecordAnswering",
    "answer_in_batches",
    "answer_to_file",
    "content_hash",
    "model_facts",
]

BATCHES_A_WINDOW = 32
"""Number of batches within which texts are sorted by length before they are answered."""

_Question = TypeVar("_Question")

_Answers = Callable[[], Iterator[Mapping[str, Any]]]
"""Goes through the answers from the first one on."""


@dataclass(frozen=True, slots=True)
class RecordAnswering(Generic[_Question]):
    """How records are answered.

    Attributes:
        read: place and fields of a record -> what is asked about it; ValueError if nothing can be.
        length_of: a question -> its length, by which `answer` sorts them, the shortest first.
        answer: questions, and a callback for how many of them were just answered -> their answers.
    """

    read: Callable[[str, dict[str, Any]], _Question]
    length_of: Callable[[_Question], int]
    answer: Callable[[Sequence[_Question], Callable[[int], None]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class AnsweredRecord:
    """A record and its answer.

    Attributes:
        place: `FILE, line N`.
        record: its fields.
        answer: plain values, without those of the record; `error` says why there is none.
    """

    place: str
    record: dict[str, Any]
    answer: dict[str, Any]


def answer_to_file(
    given: GivenRecords,
    asking: RecordAnswering[_Question],
    output: Path,
    *,
    task: Mapping[str, Any],
    batch_size: int,
    doing: str,
    overwrite: bool = False,
) -> Iterator[AnsweredRecord]:
    """Yield the records as they are answered, in order; when all were, the file is there.

    Processes that torchrun started share out the records; only the main one writes the file and
    has the answers, the others yield none.

    Args:
        given: the records.
        asking: how they are answered.
        output: its ending says the format.
        task: what makes the answers what they are; another command's answers are not continued.
        batch_size: records answered together.
        doing: beside the progress bar.
        overwrite: replace the file if it is there, and what another task left of it.

    Raises:
        FileExistsError: the output is there already.
        ValueError: its ending, or another command's unfinished answers.
        OSError: it cannot be written.
    """
    require_writable(output)
    require_free(output, overwrite=overwrite)
    size = batch_size * BATCHES_A_WINDOW
    with join_replicas() as world:
        if world.size == 1:
            refuse_parts(output, {output.with_name(f"{output.name}.part")}, overwrite=overwrite)
            file = AnswerFile(output, dict(task), overwrite=overwrite)
            yield from _answered_alone(file, given, asking, size, doing, batch_size)
            _write(given, lambda: map(json.loads, file), output)
            file.discard()
            return
        shared = SharedAnswers(
            world, output, dict(task), batch_size=batch_size, overwrite=overwrite
        )
        shared.answer(
            (window for _, window in _windows(given, asking, size)),
            asking.length_of,
            lambda questions: asking.answer(questions, lambda _: None),
            doing=doing,
        )
        if world.is_main:
            for (place, record), (_, answer) in zip(given, shared, strict=True):
                yield AnsweredRecord(place, record, answer)
            _write(given, lambda: (answer for _, answer in shared), output)
        shared.discard()


def _answered_alone(
    file: AnswerFile,
    given: GivenRecords,
    asking: RecordAnswering[_Question],
    size: int,
    doing: str,
    batch_size: int,
) -> Iterator[AnsweredRecord]:
    """Yield all records with their answers, window after window."""
    num_done, total = len(file), len(given)
    if num_done:
        print_message(f"continuing after {num_done:,} of {total:,} answers in {file.part}")
    is_shown = total - num_done > batch_size
    with (
        resume_hint_on_failure(file, total),
        counting_bar(doing, total, show=is_shown, done=num_done) as advance,
    ):
        for (place, record), line in zip(given, islice(file, num_done), strict=False):
            yield AnsweredRecord(place, record, json.loads(line))
        for records, window in _windows(given, asking, size, num_done):
            advance(len(window.known))
            answers = asking.answer(list(window.questions.values()), advance)
            found = {**window.known, **dict(zip(window.questions, answers, strict=True))}
            lines = [json.dumps(found[number], ensure_ascii=False) for number in sorted(found)]
            file.append(lines)
            for (place, record), line in zip(records, lines, strict=True):
                yield AnsweredRecord(place, record, json.loads(line))


def _windows(
    given: GivenRecords, asking: RecordAnswering[_Question], size: int, first: int = 0
) -> Iterator[tuple[list[Record], RecordWindow[_Question]]]:
    """Yield the records from a number on, and what is asked about them."""
    rest = islice(given, first, None)
    while records := list(islice(rest, size)):
        questions: dict[int, _Question] = {}
        problems: dict[int, dict[str, Any]] = {}
        for number, (place, record) in enumerate(records, start=first):
            try:
                questions[number] = asking.read(place, record)
            except ValueError as error:
                problems[number] = {"error": str(error)}
        yield records, RecordWindow(questions, problems)
        first += len(records)


def _write(given: GivenRecords, answers: _Answers, output: Path) -> None:
    rows = _Rows(given, answers, output)
    num_joined = write_records(output, rows, columns=rows.columns)
    joined = f"; tabs and line ends became spaces in {counted(num_joined, 'cell')}"
    print_message(f"answers: {len(given):,}, in {output}{joined * bool(num_joined)}")


def answer_in_batches(
    questions: Sequence[_Question],
    length_of: Callable[[_Question], int],
    answer: Callable[[Sequence[_Question]], Iterable[dict[str, Any]]],
    batch_size: int,
    on_batch: Callable[[int], None],
) -> list[dict[str, Any]]:
    """Return the answers in the order of their questions, which are answered the shortest first.

    Args:
        questions: of some records.
        length_of: a question -> its length.
        answer: answers a batch, in its order.
        batch_size: questions of a batch.
        on_batch: called with the number of questions of each batch that is answered.
    """
    found: dict[int, dict[str, Any]] = {}
    for batch in length_batches(list(map(length_of, questions)), batch_size):
        found |= zip(batch, answer([questions[number] for number in batch]), strict=True)
        on_batch(len(batch))
    return [found[number] for number in range(len(questions))]


def model_facts(folder: Path) -> list[Any]:
    """Return which weights a folder holds, those of an adapter's base model included."""
    weights = {
        path.name: [path.stat().st_size, path.stat().st_mtime_ns]
        for path in sorted(folder.glob("*.safetensors"))
    }
    facts = [str(folder.resolve()), weights]
    record = folder / ADAPTER_RECORD_NAME
    if record.is_file() and isinstance(base := read_json_object(record).get("base_model"), str):
        facts += model_facts(Path(base))
    return facts


def content_hash(values: Any) -> str:
    """Return a hash of texts, for going on later only if they are the same."""
    text = json.dumps(values, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Rows:
    """Number, fields of the record and answer of each, made anew each time; `error` comes last."""

    def __init__(self, given: GivenRecords, answers: _Answers, output: Path) -> None:
        self._given, self._answers = given, answers
        self._is_table = is_table(output)
        own = dict.fromkeys(name for answer in self._own() for name in answer if name != "error")
        self._names = _free_names(given.names, {"number", "error", *own})
        self.columns = list(dict.fromkeys(["number", *self._names.values(), *own, "error"]))
        self._empty = dict.fromkeys(self.columns if output.suffix.lower() != ".jsonl" else ())

    def __iter__(self) -> Iterator[dict[str, Any]]:
        pairs = zip(self._given, self._own(), strict=True)
        for number, ((_, record), answer) in enumerate(pairs, start=1):
            passed_through = {self._names[name]: value for name, value in record.items()}
            yield {**self._empty, "number": number, **passed_through, **answer}

    def _own(self) -> Iterator[dict[str, Any]]:
        for answer in self._answers():
            yield flattened(answer) if self._is_table else dict(answer)


def _free_names(given: Iterable[str], taken: set[str]) -> dict[str, str]:
    """Return a name for every field that no answer has: `input.text` if there is a `text`."""
    names = list(given)
    free = {}
    for name in names:
        new = name
        while new in taken or (new != name and new in names):
            new = f"input.{new}"
        free[name] = new
    return free
