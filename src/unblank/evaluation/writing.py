"""Tasks in which the model writes a text to a source: summaries, questions, headlines and more.

Which files, fields and scores is data (`suites`); the answers are written and scored in
`unblank.evaluation.written_answers`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

from unblank.data.drawing import draw_from_files
from unblank.data.fields import (
    field_names,
    field_text,
    field_value,
    has_field,
    require_text,
)
from unblank.data.files import find_files
from unblank.data.records import read_records
from unblank.evaluation.language_means import language_means
from unblank.evaluation.results import Score, SuiteResult
from unblank.evaluation.session import Session
from unblank.evaluation.suites import WritingSet
from unblank.evaluation.writing_options import WritingOptions
from unblank.evaluation.written_answers import AskedText, AskedTexts, write_and_score
from unblank.metrics.language_identity import LanguageIdentifier

__all__ = ["run_own_files", "run_writing"]


def run_writing(
    session: Session[WritingOptions], sets: Mapping[str, WritingSet]
) -> Iterator[SuiteResult]:
    """Yield the scores of each set, or of the user's own files, judged like the first set.

    Sets of several languages have a row each and their means with equal weight, and how many
    answers are in another of these languages.
    """
    options = session.options
    if options.file:
        yield from run_own_files(session, next(iter(sets.values())))
        return
    found = dict(session.files({name: part.files for name, part in sets.items()}))
    asked = {name: _read(session, name, sets[name], files) for name, files in found.items()}
    options.check_hints([texts.target_language for texts in asked.values()])
    identifier = _identifier(list(asked.values()))
    rows: dict[str, dict[str, list[Score]]] = {}
    for texts in asked.values():
        own = identifier if texts.target_language else None
        for result in write_and_score(session, texts, own):
            rows.setdefault(result.scores[0].task, {})[texts.target_language] = result.scores
            yield result
    for task, by_language in rows.items():
        if len(by_language) > 1:
            yield SuiteResult(language_means(task, by_language), [])


def run_own_files(session: Session[WritingOptions], part: WritingSet) -> Iterator[SuiteResult]:
    """Yield the scores of the user's own files, read and judged like a set."""
    files = find_files(session.options.file)
    yield from write_and_score(
        session, _read(session, "own files", replace(part, language="", group=""), files), None
    )


def _identifier(every: Sequence[AskedTexts]) -> LanguageIdentifier | None:
    """Return what tells the languages of some sets apart; None if there are not several."""
    known: dict[str, list[str]] = {}
    for texts in every:
        if texts.target_language:
            references = [reference for one in texts.texts for reference in one.references]
            known.setdefault(texts.target_language, []).extend(references)
    return LanguageIdentifier(known) if len(known) > 1 else None


def _read(
    session: Session[WritingOptions], name: str, part: WritingSet, files: Sequence[Path]
) -> AskedTexts:
    placed = draw_from_files(
        list(_pairs(session, part, files)), session.options.limit, itemgetter(0)
    )
    return AskedTexts(
        name=part.group or name,
        texts=[AskedText(source, tuple(references)) for _, source, references in placed],
        metrics=part.metrics,
        target_language=part.language,
        row=part.language,
    )


def _pairs(
    session: Session[WritingOptions], part: WritingSet, files: Sequence[Path]
) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the place of each source, the source, and its references."""
    options = session.options
    source = options.source_field or part.source
    targets = (options.target_field,) if options.target_field else part.targets
    more_targets = () if options.target_field else part.more_targets
    for path in files:
        for place, record in read_records(path, _given_names(options)):
            text = field_text(place, record, source)
            require_text(text, f"{place}: the source ({source!r})")
            first = next((name for name in targets if has_field(record, name)), targets[0])
            references = []
            for target in (first, *(name for name in more_targets if has_field(record, name))):
                value = field_value(place, record, target)
                found = value if isinstance(value, list) else [value]
                require_text(" ".join(found), f"{place}: the target ({target!r})")
                references += [reference.strip() for reference in found]
            yield place, text.strip(), references


def _given_names(options: WritingOptions) -> list[str]:
    """Return the fields that are named: if all are numbers, tables have no header."""
    source = field_names(options.source_field) if options.source_field else []
    return [*source, options.target_field] if options.target_field else []
