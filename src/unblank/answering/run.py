"""Answers to all records of a file, in their order, to a file; a run that was killed goes on.

Every record has its answer in its place, with its number: one that cannot be answered has the
reason in the field `error`. All fields of the record go with it.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unblank.answering.answer_file import AnswerFile, told_on_failure
from unblank.answering.given import GivenRecords
from unblank.answering.together import SharedAnswers, batches_of, refuse_parts
from unblank.data.written_records import flattened, is_table, require_writable, write_records
from unblank.engine.replicas import join_replicas
from unblank.integrity import ADAPTER_RECORD_NAME
from unblank.plurals import counted
from unblank.progress_bars import progress_bar
from unblank.terminal_text import tell
from unblank.untrusted.json_text import read_json_object

__all__ = ["BATCHES_A_WINDOW", "answer_to_file", "content_hash", "model_facts"]

BATCHES_A_WINDOW = 32
"""Number of batches within which texts are sorted by length before they are answered."""

_Answerer = Callable[[Sequence[int], Callable[[int], None]], list[dict[str, Any]]]
"""Numbers of records, and what is told how many of them were just answered -> their answers."""


def answer_to_file(
    given: GivenRecords,
    problems: Mapping[int, str],
    answer: _Answerer,
    output: Path,
    *,
    length_of: Callable[[int], int],
    task: Mapping[str, Any],
    batch_size: int,
    doing: str,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Write an answer for every record; return the answers, without the fields of the records.

    Processes that torchrun started share out the records; only the main one writes the file and
    has the answers, the others return none.

    Args:
        given: the records.
        problems: number of a record from 0 -> why it cannot be answered.
        answer: answers the others.
        output: its ending says the format.
        length_of: number of a record that can be answered -> its length, by which `answer` sorts
            them, the shortest first.
        task: what makes the answers what they are; another command's answers are not continued.
        batch_size: records answered together.
        doing: beside the progress bar.
        overwrite: replace the file if it is there, and start over.

    Raises:
        FileExistsError: the output is there already.
        ValueError: its ending, or another command's unfinished answers.
        OSError: it cannot be written.
    """
    require_writable(output)
    size = batch_size * BATCHES_A_WINDOW
    windows = [range(start, min(start + size, len(given.records)))
               for start in range(0, len(given.records), size)]  # fmt: skip
    with join_replicas() as world:
        if world.size == 1:
            refuse_parts(output, {output.with_name(f"{output.name}.part")}, overwrite=overwrite)
            file = AnswerFile(output, dict(task), overwrite=overwrite)
            found = _answered_alone(file, windows, problems, answer, batch_size, doing)
            _write(given, found, output)
            file.discard()
            return found
        shared = SharedAnswers(world, output, dict(task), overwrite=overwrite)
        asked = [[number for number in window if number not in problems] for window in windows]
        answers = shared.answer(
            batches_of(asked, length_of, batch_size),
            length_of,
            lambda numbers: answer(numbers, lambda _: None),
            doing=doing,
        )
        found = []
        if world.is_main:
            answers |= {number: {"error": problem} for number, problem in problems.items()}
            found = [answers[number] for number in range(len(given.records))]
            _write(given, found, output)
        shared.discard()
    return found


def _answered_alone(
    file: AnswerFile,
    windows: Sequence[range],
    problems: Mapping[int, str],
    answer: _Answerer,
    batch_size: int,
    doing: str,
) -> list[dict[str, Any]]:
    """Return the answers to all records, window after window."""
    num_done, total = len(file), windows[-1].stop
    if num_done:
        tell(f"continuing after {num_done:,} of {total:,} answers in {file.part}")
    with told_on_failure(file, total), progress_bar(show=total - num_done > batch_size) as progress:
        bar = progress.add_task(doing, total=total, completed=num_done)
        for start in range(num_done, total, batch_size * BATCHES_A_WINDOW):
            window = range(start, min(start + batch_size * BATCHES_A_WINDOW, total))
            asked = [number for number in window if number not in problems]
            answers = iter(answer(asked, lambda count: progress.advance(bar, count)))
            progress.advance(bar, len(window) - len(asked))
            file.append(
                json.dumps(
                    {"error": problems[number]} if number in problems else next(answers),
                    ensure_ascii=False,
                )
                for number in window
            )
    return [json.loads(line) for line in file]


def _write(given: GivenRecords, found: Sequence[Mapping[str, Any]], output: Path) -> None:
    num_joined = write_records(output, _Rows(given, found, output))
    joined = f"; tabs and line ends became spaces in {counted(num_joined, 'cell')}"
    tell(f"answers: {len(found):,}, in {output}{joined * bool(num_joined)}")


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

    def __init__(
        self, given: GivenRecords, answers: Sequence[Mapping[str, Any]], output: Path
    ) -> None:
        self._given, self._answers = given, answers
        self._is_table = is_table(output)
        taken = {"number", "error", *(name for answer in self._own() for name in answer)}
        of_records = dict.fromkeys(name for one in given.records for name in one)
        self._names = _free_names(of_records, taken)
        self._columns: dict[str, None] = {}
        if output.suffix.lower() != ".jsonl":  # where all rows have all columns
            self._columns = dict.fromkeys(n for row in self for n in row if n != "error")
            self._columns["error"] = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        pairs = zip(self._given.records, self._own(), strict=True)
        for number, (record, answer) in enumerate(pairs, start=1):
            passed_through = {self._names[name]: value for name, value in record.items()}
            yield {**self._columns, "number": number, **passed_through, **answer}

    def _own(self) -> Iterator[dict[str, Any]]:
        for answer in self._answers:
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
