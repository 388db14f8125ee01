"""The texts of a command: its arguments, or the lines of standard input; and results as JSON."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["each_text", "given_texts", "print_json", "raise_any"]

_Result = TypeVar("_Result")


def each_text(
    given: Sequence[str], attempt: Callable[[str], _Result], problems: list[str]
) -> Iterator[_Result]:
    """Yield what `attempt` makes of each text; a text that it refuses is noted, not fatal."""
    for where, text in given_texts(given):
        try:
            _require_utf8(text)
            result = attempt(text)
        except ValueError as error:
            problems.append(f"{where}: {error}")
        else:
            yield result


def raise_any(problems: Sequence[str]) -> None:
    """Raise one error for all texts that were refused, now that the others are done."""
    if problems:
        raise ValueError("\n".join(problems))


def given_texts(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield where each text comes from, and the texts given or the lines of standard input."""
    if given and tuple(given) != ("-",):
        yield from ((f"text {number}", text) for number, text in enumerate(given, start=1))
        return
    has_any = False
    for number, line in enumerate(sys.stdin, start=1):
        if text := line.rstrip("\r\n"):
            has_any = True
            yield f"line {number} of standard input", text
    if not has_any:
        raise ValueError("no text: give a text, or lines on standard input")


def _require_utf8(text: str) -> None:
    """Refuse bytes that are not UTF-8, which Python hands on as lone surrogates."""
    from unblank.data.sources import likely_encoding

    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        byte = len(text[: error.start].encode("utf-8"))
        encoding = likely_encoding(text.encode("utf-8", "surrogateescape"))
        raise ValueError(
            f"not UTF-8 at byte {byte}: convert it, for example: iconv -f {encoding} -t UTF-8"
        ) from error


def print_json(value: dict[str, object]) -> None:
    """Print one line of JSON at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)
