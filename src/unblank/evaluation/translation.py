"""Translation in every direction that is asked for, and how often the language is the wrong one."""

from collections.abc import Iterator, Sequence

from unblank.data.drawing import draw_from_files
from unblank.data.files import find_files
from unblank.data.language_files import LanguageFile
from unblank.evaluation.direction_means import direction_means
from unblank.evaluation.language_split import in_languages
from unblank.evaluation.parallel_sentences import (
    ParallelSentence,
    directions_of,
    read_parallel_sentences,
)
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import ParallelSet, TranslationSuite, WritingSet
from unblank.evaluation.writing import run_own_files
from unblank.evaluation.writing_options import TranslationOptions
from unblank.evaluation.written_answers import AskedText, AskedTexts, write_and_score
from unblank.languages import Direction
from unblank.metrics.language_identity import LanguageIdentifier, identifier_accuracy
from unblank.metrics.text import TextMetric
from unblank.plurals import counted

__all__ = ["run_translation"]


def run_translation(
    session: Session[TranslationOptions], suite: TranslationSuite
) -> Iterator[SuiteResult]:
    """Yield the scores of each direction of each set, or of the user's own files.

    Own files are read like the first set; if their fields are named, they are one direction.
    """
    options = session.options
    if options.source_field and options.target_field:
        source, targets = options.source_field, (options.target_field,)
        yield from run_own_files(
            session, WritingSet(files="", source=source, targets=targets, metrics=suite.metrics)
        )
        return
    if options.file:
        part = next(iter(suite.sets.values()))
        files = [LanguageFile(path) for path in find_files(options.file)]
        yield from _measure(session, "own files", part, files, suite.metrics)
        return
    globs = {name: part.files.replace("{lang}", "*") for name, part in suite.sets.items()}
    for name, found in session.files(globs):
        part = suite.sets[name]
        files = in_languages(found, part.files)
        yield from _measure(session, name, part, files, suite.metrics)


def _measure(
    session: Session[TranslationOptions],
    name: str,
    part: ParallelSet,
    files: Sequence[LanguageFile],
    metrics: tuple[TextMetric, ...],
) -> Iterator[SuiteResult]:
    sentences = read_parallel_sentences(files, part.layout)
    directions = directions_of(sentences, session.options.directions or part.directions, name)
    session.options.check_hints([one.target for one in directions])
    known = _texts(sentences, directions)
    accuracy = identifier_accuracy(known)
    identifier = LanguageIdentifier(known)
    judged = "" if accuracy is None else f"; languages are told apart in {accuracy:.1f} %"
    session.say(f"{name}: {counted(len(directions), 'direction')}{judged}")
    rows: dict[str, dict[Direction, list[Score]]] = {}
    for direction in directions:
        asked = _asked(session, name, direction, sentences, metrics)
        for result in write_and_score(session, asked, identifier):
            rows.setdefault(result.scores[0].task, {})[direction] = result.scores
            yield result
    for task, of_task in rows.items():
        yield SuiteResult(direction_means(task, of_task, {"identified": accuracy}), [])


def _texts(
    sentences: Sequence[ParallelSentence], directions: Sequence[Direction]
) -> dict[str, list[str]]:
    """Return the sentences of every language that takes part."""
    codes = dict.fromkeys(code for one in directions for code in (one.source, one.target))
    return {code: [one.texts[code] for one in sentences if code in one.texts] for code in codes}


def _asked(
    session: Session[TranslationOptions],
    name: str,
    direction: Direction,
    sentences: Sequence[ParallelSentence],
    metrics: tuple[TextMetric, ...],
) -> AskedTexts:
    source, target = direction.source, direction.target
    both = [one for one in sentences if source in one.texts and target in one.texts]
    drawn = draw_from_files(both, session.options.limit, lambda one: one.place)
    return AskedTexts(
        name=name,
        texts=[AskedText(one.texts[source], (one.texts[target],)) for one in drawn],
        metrics=metrics,
        source_language=source,
        target_language=target,
        row=str(direction),
    )
