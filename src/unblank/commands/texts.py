"""The texts of a command: its arguments, or the lines of standard input; and results as JSON.

Every text has one answer in its place, so that line n of the output belongs to line n of the input:
one that cannot be used is answered with the reason.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unblank.answering.answer_file import require_free
from unblank.answering.given import read_given
from unblank.commands.shared_settings import FileSettings
from unblank.data.encodings import advise_on_line
from unblank.data.fields import field_text
from unblank.data.lines import decode_line
from unblank.data.written_records import require_writable
from unblank.plurals import counted
from unblank.terminal_text import print_message, print_result

if TYPE_CHECKING:
    from unblank.consoles import TextConsole
    from unblank.retrieval.retriever import Retriever

__all__ = [
    "GivenText",
    "Refused",
    "each_text",
    "given_texts",
    "print_json",
    "print_refused",
    "raise_any",
    "raise_refused",
    "refusals_said",
    "require_files",
    "texts_of",
    "with_report_at_end",
]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class GivenText:
    """A text of the user.

    Attributes:
        where: it comes from, for messages.
        text: without its line end; what is not UTF-8 is replaced.
        problem: why it is no text; empty if it is one.
    """

    where: str
    text: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """The answer to a text that cannot be used.

    Attributes:
        text: as it was given.
        reason: why.
    """

    text: str
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Return it as values for JSON."""
        return {"text": self.text, "error": self.reason}


def each_text(
    given: Iterable[GivenText], attempt: Callable[[str], _Result], problems: list[str]
) -> Iterator[_Result | Refused]:
    """Yield what `attempt` makes of each text; a text that it refuses is noted, not fatal."""
    for one in given:
        try:
            if one.problem:
                raise ValueError(one.problem)
            yield attempt(one.text)
        except ValueError as error:
            problems.append(f"{one.where}: {error}")
            yield Refused(one.text, str(error))


def print_refused(refused: Refused, console: "TextConsole", done: str, *, as_json: bool) -> None:
    """Print why a text was not filled, or whatever is done to the others."""
    if as_json:
        print_json(refused.to_dict())
    else:
        from rich.text import Text

        reason = f"not {done}: {refused.reason}"
        console.print(Text(f"{refused.text}  ").append(reason, style="yellow"))


def raise_any(problems: Sequence[str]) -> None:
    """Raise one error for all texts that were refused, now that the others are done."""
    if problems:
        raise ValueError("\n".join(problems))


def raise_refused(answers: Iterable[Mapping[str, Any]], output: Path, done: str) -> None:
    """Go through all answers, then raise ValueError if some records were refused.

    Args: as for `refusals_said`.
    """
    if said := refusals_said(answers, output, done):
        raise ValueError(said)


def refusals_said(answers: Iterable[Mapping[str, Any]], output: Path, done: str) -> str:
    """Go through all answers; return a message on the records that were refused, if there are some.

    Args:
        answers: to the records of a file; those that were refused have an `error`.
        output: where they are.
        done: what the others were, such as filled.
    """
    count = num_refused = 0
    first = ""
    for count, answer in enumerate(answers, start=1):
        if "error" in answer:
            num_refused += 1
            first = first or f"number {count}: {answer['error']}"
    if not num_refused:
        return ""
    return (
        f"{num_refused:,} of {counted(count, 'record')} could not be {done}: the field error of "
        f"{output} says why; the first is {first}"
    )


def with_report_at_end(
    answers: Iterator[dict[str, Any]], retriever: "Retriever | None"
) -> Iterator[dict[str, Any]]:
    """Yield answers, and say at their end what a retriever did."""
    yield from answers
    if retriever is not None:
        print_message(retriever)


def require_files(settings: FileSettings) -> tuple[Path, Path]:
    """Return input and output, once it is sure that the output can be written.

    Raises:
        ValueError: one of them is not given, or the output has an ending that cannot be written.
        FileExistsError: the output is there already.
        ImportError: it needs a package that is not installed.
    """
    if settings.input is None or settings.output is None:
        raise ValueError("input and output belong together: give both")
    require_writable(settings.output)
    require_free(settings.output, overwrite=settings.overwrite)
    return settings.input, settings.output


def texts_of(given: Sequence[str], settings: FileSettings) -> Iterator[GivenText]:
    """Yield the texts of a command: of its `--input`, or as for `given_texts`."""
    if settings.input is None:
        yield from given_texts(given)
        return
    read = read_given(settings.input, settings.text_field, text_unit=settings.text_unit)
    read.require_texts(settings.text_field)
    for place, record in read:
        try:
            yield GivenText(place, field_text(place, record, settings.text_field))
        except ValueError as error:
            yield GivenText(place, "", str(error).removeprefix(f"{place}: "))


def given_texts(given: Sequence[str]) -> Iterator[GivenText]:
    """Yield the texts given, or the lines of standard input, empty ones too.

    Raises:
        ValueError: if there is none.
    """
    if given and tuple(given) != ("-",):
        lines: Iterable[bytes] = (text.encode("utf-8", "surrogateescape") for text in given)
        place = "text {}"
    else:
        lines, place = sys.stdin.buffer, "line {} of standard input"
    number = 0
    for number, line in enumerate(lines, start=1):
        yield _read(place.format(number), line, is_first=number == 1)
    if not number:
        raise ValueError("no text: give a text, or lines on standard input")


def _read(where: str, line: bytes, *, is_first: bool) -> GivenText:
    try:
        return GivenText(where, decode_line(line, is_first=is_first).removesuffix("\n"))
    except UnicodeDecodeError as error:
        shown = line.decode("utf-8", "replace").rstrip("\r\n")
        problem = f"not UTF-8 at byte {error.start}: {advise_on_line(line)}"
        return GivenText(where, shown, problem)


def print_json(value: dict[str, object]) -> None:
    """Print one line of JSON at once."""
    print_result(json.dumps(value, ensure_ascii=False))
    sys.stdout.flush()
