"""From a suite to what measures it."""

from collections.abc import Iterator
from typing import Any

from unblank.evaluation.facts import run_facts
from unblank.evaluation.infilling import run_infilling
from unblank.evaluation.lambada import run_lambada
from unblank.evaluation.minimal_pairs import run_minimal_pairs
from unblank.evaluation.perplexity import run_perplexity
from unblank.evaluation.questions import run_questions
from unblank.evaluation.results import SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.several_suites import run_several
from unblank.evaluation.suites import (
    FactsSuite,
    InfillingSuite,
    LanguageSuite,
    OwnFilesSuite,
    PairsSuite,
    QuestionsSuite,
    SeveralSuites,
    Suite,
    TaskSuite,
    TranslationSuite,
    WritingSuite,
)
from unblank.evaluation.translation import run_translation
from unblank.evaluation.understanding import run_classifier, run_cloze, run_understanding
from unblank.evaluation.writing import run_writing

__all__ = ["measure"]


def measure(session: Session[Any], suite: Suite) -> Iterator[SuiteResult]:
    """Yield what is measured, part by part.

    Raises:
        ValueError: an option, a file or a model that does not fit.
        FileNotFoundError: data that is not there.
        ImportError: a package of the extra `eval` is missing.
    """
    match suite:
        case LanguageSuite():
            run = run_perplexity if suite.measure == "perplexity" else run_lambada
            yield from run(session, suite.sets)
        case InfillingSuite():
            yield from run_infilling(session, suite)
        case PairsSuite():
            yield from run_minimal_pairs(session, suite.sets)
        case FactsSuite():
            yield from run_facts(session, suite.sets)
        case TaskSuite():
            yield from run_understanding(session, suite)
        case QuestionsSuite():
            yield from run_questions(session, suite.sets)
        case SeveralSuites():
            yield from run_several(session, suite)
        case WritingSuite():
            yield from run_writing(session, suite.sets)
        case TranslationSuite():
            yield from run_translation(session, suite)
        case OwnFilesSuite(measure="cloze"):
            yield from run_cloze(session)
        case OwnFilesSuite(measure="classifier"):
            yield from run_classifier(session)
        case _:
            from unblank.evaluation.lm_harness import run_lm_eval  # slow: only when asked for

            yield from run_lm_eval(session)
