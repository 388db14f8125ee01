"""The sources of `unblank generate` answered window by window, and what is said of the answers."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from unblank.answering.run import BATCHES_A_WINDOW
from unblank.commands.generate_input import Job
from unblank.commands.generate_settings import GenerateSettings
from unblank.data.fields import is_visible
from unblank.generation.results import Generated
from unblank.generation.seq2seq import SourceAnswerer
from unblank.progress_bars import counting_bar
from unblank.rules.rule import Rule
from unblank.terminal_text import print_message

__all__ = [
    "NO_ANSWER",
    "AnswerCounts",
    "answer_lines",
    "answered_windows",
    "in_one_line",
    "is_answered",
]

NO_ANSWER = Generated(text="", token_ids=(), log_probability=0.0, finished=True)
"""The answer to an empty source, and to one that is refused."""


def is_answered(job: Job, number: int) -> bool:
    """Whether the model is asked about a source."""
    return is_visible(job.sources[number]) and number not in job.problems


def answered_windows(
    settings: GenerateSettings, job: Job, answerer: SourceAnswerer, first: int
) -> Iterator[tuple[range, list[Generated]]]:
    """Yield the numbers of neighbouring sources with their answers, from source `first` on."""
    size, total = settings.batch_size * BATCHES_A_WINDOW, len(job.sources)
    counts = AnswerCounts()
    is_shown = total - first > settings.batch_size
    with counting_bar("generate", total, show=is_shown, done=first) as advance:
        for start in range(first, total, size):
            window = range(start, min(start + size, total))
            answers = _answers(
                [job.sources[number] if is_answered(job, number) else None for number in window],
                [job.rules[number] for number in window],
                answerer,
                settings.batch_size,
                advance,
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
    return [NO_ANSWER if source is None else next(found) for source in sources]


def answer_lines(
    job: Job, window: range, answers: Sequence[Generated], *, as_json: bool
) -> Iterator[str]:
    """Yield a line for each answer: all that is known of it as JSON, or its text."""
    if as_json:
        records = _records(job, window, answers)
        yield from (json.dumps(record, ensure_ascii=False) for record in records)
    else:
        yield from (in_one_line(answer.text) for answer in answers)


def in_one_line(text: str) -> str:
    """Return a text with spaces in place of line ends."""
    return " ".join(text.splitlines())


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


@dataclass(slots=True)
class AnswerCounts:
    """What is said when all is done."""

    num_tokens: int = 0
    num_cut_sources: int = 0
    num_unfinished: int = 0
    num_empty: int = 0
    num_joined: int = 0
    start: float = field(default_factory=time.perf_counter)

    def add(self, source: str, answer: Generated) -> None:
        """Count an answer."""
        self.num_tokens += len(answer.token_ids)
        self.num_cut_sources += answer.is_source_cut
        self.num_unfinished += not answer.finished
        self.num_empty += not is_visible(source)
        self.num_joined += in_one_line(answer.text) != answer.text

    def print_notes(self, *, joins_lines: bool) -> None:
        """Print the counts; how many answers are joined lines only where they may be."""
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
