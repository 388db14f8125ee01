"""Sources and references of the command `generate`, read whole before anything is written."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unblank.commands.generate import GenerateSettings
from unblank.data.fields import field_names, field_text, field_value
from unblank.data.records import Record, find_record_files, is_text, read_records

__all__ = ["Job", "read_job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be answered.

    Attributes:
        sources: the texts, in order; empty ones get an empty answer.
        references: for each source its references, at least one: if none holds text, an empty one;
            None if answers are not scored.
        places: where each source stands, for messages: file and line, or its number.
    """

    sources: list[str]
    references: list[list[str]] | None
    places: list[str]


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
    if settings.input is None:
        if settings.text in ((), ("-",)):
            sources = [line.rstrip("\r\n") for line in sys.stdin]
        else:
            sources = list(settings.text)
        references = [[] for _ in sources]
        places = [f"source {number}" for number, _ in enumerate(sources, start=1)]
    else:
        template = settings.source or _default_field(settings.input)
        names = [*field_names(template), *fields_of_references]
        for place, record in _records(settings.input, names):
            sources.append(field_text(place, record, template))
            references.append(_references(place, record, fields_of_references))
            places.append(place)
    if not any(source.strip() for source in sources):
        raise ValueError("no source: give a text, --input FILE, or lines on standard input")
    for path in files:
        _add_lines(path, references)
    is_scored = bool(settings.references)
    return Job(sources, list(map(_without_empty, references)) if is_scored else None, places)


def _default_field(path: Path) -> str:
    return "text" if is_text(path) else "source"


def _records(path: Path, names: Sequence[str]) -> Iterator[Record]:
    for file in find_record_files(path, is_text_allowed=True):
        yield from read_records(file, has_header=not all(name.isdecimal() for name in names))


def _references(place: str, record: dict[str, object], names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        value = field_value(place, record, name)
        found += [value] if isinstance(value, str) else value
    return found


def _without_empty(references: Sequence[str]) -> list[str]:
    """Return the references that hold text: files of several are filled with empty ones."""
    return [text for text in references if text.strip()] or [""]


def _add_lines(path: Path, references: list[list[str]]) -> None:
    lines = [field_text(place, record, "text") for place, record in _records(path, ["text"])]
    if len(lines) != len(references):
        raise ValueError(
            f"{path} has {len(lines):,} references for {len(references):,} sources: line n must be "
            "the reference of source n"
        )
    for answers, line in zip(references, lines, strict=True):
        answers.append(line)
