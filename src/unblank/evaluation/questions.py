"""Questions about passages, answered by any model that writes, and scored language by language."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unblank.data.drawing import draw_from_files
from unblank.data.language_files import LanguageFile, find_language_files
from unblank.evaluation.language_means import language_means
from unblank.evaluation.language_split import in_languages
from unblank.evaluation.open_questions import answers_from_passages, names_answer
from unblank.evaluation.passage_conditions import passage_conditions
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import QuestionSet
from unblank.evaluation.task_options import QuestionsOptions
from unblank.families.table import family_of_model
from unblank.generation.building import answer_setup
from unblank.generation.options import GenerationOptions
from unblank.generation.results import Generated
from unblank.generation.rows import Prompt
from unblank.generation.seq2seq import generate_from_ids
from unblank.metrics.questions import AnswerRules
from unblank.metrics.spread import mean_error
from unblank.questions.answers import (
    FoundAnswer,
    answer_line,
    answer_scores,
    best_answers,
    require_rules,
)
from unblank.questions.asked import AskedQuestion, WindowCounts, ask
from unblank.questions.asking import QuestionEncoder
from unblank.questions.extraction import window_prompts
from unblank.questions.reading import Question, read_questions
from unblank.retrieval.index import PassageIndex

__all__ = ["run_questions"]

_BLANK = "[sMASK]"
_USUAL_LENGTH = 512


def run_questions(
    session: Session[QuestionsOptions], sets: Mapping[str, QuestionSet]
) -> Iterator[SuiteResult]:
    """Yield the scores of each set, or of the user's own files, judged like the first set."""
    options = session.options
    if options.file:
        rules = next(iter(sets.values())).rules
        yield from _measure(session, "own files", rules, find_language_files(options.file))
        return
    globs = {name: part.files.replace("{lang}", "*") for name, part in sets.items()}
    for name, found in session.files(globs):
        files = in_languages(found, sets[name].files, options.languages)
        yield from _measure(session, name, sets[name].rules, files)


def _measure(
    session: Session[QuestionsOptions],
    name: str,
    rules: AnswerRules,
    files: Sequence[LanguageFile],
) -> Iterator[SuiteResult]:
    options = session.options
    every = [question for file in files for question in read_questions(file)]
    questions = draw_from_files(every, options.limit, lambda one: one.place)
    require_rules(questions, rules)
    details = {"files": [str(file.path) for file in files], "rules": rules}
    started = time.perf_counter()
    encoder = _encoder(session)
    if options.retrieve is None:
        asked = ask(questions, encoder, _room(session), show_progress=True)
        session.say(f"{name}: {WindowCounts.of(asked)}")
        answers = _answers(session, asked, encoder)
        yield _result(name, questions, answers, time.perf_counter() - started, details)
        return
    index = PassageIndex(Path(options.retrieve))
    queries = [question.text for question in questions]
    for condition in passage_conditions(index, options.top, queries):
        answers = answers_from_passages(
            questions,
            condition.passages,
            encoder,
            _room(session),
            lambda inputs: _written(session, [encoder.prompt(ids) for ids in inputs]),
        )
        hits = [names_answer(*pair) for pair in zip(questions, condition.passages, strict=True)]
        seconds = time.perf_counter() - started
        title = f"{name}{condition.title or ' without passages'}"
        yield _result(title, questions, answers, seconds, details, hits)


def _result(
    name: str,
    questions: Sequence[Question],
    answers: Sequence[FoundAnswer],
    seconds: float,
    details: dict[str, Any],
    hits: Sequence[bool] | None = None,
) -> SuiteResult:
    """Return the scores of answers.

    Args:
        name: of the questions.
        questions: at least one.
        answers: one for each.
        seconds: that they took.
        details: files and rules.
        hits: whether the right answer stands in the passages of each; None for its own passage.
    """
    rows: dict[str, list[Score]] = {}
    for language in dict.fromkeys(one.language for one in questions):
        numbers = [n for n, one in enumerate(questions) if one.language == language]
        pairs = [(questions[n], answers[n]) for n in numbers]
        own = None if hits is None else [hits[n] for n in numbers]
        rows[language] = _rows(name, pairs, details["rules"], seconds, own)
    scores = [row for of_language in rows.values() for row in of_language]
    if len(rows) > 1:
        scores += language_means(name, rows, seconds, details)
    lines = [
        {"task": name, **answer_line(*pair, details["rules"])}
        for pair in zip(questions, answers, strict=True)
    ]
    return SuiteResult(scores, lines)


def _encoder(session: Session[QuestionsOptions]) -> QuestionEncoder:
    family = family_of_model(session.model)
    blank = (session.options.blank or _BLANK) if family.writes == "blanks" else ""
    tokenizer = session.tokenizer
    return QuestionEncoder(tokenizer, family.special_ids(tokenizer), session.options.prompts, blank)


def _room(session: Session[QuestionsOptions]) -> int:
    options, positions = session.options, session.num_positions
    if options.max_source_length is not None and options.max_source_length > positions:
        raise ValueError(
            f"max_source_length is {options.max_source_length}, but the model has {positions} "
            "positions: lower it"
        )
    return options.max_source_length or min(positions, _USUAL_LENGTH)


def _generation(options: QuestionsOptions) -> GenerationOptions:
    return GenerationOptions(
        num_beams=options.num_beams, max_tokens=options.max_tokens, min_tokens=1
    )


def _written(session: Session[QuestionsOptions], prompts: Sequence[Prompt]) -> list[Generated]:
    """Return an answer to each input."""
    return generate_from_ids(
        session.model,
        session.tokenizer,
        prompts,
        _generation(session.options),
        batch_size=session.options.batch_size,
        show_progress=True,
    )


def _answers(
    session: Session[QuestionsOptions], asked: Sequence[AskedQuestion], encoder: QuestionEncoder
) -> list[FoundAnswer]:
    options, within = session.options, None
    if options.extract:
        within = answer_setup(session.model, session.tokenizer, _generation(options)).rules
    written = _written(session, window_prompts(asked, encoder, within))
    num_windows = [len(one.windows) for one in asked]
    return best_answers([one.question for one in asked], num_windows, written)


def _rows(
    name: str,
    pairs: Sequence[tuple[Question, FoundAnswer]],
    rules: AnswerRules,
    seconds: float,
    hits: Sequence[bool] | None,
) -> list[Score]:
    lines = [answer_scores(*pair, rules) for pair in pairs]
    if hits is not None:
        for line, is_hit in zip(lines, hits, strict=True):
            line["answer_in_passages"] = 100.0 * is_hit
    return [
        Score(
            task=name,
            metric=metric,
            value=sum(line[metric] for line in lines) / len(lines),
            count=len(lines),
            standard_error=mean_error([line[metric] for line in lines]),
            seconds=seconds,
            language=pairs[0][0].language,
            details={"rules": rules},
        )
        for metric in lines[0]
    ]
