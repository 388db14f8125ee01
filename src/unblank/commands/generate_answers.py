"""Answering all sources of `unblank generate`: on standard output or to a file, with scores."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from rich.text import Text

from unblank.answering.answer_file import require_free
from unblank.api import load
from unblank.commands.generate_files import write_answers
from unblank.commands.generate_input import Job, read_job, require_some
from unblank.commands.generate_settings import GenerateSettings
from unblank.commands.generate_windows import (
    answer_lines,
    answered_windows,
    in_one_line,
    is_answered,
)
from unblank.commands.texts import raise_any
from unblank.consoles import TextConsole
from unblank.generation.results import TokenEvent
from unblank.generation.seq2seq import SourceAnswerer
from unblank.metrics.text import TextScores, score_texts
from unblank.plurals import counted
from unblank.process import is_main_process
from unblank.rules.glossary import is_met
from unblank.rules.rule import Rule
from unblank.terminal_text import print_message, print_result

__all__ = ["generate_and_print"]


def generate_and_print(settings: GenerateSettings) -> None:
    """Answer the sources and score the answers; errors as for `run`."""
    if settings.output is not None:
        require_free(settings.output, overwrite=settings.overwrite)
    job = read_job(settings)
    if job.references is not None:
        _score(settings, [""], job.references[:1])  # a missing package must not cost hours
        _tell_of_empty_references(job.places, job.references)
    unblank = load(settings.model, device=settings.device, dtype=settings.dtype)
    answerer = SourceAnswerer(unblank.model, unblank.tokenizer, settings.options())
    job = _checked(answerer, job, is_file=settings.input is not None)
    if settings.stream:
        for number, source in enumerate(job.sources):
            if is_answered(job, number):
                _print_stream(answerer, source, job.rules[number])
            else:
                print()
        _raise_refusals(settings, job)
        return
    if settings.output is not None:
        predictions = write_answers(settings, job, answerer, settings.output)
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
        if is_answered(job, number):
            num_terms += len(found)
            num_met += sum(is_met(forms, prediction) for forms in found)
    share = f" ({num_met / num_terms:.1%})" if num_terms else ""
    print_message(f"glossary: {num_met:,} of {counted(num_terms, 'term')} met{share}")


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


def _print_all(settings: GenerateSettings, job: Job, answerer: SourceAnswerer) -> list[str]:
    predictions = []
    for window, answers in answered_windows(settings, job, answerer, 0):
        lines = answer_lines(job, window, answers, as_json=settings.json)
        for line, answer in zip(lines, answers, strict=True):
            predictions.append(answer.text)
            print_result(line)
            if not settings.json:
                for other in answer.alternatives:
                    print_result(f"  or: {in_one_line(other.text)}")
        sys.stdout.flush()
    return predictions


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
