"""Sources and references of the command `generate`, read whole before anything is written.

A source that is none has the reason among the problems, and keeps its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.answering.own_rules import rules_of_record
from unblank.commands.generate_settings import GenerateSettings
from unblank.commands.texts import given_texts
from unblank.data.fields import field_names, field_text, field_value, is_visible
from unblank.data.files import find_files
from unblank.data.records import Record, is_text, read_records
from unblank.rules.glossary import read_glossary
from unblank.rules.rule import Rule

__all__ = ["Job", "read_job", "require_some"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be answered.

    Attributes:
        sources: the texts, in order; empty ones get an empty answer.
        references: for each source its references, at least one: if none holds text, an empty one;
            None if answers are not scored.
        places: where each source stands, for messages: file and line, or its number.
        problems: number of a source from 0 -> why it is none.
        rules: on the answer to each source, those of the glossary included.
        terms: for each source the forms of its terms of the glossary; None without one.
    """

    sources: list[str]
    references: list[list[str]] | None
    places: list[str]
    problems: dict[int, str]
    rules: list[tuple[Rule, ...]]
    terms: list[list[str]] | None = None


def read_job(settings: GenerateSettings) -> Job:
    """Return the sources and references that the settings name.

    Raises:
        FileNotFoundError: if a file is not there.
        ValueError: a broken file, a missing field, files of different lengths, or no source; the
            message names file and line.
    """
    fields_of_references = [name for name in settings.references if not Path(name).is_file()]
    files = [Path(name) for name in settings.references if Path(name).is_file()]
    if fields_of_references and settings.input is None:
        raise ValueError(
            f"there is no file {fields_of_references[0]}: to name a field of references, give "
            "--input"
        )
    sources: list[str] = []
    references: list[list[str]] = []
    places: list[str] = []
    problems: dict[int, str] = {}
    rules: list[tuple[Rule, ...]] = []
    of_all = settings.given_rules()
    if settings.input is None:
        given = list(given_texts(settings.text))
        sources = [one.text for one in given]
        references = [[] for _ in sources]
        places = [one.where for one in given]
        problems = {number: one.problem for number, one in enumerate(given) if one.problem}
    else:
        usual = "text" if is_text(settings.input) else "source"
        template = settings.source_with_hints() or usual
        of_rules = [settings.rules_field] if settings.rules_field else []
        names = [*field_names(template), *fields_of_references, *of_rules]
        for place, record in _records(settings.input, names):
            try:
                source = field_text(place, record, template)
                own = rules_of_record(place, record, settings.rules_field)
            except ValueError as error:
                problems[len(sources)] = str(error).removeprefix(f"{place}: ")
                source, own = "", ()
            rules.append((*of_all, *own))
            sources.append(source)
            references.append(_references(place, record, fields_of_references))
            places.append(place)
        require_some(places, problems)
    if not any(map(is_visible, sources)):
        raise ValueError("no source: give a text, --input FILE, or lines on standard input")
    for path in files:
        _add_lines(path, references)
    is_scored = bool(settings.references)
    kept = list(map(_without_empty, references)) if is_scored else None
    rules = rules or [of_all] * len(sources)
    if settings.glossary is None:
        return Job(sources, kept, places, problems, rules)
    glossary = read_glossary(settings.glossary)
    terms = [glossary.translations(source) for source in sources]
    if settings.glossary_use != "hint":
        rules = [
            (*own, *glossary.rules_for(source)) for own, source in zip(rules, sources, strict=True)
        ]
    if settings.glossary_use != "rule":
        sources = [glossary.hinted(source) for source in sources]
    return Job(sources, kept, places, problems, rules, terms)


def require_some(places: Sequence[str], problems: Mapping[int, str]) -> None:
    """Raise ValueError with the first problem if there is no source without one."""
    if problems and len(problems) == len(places):
        first = min(problems)
        raise ValueError(f"{places[first]}: {problems[first]}")


def _records(path: Path, names: Sequence[str]) -> Iterator[Record]:
    for file in find_files(path, any_ending=True):
        yield from read_records(file, names)


def _references(place: str, record: dict[str, object], names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        value = field_value(place, record, name)
        found += [value] if isinstance(value, str) else value
    return found


def _without_empty(references: Sequence[str]) -> list[str]:
    """Return the references that hold text: files of several are filled with empty ones."""
    return [text for text in references if is_visible(text)] or [""]


def _add_lines(path: Path, references: list[list[str]]) -> None:
    lines = [field_text(place, record, "text") for place, record in _records(path, ["text"])]
    if len(lines) != len(references):
        raise ValueError(
            f"{path} has {len(lines):,} references for {len(references):,} sources: line n must be "
            "the reference of source n"
        )
    for answers, line in zip(references, lines, strict=True):
        answers.append(line)
