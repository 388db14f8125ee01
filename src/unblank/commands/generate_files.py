"""The answers of `unblank generate` in a file: by one process, or by several together."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from unblank.answering.answer_file import AnswerFile, resume_hint_on_failure
from unblank.answering.run import BATCHES_A_WINDOW, content_hash, model_facts
from unblank.answering.together import RecordWindow, SharedAnswers, refuse_parts
from unblank.commands.generate_input import Job
from unblank.commands.generate_settings import GenerateSettings
from unblank.commands.generate_windows import (
    NO_ANSWER,
    AnswerCounts,
    answer_lines,
    answered_windows,
    is_answered,
)
from unblank.data.written_records import flattened, is_table, write_records
from unblank.engine.replicas import join_replicas
from unblank.generation.results import Generated
from unblank.generation.seq2seq import SourceAnswerer
from unblank.integrity import write_atomically
from unblank.process import is_main_process
from unblank.terminal_text import print_message

__all__ = ["write_answers"]


def write_answers(
    settings: GenerateSettings, job: Job, answerer: SourceAnswerer, output: Path
) -> list[str]:
    """Write the answers to a file; return them, in the main process of several."""
    task, overwrite = _task(settings, job), settings.overwrite
    with join_replicas() as world:
        if world.size > 1:
            shared = SharedAnswers(
                world, output, task, batch_size=settings.batch_size, overwrite=overwrite
            )
            return _write_together(settings, job, answerer, output, shared)
        refuse_parts(output, {output.with_name(f"{output.name}.part")}, overwrite=overwrite)
        file = AnswerFile(output, task, overwrite=overwrite)
        return _write(settings, job, answerer, output, file)


def _write_together(
    settings: GenerateSettings,
    job: Job,
    answerer: SourceAnswerer,
    output: Path,
    shared: SharedAnswers,
) -> list[str]:
    """Answer a share of the sources; the main process writes and returns the answers to all."""
    total, size = len(job.sources), settings.batch_size * BATCHES_A_WINDOW
    asked = [number for number in range(total) if is_answered(job, number)]
    lengths = {n: len(answerer.read(job.sources[n]).prompt.token_ids) for n in asked}
    windows = (
        RecordWindow({number: number for number in range(start, start + size) if number in lengths})
        for start in range(0, total, size)
    )

    def answer(numbers: Sequence[int]) -> list[dict[str, Any]]:
        sources = [job.sources[number] for number in numbers]
        rules = [job.rules[number] for number in numbers]
        found = answerer.answer(sources, rules=rules, batch_size=settings.batch_size)
        return [one.to_dict() for one in found]

    counts = AnswerCounts()
    shared.answer(windows, lengths.__getitem__, answer, doing="generate", longest_first=True)
    lines: list[str] = []
    if is_main_process():
        found = dict(shared)
        answers = [
            _generated(found[number]) if number in found else NO_ANSWER for number in range(total)
        ]
        for source, one in zip(job.sources, answers, strict=True):
            counts.add(source, one)
        is_json = output.suffix.lower() != ".txt"
        lines = list(answer_lines(job, range(total), answers, as_json=is_json))
        if output.suffix.lower() in (".txt", ".jsonl"):
            write_atomically(output, "".join(f"{line}\n" for line in lines))
        else:
            _write_table(output, lines)
        counts.print_notes(joins_lines=not is_json)
        print_message(f"answers: {total:,}, in {output}")
    shared.discard()
    return _predictions(output, lines)


def _generated(values: dict[str, Any]) -> Generated:
    """Return an answer again that was written as plain values."""
    return Generated(
        **{
            **values,
            "token_ids": tuple(values["token_ids"]),
            "alternatives": tuple(map(_generated, values["alternatives"])),
        }
    )


def _write(
    settings: GenerateSettings,
    job: Job,
    answerer: SourceAnswerer,
    output: Path,
    file: AnswerFile,
) -> list[str]:
    """Write the answers that are still missing; return all."""
    is_json = output.suffix.lower() != ".txt"
    num_done = len(file)
    if num_done:
        print_message(
            f"continuing after {num_done:,} of {len(job.sources):,} answers in {file.part}"
        )
    with resume_hint_on_failure(file, len(job.sources)):
        for window, answers in answered_windows(settings, job, answerer, num_done):
            file.append(answer_lines(job, window, answers, as_json=is_json))
    predictions = _predictions(output, file)
    if output.suffix.lower() in (".txt", ".jsonl"):
        file.finish()
    else:
        _write_table(output, file)
        file.discard()
    print_message(f"answers: {len(predictions):,}, in {output}")
    return predictions


def _predictions(output: Path, lines: Iterable[str]) -> list[str]:
    is_json = output.suffix.lower() != ".txt"
    return [json.loads(line)["prediction"] for line in lines] if is_json else list(lines)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Answers that are JSON lines as the rows of a table, made anew each time; `error` is last."""

    lines: Iterable[str]
    columns: Sequence[str]
    is_table: bool

    def __iter__(self) -> Iterator[dict[str, Any]]:
        empty = dict.fromkeys(self.columns)
        for line in self.lines:
            record = json.loads(line)
            yield {**empty, **(flattened(record) if self.is_table else record)}


def _write_table(output: Path, lines: Iterable[str]) -> None:
    """Write the answers that a part holds as JSON lines as another kind of file.

    One line after another, so that not all are in memory.
    """
    rows = _Rows(lines, (), is_table(output))
    columns = dict.fromkeys(name for row in rows for name in row if name != "error")
    has_error = any("error" in row for row in rows)
    num_joined = write_records(output, replace(rows, columns=[*columns, *["error"] * has_error]))
    if num_joined:
        print_message(f"tabs and line ends became spaces in {num_joined:,} cells")


def _task(settings: GenerateSettings, job: Job) -> dict[str, Any]:
    """Return what makes the answers what they are, for going on with them later."""
    return {
        "model": model_facts(Path(settings.model)),
        "input": content_hash([job.sources, job.references]),
        "options": asdict(settings.options()),
        "dtype": settings.dtype,
        **({"rules": content_hash([*map(str, job.rules)])} if any(job.rules) else {}),
    }
