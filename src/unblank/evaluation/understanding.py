"""Understanding tasks: SuperGLUE, GLUE and any task file, as cloze questions or by a classifier.

What a task asks, where its examples lie and how it is judged is data in `unblank.prompting`. All
candidates of a question are scored in one forward pass.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from statistics import fmean
from typing import Any

from unblank.data.drawing import draw_from_files
from unblank.data.language_files import LanguageFile, find_language_files
from unblank.evaluation.language_means import language_means, mean_of_tasks
from unblank.evaluation.language_split import in_languages
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import TaskSuite
from unblank.evaluation.task_options import ClassifierOptions, ClozeOptions, UnderstandingOptions
from unblank.metrics.answers import Answer, score_answers
from unblank.metrics.spread import bootstrap_errors, mean_and_error
from unblank.prompting.asking import Asking
from unblank.prompting.examples import TaskExample, only_label, read_examples, require_labels
from unblank.prompting.judging import right_label, to_answers
from unblank.prompting.predicting import Prediction, decide, predict
from unblank.prompting.scoring import encode_example, normalized
from unblank.prompting.task import ClozeTask
from unblank.prompting.task_files import load_task
from unblank.settings.choices import Normalization

__all__ = ["run_classifier", "run_cloze", "run_understanding"]

_Average = tuple[float, float | None]
"""A task's share of the mean over tasks, and its standard error."""


def run_understanding(
    session: Session[UnderstandingOptions], suite: TaskSuite
) -> Iterator[SuiteResult]:
    """Yield the scores of each task, and of several their average.

    Raises:
        ValueError: if a task's file does not say where its examples lie.
    """
    averages: dict[str, _Average] = {}
    started = time.perf_counter()
    tasks = {name: load_task(path) for name, path in suite.tasks.items()}
    for task in tasks.values():
        if not task.files and task.name not in suite.files:
            raise ValueError(f"{task.path} does not say where its examples are: add `files:`")
    patterns = {name: suite.files.get(name, task.files) for name, task in tasks.items()}
    globs = {name: pattern.replace("{lang}", "*") for name, pattern in patterns.items()}
    wanted = getattr(session.options, "languages", ())
    for name, files in session.files(globs):
        counted = suite.averaged.get(name)
        placed = in_languages(files, patterns[name], wanted)
        result, averages[name] = _measure_cloze(session, tasks[name], placed, counted)
        yield result
    if len(averages) > 1:
        seconds = time.perf_counter() - started
        details = {"tasks": list(averages)}
        mean = mean_of_tasks(suite.name, averages, len(tasks), seconds=seconds, details=details)
        yield SuiteResult([mean], [])


def run_cloze(session: Session[ClozeOptions]) -> Iterator[SuiteResult]:
    """Yield the scores of any tasks, named or as YAML files, on the user's own files.

    Raises:
        ValueError: if there is not one task, or no file.
    """
    options = session.options
    if len(options.tasks) != 1 or not options.file:
        raise ValueError(
            "the suite cloze needs one task and its examples: --tasks NAME_OR_YAML --file FILE"
        )
    result, _ = _measure_cloze(
        session, load_task(options.tasks[0]), find_language_files(options.file)
    )
    yield result


def run_classifier(session: Session[ClassifierOptions]) -> Iterator[SuiteResult]:
    """Yield the scores of a classifier on the user's own files.

    Raises:
        ValueError: if there is no file.
    """
    tuned, options = session.tuned, session.options
    assert tuned is not None
    if not options.file:
        raise ValueError("the suite classifier needs examples: --file FILE")

    def answer(examples: Sequence[TaskExample]) -> list[Prediction]:
        shares = tuned.shares(examples, options.batch_size)
        return [decide(tuned.task, *pair) for pair in zip(examples, shares, strict=True)]

    result, _ = _measure(session, tuned.task, find_language_files(options.file), answer)
    yield result


def _measure_cloze(
    session: Session[UnderstandingOptions | ClozeOptions],
    task: ClozeTask,
    files: Sequence[LanguageFile],
    counted: Sequence[str] | None = None,
) -> tuple[SuiteResult, _Average]:
    """Return a task's result as cloze questions; see `_measure`."""
    asking = Asking(session.options.prompts, session.options.words)
    asking.check(task, session.options.pattern)
    task, prior = normalized(task, _normalization(session.options))

    def answer(examples: Sequence[TaskExample]) -> list[Prediction]:
        _tell_shortened(session, task, examples, asking)
        return predict(
            session.model,
            session.tokenizer,
            task,
            examples,
            patterns=session.options.pattern,
            asking=asking,
            prior=prior,
            batch_size=session.options.batch_size,
            layout=session.options.layout,
            show_progress=True,
        )

    return _measure(session, task, files, answer, counted)


def _normalization(options: UnderstandingOptions | ClozeOptions) -> Normalization | None:
    if options.calibrate and options.normalization is not None:
        raise ValueError("calibrate is normalization pmi: give one of them")
    return "pmi" if options.calibrate else options.normalization


def _measure(
    session: Session[UnderstandingOptions | ClozeOptions | ClassifierOptions],
    task: ClozeTask,
    files: Sequence[LanguageFile],
    answer: Callable[[Sequence[TaskExample]], list[Prediction]],
    counted: Sequence[str] | None = None,
) -> tuple[SuiteResult, _Average]:
    """Return a task's result, and the mean of its counted metrics with the standard error.

    Of several languages each has its rows, and the task's own are means with equal weight.
    """
    started = time.perf_counter()
    data = read_examples(task, files)
    # Examples of one question are judged together.
    of_questions = groupby(data.examples, key=lambda example: example.group or id(example))
    questions = [list(group) for _, group in of_questions]
    drawn = draw_from_files(questions, session.options.limit, lambda group: group[0].place)
    examples = list(chain.from_iterable(drawn))
    if data.num_skipped:
        session.say(
            f"{task.name}: records without a label: {data.num_skipped} of {data.num_records}"
        )
    require_labels(task, examples)
    if label := only_label(task, examples):
        session.say(
            f"{task.name}: {examples[0].place} to {examples[-1].place}: every label "
            f"is {label!r}: a model that always predicts it would score best"
        )
    predictions = answer(examples)
    answers = to_answers(task, examples, predictions)
    groups: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        groups[example.language].append(index)
    seconds = time.perf_counter() - started
    details = {"files": [str(file.path) for file in files], "records": data.num_records}
    found = [
        _scores(
            task,
            language,
            [examples[index] for index in some],
            [answers[index] for index in some],
            counted,
            seed=session.options.seed,
            seconds=seconds,
            details=details,
        )
        for language, some in groups.items()
    ]
    scores = [score for rows, _ in found for score in rows]
    average = found[0][1]
    if len(found) > 1:
        scores += language_means(
            task.name, dict(zip(groups, (rows for rows, _ in found), strict=True)), seconds, details
        )
        average = mean_and_error([average for _, average in found])
    lines = [_line(task, *pair) for pair in zip(examples, predictions, strict=True)]
    return SuiteResult(scores, lines), average


def _scores(
    task: ClozeTask,
    language: str,
    examples: Sequence[TaskExample],
    answers: Sequence[Answer],
    counted: Sequence[str] | None,
    *,
    seed: int,
    seconds: float,
    details: dict[str, Any],
) -> tuple[list[Score], _Average]:
    """Return the rows of a task, or of one of its languages, and the mean of what is counted."""
    values = score_answers(answers, task.metrics)
    averaged = [metric for metric in values if counted is None or metric in counted]
    num_questions = len({example.group for example in examples})
    *errors, error = _errors(task, answers, averaged, seed)
    rows = [
        Score(
            task=task.name,
            metric=metric,
            value=value,
            language=language,
            count=num_questions if metric == "em" else len(examples),
            standard_error=metric_error,
            seconds=seconds,
            details=details,
        )
        for (metric, value), metric_error in zip(values.items(), errors, strict=True)
    ]
    return rows, (fmean(values[metric] for metric in averaged), error)


def _errors(
    task: ClozeTask, answers: Sequence[Answer], averaged: Sequence[str], seed: int
) -> list[float | None]:
    """Return the standard errors of the metrics, and last that of the mean of some of them.

    Questions of a group are drawn together.
    """
    groups: dict[str, list[Answer]] = defaultdict(list)
    for number, answer in enumerate(answers):
        groups[answer.question or str(number)].append(answer)

    def values(drawn: list[list[Answer]]) -> list[float]:
        scores = score_answers(list(chain.from_iterable(drawn)), task.metrics)
        return [*scores.values(), fmean(scores[name] for name in averaged)]

    return bootstrap_errors(values, list(groups.values()), seed)


def _tell_shortened(
    session: Session[UnderstandingOptions | ClozeOptions],
    task: ClozeTask,
    examples: Sequence[TaskExample],
    asking: Asking,
) -> None:
    """Say how many questions lose text because the model has too few positions."""
    limit = session.model.config.max_position_embeddings
    usual = task.default_pattern if asking.prompts is None else 0
    for number in session.options.pattern or (usual,):
        prompts = [
            encode_example(
                session.tokenizer, task, *asking.ask(task, example, number), max_length=limit
            )
            for example in examples
        ]
        shortened = [prompt.filled.num_removed for prompt in prompts if prompt.filled.num_removed]
        if shortened:
            names = dict.fromkeys(name for removed in shortened for name in removed)
            session.say(
                f"{task.name}, pattern {number}: texts shortened to the model's {limit} positions: "
                f"{len(shortened)} of {len(examples)} (in {', '.join(names)})"
            )


def _line(task: ClozeTask, example: TaskExample, prediction: Prediction) -> dict[str, Any]:
    return {
        "task": task.name,
        "place": example.place,
        **({"lang": example.language} if example.language else {}),
        "group": example.group or None,
        "prediction": prediction.label,
        "labels": [right_label(task, example, answer) for answer in example.answers],
        "value": prediction.value,
        "right_value": example.value,
        "probabilities": prediction.probabilities,
    }
