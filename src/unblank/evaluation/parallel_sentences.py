"""The same sentences in several languages, of three layouts, and the directions of translation.

`fields`: a record has a field a language, named by its code. `pairs`: a record has `text`, its
language in `lang`, and `eng`. `verses`: a table a language without a header, key and text; what has
the same key is the same.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from unblank.data.fields import field_text, is_visible
from unblank.data.language_files import LANGUAGE_FIELD, LanguageFile, language_of_record
from unblank.data.language_sources import code_or_nothing
from unblank.data.records import read_records
from unblank.evaluation.suites import ParallelLayout
from unblank.languages.directions import ANY_LANGUAGE, Direction, find_direction

__all__ = ["ParallelSentence", "directions_of", "read_parallel_sentences"]


@dataclass(frozen=True, slots=True)
class ParallelSentence:
    """A sentence.

    Attributes:
        place: file and line, or the key of a verse.
        texts: code of a language -> the sentence in it; what is empty is left out.
    """

    place: str
    texts: Mapping[str, str]


def read_parallel_sentences(
    files: Sequence[LanguageFile], layout: ParallelLayout
) -> list[ParallelSentence]:
    """Return the sentences of some files, in their order.

    Raises:
        ValueError: no sentence at all, a record that does not have the layout, a language of no
            code, or a key that occurs twice in a file; the message names file and line.
    """
    sentences = list(_READERS[layout](files))
    if not sentences:
        raise ValueError(f"no sentence in {', '.join(str(file.path) for file in files)}")
    return sentences


def directions_of(
    sentences: Sequence[ParallelSentence], asked: Sequence[str], name: str
) -> list[Direction]:
    """Return the directions that are asked for and that some sentence allows, each once.

    Args:
        sentences: of one set.
        asked: `SOURCE-TARGET`, with codes of any form, or `*` for every language.
        name: of the set, for messages.

    Raises:
        ValueError: something that is no direction, or one without `*` that no sentence allows.
    """
    there = dict.fromkeys(
        Direction(source, target)
        for codes in dict.fromkeys(tuple(one.texts) for one in sentences)
        for source in codes
        for target in codes
        if source != target
    )
    found: dict[Direction, None] = {}
    for one in asked:
        wanted = find_direction(one)
        fits = [
            direction
            for direction in there
            if wanted.source in (ANY_LANGUAGE, direction.source)
            and wanted.target in (ANY_LANGUAGE, direction.target)
        ]
        if not fits:
            languages = sorted({code for direction in there for code in (direction.source,)})
            raise ValueError(
                f"{name} has no sentence to translate {one}: its languages are "
                f"{', '.join(languages) or 'none'}"
            )
        found |= dict.fromkeys(fits)
    return list(found)


def _by_fields(files: Sequence[LanguageFile]) -> Iterator[ParallelSentence]:
    for file in files:
        for place, record in read_records(file.path):
            texts = {
                code: text.strip()
                for name, text in record.items()
                if isinstance(text, str) and is_visible(text) and (code := code_or_nothing(name))
            }
            if len(texts) < 2:
                raise ValueError(
                    f"{place}: fewer than two fields are named by codes of languages, among "
                    f"{', '.join(record)}"
                )
            yield ParallelSentence(place, texts)


def _by_pairs(files: Sequence[LanguageFile]) -> Iterator[ParallelSentence]:
    for file in files:
        for place, record in read_records(file.path):
            try:
                code = language_of_record(record.get(LANGUAGE_FIELD), "")
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
            if not code:
                raise ValueError(f"{place}: field {LANGUAGE_FIELD!r} is missing")
            texts = {
                code: field_text(place, record, "text"),
                "en": field_text(place, record, "eng"),
            }
            if empty := [name for name, text in texts.items() if not is_visible(text)]:
                raise ValueError(f"{place}: no text in {' and '.join(empty)}: remove the record")
            yield ParallelSentence(place, {name: text.strip() for name, text in texts.items()})


def _by_verses(files: Sequence[LanguageFile]) -> Iterator[ParallelSentence]:
    verses: dict[str, dict[str, str]] = {}
    for file in files:
        for place, record in read_records(file.path, ("1", "2")):
            key, text = (field_text(place, record, column) for column in ("1", "2"))
            texts = verses.setdefault(key, {})
            if file.language in texts:
                raise ValueError(f"{place}: the key {key!r} occurs twice in {file.language}")
            if is_visible(text):
                texts[file.language] = text.strip()
    for key, texts in verses.items():
        yield ParallelSentence(key, texts)


_READERS: dict[ParallelLayout, Callable[[Sequence[LanguageFile]], Iterator[ParallelSentence]]] = {
    "fields": _by_fields,
    "pairs": _by_pairs,
    "verses": _by_verses,
}
