"""Facts that a model knows: how high it ranks the object among candidates, and what it writes.

A fact is a sentence with a blank for its object (LAMA, Petroni et al. 2019; X-FACTR in many
languages, Jiang et al. 2020). Candidates are the objects of all facts of the relation; equally
likely ones stand in random order. All means are over facts, then over relations.
"""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor

from unblank.data.language_files import LanguageFile
from unblank.data.splits import find_split
from unblank.evaluation.fact_files import Fact, read_facts, read_relations
from unblank.evaluation.fact_questions import AskedFact, ask_facts, score_facts, write_facts
from unblank.evaluation.language_means import language_means
from unblank.evaluation.language_split import UnknownLanguageError, in_languages
from unblank.evaluation.options import FactsOptions
from unblank.evaluation.passage_conditions import Condition, holds_words, passage_conditions
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import FactSet
from unblank.languages import find_language
from unblank.metrics.agreement import agreement_of_languages
from unblank.metrics.ranking import places_of, precision_at, reciprocal_rank
from unblank.metrics.spread import mean_and_error, mean_error
from unblank.metrics.words import split_words
from unblank.plurals import counted
from unblank.retrieval.index import PassageIndex

__all__ = ["run_facts"]

_MANY_TOKENS = 3
"""Objects of this many tokens and more are counted together."""


@dataclass(frozen=True, slots=True)
class _Result:
    """What is found out about a fact.

    Attributes:
        asked: the fact.
        prediction: which of its candidates is the likeliest.
        points: metric -> percent.
        written: what the model writes; None if it does not.
    """

    asked: AskedFact
    prediction: int
    points: Mapping[str, float]
    written: str | None


def run_facts(session: Session[FactsOptions], sets: Mapping[str, FactSet]) -> Iterator[SuiteResult]:
    """Yield the scores on the facts of each set, with and without passages.

    Raises:
        ValueError: a file, a fact, an index or a layout that does not fit, the message names it; or
            no set is in a language that is wanted.
        FileNotFoundError: data or an index that is not there.
        ImportError: an index is given, and the extra `retrieval` is missing.
    """
    options = session.options
    if options.layout != "blank":
        session.say(f"the model writes no answers of its own in the layout {options.layout}")
    globs = {name: part.files.replace("{lang}", "*") for name, part in sets.items()}
    is_any = False
    for name, paths in session.files(globs):
        files = _in_languages(session, name, sets[name], paths)
        facts = {file.language: _read(session, name, sets[name], file) for file in files}
        if facts:
            is_any = True
            yield from _measure(session, name, facts)
    if not is_any:
        raise UnknownLanguageError(f"no facts are in {', '.join(options.languages)}")


def _in_languages(
    session: Session[FactsOptions], name: str, part: FactSet, paths: Sequence[Any]
) -> list[LanguageFile]:
    wanted = session.options.languages
    if "{lang}" in part.files:
        return in_languages(paths, part.files, wanted)
    if wanted and part.language not in {find_language(code).code for code in wanted}:
        session.say(f"left out {name}: it is in {part.language or 'an unknown language'}")
        return []
    return [LanguageFile(path, part.language) for path in paths]


def _read(
    session: Session[FactsOptions], name: str, part: FactSet, file: LanguageFile
) -> list[Fact]:
    paths = find_split(session.data_folder(), part.relations, session.options.split)
    relations = read_relations(paths, file.language)
    facts, left_out = read_facts(part, file, relations, session.options.limit)
    for reason in left_out:
        session.say(f"{name} {file.language}: left out {reason}")
    return facts


def _measure(
    session: Session[FactsOptions], name: str, facts: Mapping[str, Sequence[Fact]]
) -> Iterator[SuiteResult]:
    """Yield the scores of a set under each condition."""
    options = session.options
    index = None if options.retrieve is None else PassageIndex(Path(options.retrieve))
    of_conditions: dict[str, dict[str, Condition]] = defaultdict(dict)
    for language, of_language in facts.items():
        queries = [fact.text for fact in of_language]
        for condition in passage_conditions(index, options.top, queries):
            of_conditions[condition.title][language] = condition
    for title, of_languages in of_conditions.items():
        started = time.perf_counter()
        results = {
            language: _answer(session, f"{name}{title} {language}".strip(), facts[language], one)
            for language, one in of_languages.items()
        }
        seconds = time.perf_counter() - started
        scores = _scores(f"{name}{title}", results, seconds)
        if len(facts) == 1:
            scores = [*_of_relations(title, results, seconds), *scores]
        lines = [
            _line(name, title, language, one) for language in results for one in results[language]
        ]
        yield SuiteResult(scores, lines)


def _answer(
    session: Session[FactsOptions], name: str, facts: Sequence[Fact], condition: Condition
) -> list[_Result]:
    """Return what the model says about facts of a language."""
    asked = ask_facts(session, name, facts, condition.passages)
    scores = score_facts(session, name, asked)
    written: Sequence[str | None] = [None] * len(asked)
    if session.options.layout == "blank":
        written = write_facts(session, asked)
    results = []
    for one, scores_C, text in zip(asked, scores, written, strict=True):
        points = _ranking(one, scores_C)
        if text is not None:
            points["written"] = 100.0 * _is_named(one.fact, text)
        points["most frequent object"] = 100.0 * (one.right == 0)
        if condition.title:
            points |= _help(one)
        prediction = one.slots.index(int(scores_C.argmax()))
        results.append(_Result(one, prediction, points, text))
    return results


def _ranking(asked: AskedFact, scores_C: Tensor) -> dict[str, float]:
    of_candidates = [float(scores_C[slot]) for slot in asked.slots]
    places = places_of(of_candidates, asked.right)
    return {
        "P@1": 100.0 * precision_at(1, *places),
        "P@5": 100.0 * precision_at(5, *places),
        "MRR": 100.0 * reciprocal_rank(*places),
    }


def _is_named(fact: Fact, text: str) -> bool:
    """Whether a text is a name of the object, word by word and without case."""
    return split_words(text) in [split_words(name) for name in (fact.answer, *fact.aliases)]


def _help(asked: AskedFact) -> dict[str, float]:
    """Return whether a passage names the object, and whether one holds the very statement."""
    fact = asked.fact
    passages = [split_words(one.text) for one in asked.passages]
    names = [words for name in (fact.answer, *fact.aliases) if (words := split_words(name))]
    statement = split_words(fact.statement)
    is_hit = any(holds_words(words, passage) for words in names for passage in passages)
    is_leaked = any(holds_words(statement, passage) for passage in passages)
    return {"object in a passage": 100.0 * is_hit, "sentence in a passage": 100.0 * is_leaked}


def _scores(task: str, results: Mapping[str, Sequence[_Result]], seconds: float) -> list[Score]:
    """Return the rows of a set: all facts, by tokens of the object, agreement of languages."""
    scores = _of_languages(task, results, seconds)
    for number in range(1, _MANY_TOKENS + 1):
        some: dict[str, list[_Result]] = defaultdict(list)
        for language, of_language in results.items():
            for one in of_language:
                if min(one.asked.num_tokens, _MANY_TOKENS) == number:
                    some[language].append(one)
        if some:
            more = " or more" if number == _MANY_TOKENS else ""
            title = f"{task}, objects of {counted(number, 'token')}{more}"
            scores += _of_languages(title, some, seconds)
    answers = {
        language: {one.asked.fact.key: one.asked.fact.ids[one.prediction] for one in of_language}
        for language, of_language in results.items()
    }
    agreement = {
        language: [
            Score(
                task=task,
                metric="agreement",
                value=100.0 * share,
                count=count,
                seconds=seconds,
                language=language,
            )
        ]
        for language, (share, count) in agreement_of_languages(answers).items()
    }
    if agreement:
        scores += [row for rows in agreement.values() for row in rows]
        means = language_means(task, agreement, seconds)
        scores += [row for row in means if row.language == "mean"]
    return scores


def _of_languages(
    task: str, results: Mapping[str, Sequence[_Result]], seconds: float
) -> list[Score]:
    """Return the means over relations, a row for each language, and their means."""
    rows = {
        language: [replace(row, language=language) for row in _rows(task, of_language, seconds)]
        for language, of_language in results.items()
    }
    scores = [row for of_language in rows.values() for row in of_language]
    return scores + (language_means(task, rows, seconds) if len(rows) > 1 else [])


def _of_relations(
    title: str, results: Mapping[str, Sequence[_Result]], seconds: float
) -> list[Score]:
    """Return the rows of each relation; there is one language."""
    scores = []
    for language, of_language in results.items():
        for relation, some in _by_relation(of_language).items():
            rows = _rows(f"{relation}{title}", some, seconds)
            scores += [replace(row, language=language) for row in rows]
    return scores


def _by_relation(results: Sequence[_Result]) -> dict[str, list[_Result]]:
    groups: dict[str, list[_Result]] = defaultdict(list)
    for one in results:
        groups[one.asked.fact.relation].append(one)
    return groups


def _rows(task: str, results: Sequence[_Result], seconds: float) -> list[Score]:
    """Return for each metric the mean over relations of the mean over facts."""
    groups = _by_relation(results).values()
    return [
        _row(task, metric, [[one.points[metric] for one in group] for group in groups], seconds)
        for metric in results[0].points
    ]


def _row(task: str, metric: str, relations: Sequence[Sequence[float]], seconds: float) -> Score:
    value, error = mean_and_error([(fmean(one), mean_error(one)) for one in relations])
    return Score(
        task=task,
        metric=metric,
        value=value,
        count=sum(map(len, relations)),
        standard_error=error,
        seconds=seconds,
        details={"relations": len(relations)},
    )


def _line(name: str, title: str, language: str, result: _Result) -> dict[str, Any]:
    fact = result.asked.fact
    line = {
        "task": f"{name}{title}",
        "relation": fact.relation,
        "language": language,
        "place": fact.place,
        "text": fact.text,
        "answer": fact.answer,
        "tokens": result.asked.num_tokens,
        "prediction": fact.candidates[result.prediction],
        "points": dict(result.points),
        "written": result.written,
    }
    if title:
        line["passages"] = [one.text for one in result.asked.passages]
    return line
