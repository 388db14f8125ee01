"""Questions about passages, answered by any model that writes, and scored language by language."""

import time
from collections.abc import Iterator, Mapping, Sequence

from unblank.data.drawing import draw_from_files
from unblank.data.language_files import LanguageFile, find_language_files
from unblank.evaluation.language_means import language_means
from unblank.evaluation.language_split import in_languages
from unblank.evaluation.options import QuestionsOptions
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import QuestionSet
from unblank.families.table import family_of_model
from unblank.generation.options import GenerationOptions
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
from unblank.questions.reading import Question, read_questions

__all__ = ["run_questions"]

_BLANK = "[sMASK]"
_USUAL_LENGTH = 512


def run_questions(
    session: Session[QuestionsOptions], sets: Mapping[str, QuestionSet]
) -> Iterator[SuiteResult]:
    """Yield the scores of each set, or of the user's own files, judged like the first set."""
    config = session.config
    if config.file:
        rules = next(iter(sets.values())).rules
        yield _measure(session, "own files", rules, find_language_files(config.file))
        return
    globs = {name: part.files.replace("{lang}", "*") for name, part in sets.items()}
    for name, found in session.files(globs):
        files = in_languages(found, sets[name].files, config.languages)
        yield _measure(session, name, sets[name].rules, files)


def _measure(
    session: Session[QuestionsOptions],
    name: str,
    rules: AnswerRules,
    files: Sequence[LanguageFile],
) -> SuiteResult:
    started = time.perf_counter()
    config = session.config
    every = [question for file in files for question in read_questions(file)]
    questions = draw_from_files(every, config.limit, lambda one: one.place)
    require_rules(questions, rules)
    asked = _asked(session, questions)
    session.say(f"{name}: {WindowCounts.of(asked)}")
    answers = _answers(session, asked)
    seconds = time.perf_counter() - started
    details = {"files": [str(file.path) for file in files], "rules": rules}
    rows: dict[str, list[Score]] = {}
    for language in dict.fromkeys(one.language for one in questions):
        pairs = [
            pair for pair in zip(questions, answers, strict=True) if pair[0].language == language
        ]
        rows[language] = _rows(name, pairs, rules, seconds)
    scores = [row for of_language in rows.values() for row in of_language]
    if len(rows) > 1:
        scores += language_means(name, rows, seconds, details)
    lines = [
        {"task": name, **answer_line(*pair, rules)} for pair in zip(questions, answers, strict=True)
    ]
    return SuiteResult(scores, lines)


def _encoder(session: Session[QuestionsOptions]) -> QuestionEncoder:
    family = family_of_model(session.model)
    blank = (session.config.blank or _BLANK) if family.writes == "blanks" else ""
    tokenizer = session.tokenizer
    return QuestionEncoder(tokenizer, family.special_ids(tokenizer), session.config.prompts, blank)


def _asked(
    session: Session[QuestionsOptions], questions: Sequence[Question]
) -> list[AskedQuestion]:
    config, positions = session.config, session.num_positions
    if config.max_source_length is not None and config.max_source_length > positions:
        raise ValueError(
            f"max_source_length is {config.max_source_length}, but the model has {positions} "
            "positions: lower it"
        )
    room = config.max_source_length or min(positions, _USUAL_LENGTH)
    return ask(questions, _encoder(session), room, show_progress=True)


def _answers(
    session: Session[QuestionsOptions], asked: Sequence[AskedQuestion]
) -> list[FoundAnswer]:
    config, encoder = session.config, _encoder(session)
    written = generate_from_ids(
        session.model,
        session.tokenizer,
        [encoder.prompt(window.token_ids) for one in asked for window in one.windows],
        GenerationOptions(num_beams=config.num_beams, max_tokens=config.max_tokens, min_tokens=1),
        batch_size=config.batch_size,
        show_progress=True,
    )
    num_windows = [len(one.windows) for one in asked]
    return best_answers([one.question for one in asked], num_windows, written)


def _rows(
    name: str,
    pairs: Sequence[tuple[Question, FoundAnswer]],
    rules: AnswerRules,
    seconds: float,
) -> list[Score]:
    lines = [answer_scores(*pair, rules) for pair in pairs]
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
