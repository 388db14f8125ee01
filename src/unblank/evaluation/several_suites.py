"""Several suites of tasks in many languages as one measurement, with the mean of XTREME."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from unblank.evaluation.language_means import mean_of_tasks
from unblank.evaluation.language_split import UnknownLanguageError
from unblank.evaluation.questions import run_questions
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import QuestionsSuite, SeveralSuites, TaskSuite
from unblank.evaluation.task_options import LanguagesOptions, QuestionsOptions, XtremeOptions
from unblank.evaluation.understanding import run_understanding

__all__ = ["run_several"]

_COUNTED = ("f1", "em")
"""Metrics of answers to questions that count, with their mean."""


def run_several(session: Session[XtremeOptions], suite: SeveralSuites) -> Iterator[SuiteResult]:
    """Yield the scores of each suite, and of several their mean.

    A suite whose files are not there, or have none of the languages that are wanted, is left out
    and named.

    Raises:
        ValueError: a task that the suite does not have.
        FileNotFoundError: no suite has its files.
    """
    asked = session.options.tasks or tuple(suite.suites)
    session.require_tasks(suite.suites)
    numbers: dict[str, tuple[float, float | None]] = {}
    missing: Exception | None = None
    for name in asked:
        try:
            results = list(_run(session, suite.suites[name]))
        except (FileNotFoundError, UnknownLanguageError) as error:
            missing = error
            session.say(f"left out {name}: {error}")
            continue
        numbers[name] = _number([score for result in results for score in result.scores])
        yield from results
    if not numbers and missing is not None:
        raise missing
    if len(numbers) > 1:
        details = {"tasks": {name: number for name, (number, _) in numbers.items()}}
        mean = mean_of_tasks(
            suite.name, numbers, len(suite.suites), language="mean", details=details
        )
        yield SuiteResult([mean], [])


def _run(session: Session[Any], suite: TaskSuite | QuestionsSuite) -> Iterator[SuiteResult]:
    """Run a suite with the options that it shares with the others."""
    options: XtremeOptions = session.options
    shared: dict[str, Any] = {
        name: getattr(options, name)
        for name in (
            "model", "limit", "device", "dtype", "split", "data", "languages", "batch_size"
        )
    }  # fmt: skip
    if isinstance(suite, TaskSuite):
        tasks = LanguagesOptions(suite=suite.name, prompts=options.prompts, **shared)  # type: ignore[arg-type]
        yield from run_understanding(replace(session, options=tasks), suite)
    else:
        questions = QuestionsOptions(
            suite=suite.name,  # type: ignore[arg-type]
            prompts=options.prompts or "english",
            max_tokens=options.max_tokens,
            **shared,
        )
        yield from run_questions(replace(session, options=questions), suite.sets)


def _number(scores: Sequence[Score]) -> tuple[float, float | None]:
    """Return the one number of a task, with its standard error.

    It is the mean over languages, of questions that of F1 and exact match (Hu et al. 2020).
    """
    means = [score for score in scores if score.language == "mean"] or list(scores)
    counted = [score for score in means if score.metric in _COUNTED] or means
    # Two scores of the same answers: their errors go together, so that they do not cancel.
    errors = [score.standard_error for score in counted if score.standard_error is not None]
    error = fmean(errors) if len(errors) == len(counted) else None
    return fmean(score.value for score in counted), error
