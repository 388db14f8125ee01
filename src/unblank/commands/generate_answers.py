"""Answering all sources of `unblank generate`: on standard output or to a file, with scores."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.text import Text

from unblank.answering.answer_file import AnswerFile, require_absent, resume_hint_on_failure
from unblank.answering.run import BATCHES_A_WINDOW, content_hash, model_facts
from unblank.answering.together import RecordWindow, SharedAnswers, refuse_parts
from unblank.api import load
from unblank.commands.generate_input import Job, read_job, require_some
from unblank.commands.generate_settings import GenerateSettings
from unblank.commands.texts import raise_any
from unblank.consoles import TextConsole
from unblank.data.fields import is_visible
from unblank.data.written_records import flattened, is_table, write_records
from unblank.engine.replicas import is_main_process, join_replicas
from unblank.generation.results import Generated, TokenEvent
from unblank.generation.seq2seq import SourceAnswerer
from unblank.integrity import write_atomically
from unblank.metrics.text import TextScores, score_texts
from unblank.plurals import counted
from unblank.progress_bars import progress_bar
from unblank.rules.rule import Rule
from unblank.terminal_text import print_message, print_result

__all__ = ["generate_and_print"]

_NOTHING = Generated(text="", token_ids=(), log_probability=0.0, finished=True)
"""The answer to an empty source, and to one that is refused."""


def generate_and_print(settings: GenerateSettings) -> None:
    """Answer the sources and score the answers; errors as for `run`."""
    if settings.output is not None and not settings.overwrite:
        require_absent(settings.output)
    job = read_job(settings)
    if job.references is not None:
        _score(settings, [""], job.references[:1])  # a missing package must not cost hours
        _tell_of_empty_references(job.places, job.references)
    unblank = load(settings.model, device=settings.device, dtype=settings.dtype)
    answerer = SourceAnswerer(unblank.model, unblank.tokenizer, settings.options())
    job = _checked(answerer, job, is_file=settings.input is not None)
    if settings.stream:
        for number, source in enumerate(job.sources):
            if _is_answered(job, number):
                _print_stream(answerer, source, job.rules[number])
            else:
                print()
        _raise_refusals(settings, job)
        return
    if settings.output is not None:
        predictions = _answered(settings, job, answerer, settings.output)
        if not is_main_process():
            return
    else:
        predictions = _print_all(settings, job, answerer)
    if job.terms is not None:
        _tell_of_terms(job.terms, job, predictions)
    if job.references is not None:
        scores = _score(settings, predictions, job.references)
        (print_result if settings.output else print_message)(str(scores))
    _raise_refusals(settings, job)


def _raise_refusals(settings: GenerateSettings, job: Job) -> None:
    """Raise one error for all sources that were refused, now that the others are answered."""
    if settings.input is not None and job.problems:
        first, why = next(iter(job.problems.items()))
        has_field = settings.output is not None and settings.output.suffix.lower() != ".txt"
        where = f": the field error of {settings.output} says why" if has_field else ""
        raise ValueError(
            f"{len(job.problems):,} of {counted(len(job.sources), 'source')} could not be "
            f"answered{where}; the first is {job.places[first]}: {why}"
        )
    raise_any([f"{job.places[number]}: {why}" for number, why in job.problems.items()])


def _tell_of_empty_references(places: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    empty = [place for place, texts in zip(places, references, strict=True) if not any(texts)]
    if empty:
        print_message(
            f"note: empty references lower the scores: {len(empty):,}, the first: {empty[0]}"
        )


def _tell_of_terms(terms: Sequence[Sequence[str]], job: Job, predictions: Sequence[str]) -> None:
    """Say how many of the terms in the sources have their translation in the answers."""
    num_terms = num_met = 0
    for number, (found, prediction) in enumerate(zip(terms, predictions, strict=True)):
        if _is_answered(job, number):
            written = _bare(prediction)
            num_terms += len(found)
            num_met += sum(any(_bare(form) in written for form in one.split("|")) for one in found)
    share = f" ({num_met / num_terms:.1%})" if num_terms else ""
    print_message(f"glossary: {num_met:,} of {counted(num_terms, 'term')} met{share}")


def _bare(text: str) -> str:
    """Return a text without what a tokenizer may change: case, and space around punctuation."""
    return "".join(text.split()).casefold()


def _checked(answerer: SourceAnswerer, job: Job, *, is_file: bool) -> Job:
    """Return the job with all sources that cannot be answered.

    Raises:
        ValueError: if none in a file can; the message says what is wrong with the first.
    """
    answerer.check([""])  # a fault of the options is not blamed on a source
    problems = dict(job.problems)
    if not problems and _are_good(answerer, job):
        return job
    for number, source in enumerate(job.sources):
        if number in problems:
            continue
        try:
            answerer.check([source], [job.rules[number]])
        except ValueError as error:
            problems[number] = str(error)
    if is_file:
        require_some(job.places, problems)
    return replace(job, problems=dict(sorted(problems.items())))


def _are_good(answerer: SourceAnswerer, job: Job) -> bool:
    try:
        answerer.check(job.sources, job.rules)
    except ValueError:
        return False
    return True


def _is_answered(job: Job, number: int) -> bool:
    """Whether the model is asked about a source."""
    return is_visible(job.sources[number]) and number not in job.problems


def _answered(
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
    asked = [number for number in range(total) if _is_answered(job, number)]
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

    counts = _Counts()
    shared.answer(
        windows,
        lengths.__getitem__,
        answer,
        doing="generate",
        longest_first=True,
    )
    lines: list[str] = []
    if is_main_process():
        found = dict(shared)
        answers = [
            _generated(found[number]) if number in found else _NOTHING for number in range(total)
        ]
        for source, one in zip(job.sources, answers, strict=True):
            counts.add(source, one)
        is_json = output.suffix.lower() != ".txt"
        lines = (
            [_json_line(record) for record in _records(job, range(total), answers)]
            if is_json
            else [_in_one_line(one.text) for one in answers]
        )
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


def _predictions(output: Path, lines: Iterable[str]) -> list[str]:
    is_json = output.suffix.lower() != ".txt"
    return [json.loads(line)["prediction"] for line in lines] if is_json else list(lines)


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
        for window, answers in _windows(settings, job, answerer, num_done):
            if is_json:
                file.append(map(_json_line, _records(job, window, answers)))
            else:
                file.append(_in_one_line(answer.text) for answer in answers)
    predictions = _predictions(output, file)
    if output.suffix.lower() in (".txt", ".jsonl"):
        file.finish()
    else:
        _write_table(output, file)
        file.discard()
    print_message(f"answers: {len(predictions):,}, in {output}")
    return predictions


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


def _print_all(settings: GenerateSettings, job: Job, answerer: SourceAnswerer) -> list[str]:
    predictions = []
    for window, answers in _windows(settings, job, answerer, 0):
        for record, answer in zip(_records(job, window, answers), answers, strict=True):
            predictions.append(answer.text)
            print_result(_json_line(record) if settings.json else _in_one_line(answer.text))
            if not settings.json:
                for other in answer.alternatives:
                    print_result(f"  or: {_in_one_line(other.text)}")
        sys.stdout.flush()
    return predictions


@dataclass(slots=True)
class _Counts:
    """What is said when all is done."""

    num_tokens: int = 0
    num_cut_sources: int = 0
    num_unfinished: int = 0
    num_empty: int = 0
    num_joined: int = 0
    start: float = field(default_factory=time.perf_counter)

    def add(self, source: str, answer: Generated) -> None:
        self.num_tokens += len(answer.token_ids)
        self.num_cut_sources += answer.is_source_cut
        self.num_unfinished += not answer.finished
        self.num_empty += not is_visible(source)
        self.num_joined += _in_one_line(answer.text) != answer.text

    def print_notes(self, *, joins_lines: bool) -> None:
        seconds = time.perf_counter() - self.start
        rate = self.num_tokens / max(seconds, 1e-9)
        notes = [f"{self.num_tokens:,} tokens in {seconds:.1f} s ({rate:,.0f} tokens/s)"]
        for count, what in (
            (self.num_unfinished, "answers cut at the longest allowed length (--max-tokens)"),
            (self.num_cut_sources, "sources cut at the number of positions of the model"),
            (self.num_empty, "empty sources, given empty answers"),
            (self.num_joined * joins_lines, "answers of several lines, joined by spaces"),
        ):
            notes += [f"{what}: {count:,}"] if count else []
        print_message("; ".join(notes))


def _windows(
    settings: GenerateSettings, job: Job, answerer: SourceAnswerer, first: int
) -> Iterator[tuple[range, list[Generated]]]:
    """Yield the numbers of neighbouring sources with their answers, from source `first` on."""
    size, total = settings.batch_size * BATCHES_A_WINDOW, len(job.sources)
    counts = _Counts()
    with progress_bar(show=total - first > settings.batch_size) as progress:
        bar = progress.add_task("generate", total=total, completed=first)
        for start in range(first, total, size):
            window = range(start, min(start + size, total))
            answers = _answers(
                [job.sources[number] if _is_answered(job, number) else None for number in window],
                [job.rules[number] for number in window],
                answerer,
                settings.batch_size,
                lambda count: progress.advance(bar, count),
            )
            for number, answer in zip(window, answers, strict=True):
                counts.add(job.sources[number], answer)
            yield window, answers
    is_text = settings.output.suffix.lower() == ".txt" if settings.output else not settings.json
    counts.print_notes(joins_lines=is_text)


def _answers(
    sources: Sequence[str | None],
    rules: Sequence[Sequence[Rule]],
    answerer: SourceAnswerer,
    batch_size: int,
    on_batch: Callable[[int], None],
) -> list[Generated]:
    """Return the answers; the model is not asked where there is no source."""
    texts = [source for source in sources if source is not None]
    own = [its for its, source in zip(rules, sources, strict=True) if source is not None]
    found = iter(answerer.answer(texts, rules=own, batch_size=batch_size, on_batch=on_batch))
    on_batch(len(sources) - len(texts))
    return [_NOTHING if source is None else next(found) for source in sources]


def _records(job: Job, window: range, answers: Sequence[Generated]) -> Iterator[dict[str, Any]]:
    for number, answer in zip(window, answers, strict=True):
        record: dict[str, Any] = {"source": job.sources[number], "prediction": answer.text}
        if job.references is not None:
            record["references"] = job.references[number]
        if problem := job.problems.get(number):
            record["error"] = problem
        record |= {"log_probability": answer.log_probability, "finished": answer.finished}
        if answer.is_source_cut:
            record["source_cut"] = True
        if answer.alternatives:
            record["alternatives"] = [
                {"prediction": other.text, "log_probability": other.log_probability}
                for other in answer.alternatives
            ]
        yield record


def _task(settings: GenerateSettings, job: Job) -> dict[str, Any]:
    """Return what makes the answers what they are, for going on with them later."""
    return {
        "model": model_facts(Path(settings.model)),
        "input": content_hash([job.sources, job.references]),
        "options": asdict(settings.options()),
        "dtype": settings.dtype,
        **({"rules": content_hash([*map(str, job.rules)])} if any(job.rules) else {}),
    }


def _score(
    settings: GenerateSettings, predictions: Sequence[str], references: Sequence[Sequence[str]]
) -> TextScores:
    return score_texts(
        predictions,
        references,
        settings.metrics,
        tokenize=settings.tokenize,
        lowercase=settings.lowercase,
        stem=settings.stem,
        with_margin=settings.margins,
    )


def _print_stream(answerer: SourceAnswerer, source: str, rules: Sequence[Rule]) -> None:
    console = TextConsole(highlight=False, soft_wrap=True)
    shown = ""
    for event in answerer.stream(source, rules):
        # Half a character waits for its other half.
        now = event.blank_text.rstrip("\ufffd") if isinstance(event, TokenEvent) else event.text
        if now.startswith(shown):
            console.print(Text(now[len(shown) :], style="bold green"), end="")
            console.file.flush()
            shown = now
    console.print()


def _json_line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


def _in_one_line(text: str) -> str:
    return " ".join(text.splitlines()) if text else text
