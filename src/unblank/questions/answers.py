"""Answers to held-out questions: the best one over the windows of a passage, and its scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Self

from unblank.generation.results import Generated
from unblank.languages import find_language, share_in_script
from unblank.metrics.by_language import LanguageScores, score_by_language
from unblank.metrics.questions import (
    MLQA_LANGUAGES,
    AnswerRules,
    answer_f1,
    answer_is_exact,
    character_f1,
)
from unblank.questions.reading import Question
from unblank.questions.spans import find_in_context

__all__ = [
    "FoundAnswer",
    "answer_line",
    "answer_scores",
    "best_answers",
    "named_scores",
    "question_scores",
    "require_rules",
]

_ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class FoundAnswer:
    """What a model answered.

    Attributes:
        text: what is scored: the passage's own text, if the answer stands in it.
        written: what the model wrote.
        log_probability: of it, with its end.
        is_in_context: whether it stands in the passage.
    """

    text: str
    written: str
    log_probability: float
    is_in_context: bool

    @classmethod
    def of(cls, written: str, log_probability: float, context: str) -> Self:
        """Return what a model wrote, looked up in the passage.

        Example:
            >>> FoundAnswer.of("a1 ,5", -1.0, "It was A1,5 long.").text
            'A1,5'
        """
        span = find_in_context(written, context)
        text = written if span is None else context[slice(*span)]
        return cls(text, written, log_probability, span is not None)


def best_answers(
    questions: Sequence[Question], num_windows: Sequence[int], written: Sequence[Generated]
) -> list[FoundAnswer]:
    """Return the most probable answer to each question, of all windows of its passage.

    Args:
        questions: some questions.
        num_windows: of each.
        written: the answers in all windows, one question after another.
    """
    found = []
    start = 0
    for question, count in zip(questions, num_windows, strict=True):
        best = max(written[start : start + count], key=lambda one: one.log_probability)
        start += count
        found.append(FoundAnswer.of(best.text, best.log_probability, question.context))
    return found


def require_rules(questions: Sequence[Question], rules: AnswerRules) -> None:
    """Check that the rules know the languages of all questions.

    Raises:
        ValueError: naming the first whose language they do not know.
    """
    for question in questions:
        if rules == "mlqa" and _base(question) not in MLQA_LANGUAGES:
            raise ValueError(
                f"{question.place}: MLQA has no rules for {question.language or 'no language'!r}, "
                f"only for {', '.join(MLQA_LANGUAGES)}: name the language of each file "
                "(docs/multilingual.md), or choose qa.rules squad"
            )


def question_scores(
    questions: Sequence[Question], answers: Sequence[FoundAnswer], rules: AnswerRules
) -> LanguageScores:
    """Return F1 and exact match by official rules, and our own scores, language by language.

    Args:
        questions: with their right answers, at least one.
        answers: one for each.
        rules: whose.

    Returns:
        In percent: `f1`, `em`, `char_f1` (of characters), `in_context` (answers that stand in
        their passage), `other_script` (answers that do not, mostly in another script than the
        language has: accidental translation).
    """
    lines = [answer_scores(*pair, rules) for pair in zip(questions, answers, strict=True)]

    def means(some: list[int]) -> dict[str, float]:
        return {name: fmean(lines[index][name] for index in some) for name in lines[0]}

    return score_by_language([question.language for question in questions], means)


def answer_scores(question: Question, answer: FoundAnswer, rules: AnswerRules) -> dict[str, float]:
    """Return the scores of one answer; see `question_scores`."""
    right = [one.text for one in question.answers]
    language = _base(question)
    return {
        "f1": answer_f1(answer.text, right, rules, language),
        "em": answer_is_exact(answer.text, right, rules, language),
        "char_f1": character_f1(answer.text, right),
        "in_context": 100.0 * answer.is_in_context,
        "other_script": 100.0 * _is_in_other_script(question, answer),
    }


def named_scores(scores: LanguageScores) -> dict[str, float]:
    """Return all scores by name; also the means without English, as TyDiQA's README has them."""
    named = scores.named(("f1", "em", "char_f1"))
    others = [values for code, values in scores.by_language.items() if code != _ENGLISH]
    if others and len(others) < len(scores.by_language):
        for name in ("f1", "em"):
            named[f"{name} without en"] = fmean(values[name] for values in others)
    return named


def answer_line(question: Question, answer: FoundAnswer, rules: AnswerRules) -> dict[str, Any]:
    """Return a line for the predictions file."""
    scores = answer_scores(question, answer, rules)
    return {
        "question": question.text,
        "prediction": answer.text,
        "right": [one.text for one in question.answers],
        "written": answer.written,
        "log_probability": round(answer.log_probability, 4),
        "f1": round(scores["f1"], 2),
        "em": scores["em"],
        "id": question.name,
        "place": question.place,
        **({"lang": question.language} if question.language else {}),
    }


def _base(question: Question) -> str:
    return find_language(question.language).base if question.language else ""


def _is_in_other_script(question: Question, answer: FoundAnswer) -> bool:
    if not question.language or answer.is_in_context:
        return False
    share = share_in_script(answer.written, find_language(question.language).script)
    return share is not None and share < 0.5
