"""Which options each suite has."""

from typing import get_args

from unblank.evaluation.options import (
    EvaluationOptions,
    FactsOptions,
    InfillingOptions,
    LambadaOptions,
    LmEvalOptions,
    PairsOptions,
    PairsSuiteName,
    PerplexityOptions,
)
from unblank.evaluation.task_options import (
    ClassifierOptions,
    ClozeOptions,
    LanguagesOptions,
    LanguagesSuiteName,
    QuestionsOptions,
    QuestionsSuiteName,
    UnderstandingOptions,
    UnderstandingSuiteName,
    XtremeOptions,
)
from unblank.evaluation.writing_options import TranslationOptions, WritingOptions, WritingSuiteName
from unblank.near_names import did_you_mean

__all__ = ["SUITE_OPTIONS", "suite_options"]


SUITE_OPTIONS: dict[str, type[EvaluationOptions]] = {
    "perplexity": PerplexityOptions,
    "lambada": LambadaOptions,
    "infilling": InfillingOptions,
    **dict.fromkeys(get_args(PairsSuiteName), PairsOptions),
    "facts": FactsOptions,
    **dict.fromkeys(get_args(UnderstandingSuiteName), UnderstandingOptions),
    **dict.fromkeys(get_args(LanguagesSuiteName), LanguagesOptions),
    **dict.fromkeys(get_args(QuestionsSuiteName), QuestionsOptions),
    "xtreme": XtremeOptions,
    "cloze": ClozeOptions,
    "classifier": ClassifierOptions,
    "lm-eval": LmEvalOptions,
    **dict.fromkeys(get_args(WritingSuiteName), WritingOptions),
    "translation": TranslationOptions,
}
"""The options of each suite."""


def suite_options(name: str) -> type[EvaluationOptions]:
    """Return the dataclass of a suite's options.

    Raises:
        ValueError: there is no such suite.
    """
    if not isinstance(name, str) or name not in SUITE_OPTIONS:
        raise ValueError(
            f"suite is {name!r}: choose one of {', '.join(SUITE_OPTIONS)}"
            f"{did_you_mean(name, SUITE_OPTIONS)}"
        )
    return SUITE_OPTIONS[name]
