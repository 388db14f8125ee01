"""The commands `unblank fill` and `unblank score`: texts in, coloured lines or JSON lines out."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unblank.api import Unblank, load
from unblank.data.sources import likely_encoding
from unblank.generation.config import FillSettings, ScoreSettings
from unblank.generation.infill import Filler
from unblank.generation.results import FillResult, Scores, TokenEvent

__all__ = ["run_fill", "run_score"]

Result = TypeVar("Result")


def run_fill(config: FillSettings) -> None:
    """Fill the texts and print them.

    Raises:
        ValueError: as for `Unblank.fill`, once the others are filled; also if nothing is given.
        FileNotFoundError: as for `unblank.load`.
    """
    if config.stream and config.json:
        raise ValueError("--stream prints tokens and --json finished results: choose one")
    unblank = load(config.model, device=config.device, dtype=config.dtype)
    filler = Filler(unblank.model, unblank.tokenizer, config.decoding())
    console = Console(highlight=False, soft_wrap=True)
    problems: list[str] = []

    def checked(text: str) -> str:
        filler.check(text, order=config.order)
        return text

    texts = _each(config.text, checked, problems)
    if config.stream:
        for text in texts:
            _print_stream(console, filler, text, config.order)
    while batch := list(islice(texts, config.batch_size)):
        for result in filler.fill(batch, order=config.order, batch_size=config.batch_size):
            if config.json:
                _print_json(result.to_dict())
            else:
                _print_fill(console, result)
    _raise_any(problems)


def run_score(config: ScoreSettings) -> None:
    """Score the candidates in each text and print them, best first.

    Raises:
        ValueError: as for `Unblank.score`, once the others are scored; also if none is given.
        FileNotFoundError: as for `unblank.load`.
    """
    unblank = load(config.model, device=config.device, dtype=config.dtype)
    console = Console(highlight=False)
    problems: list[str] = []

    def scored(text: str) -> tuple[str, Scores]:
        return text, _score(unblank, text, config)

    for text, scores in _each(config.text, scored, problems):
        if config.json:
            _print_json({"text": text, **scores.to_dict()})
        else:
            console.print(_score_table(text, scores, config.normalization))
    _raise_any(problems)


def _score(unblank: Unblank, text: str, config: ScoreSettings) -> Scores:
    return unblank.score(
        text,
        list(config.candidates),
        blank=config.blank,
        normalization=config.normalization,
        include_end=config.include_end,
        context=config.context,
        source_tag=config.source_tag,
    )


def _each(
    given: Sequence[str], attempt: Callable[[str], Result], problems: list[str]
) -> Iterator[Result]:
    """Yield what `attempt` makes of each text; a text that it refuses is noted, not fatal."""
    for where, text in _texts(given):
        try:
            _require_utf8(text)
            result = attempt(text)
        except ValueError as error:
            problems.append(f"{where}: {error}")
        else:
            yield result


def _raise_any(problems: Sequence[str]) -> None:
    """Raise one error for all texts that were refused, now that the others are done."""
    if problems:
        raise ValueError("\n".join(problems))


def _texts(given: Sequence[str]) -> Iterator[tuple[str, str]]:
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
        raise ValueError("nothing to do: give a text, or lines on standard input")


def _require_utf8(text: str) -> None:
    """Refuse bytes that are not UTF-8, which Python hands on as lone surrogates."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        byte = len(text[: error.start].encode("utf-8"))
        encoding = likely_encoding(text.encode("utf-8", "surrogateescape"))
        raise ValueError(
            f"not UTF-8 at its byte {byte}: convert it, for example: iconv -f {encoding} -t UTF-8"
        ) from error


def _print_json(value: dict[str, object]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def _print_fill(console: Console, result: FillResult) -> None:
    console.print(_highlighted(result))
    for number, blank in enumerate(result.blanks, start=1):
        line = Text(f"  {number}. ", style="dim")
        line.append(blank.text or "(nothing)", style="bold green")
        line.append(f"  log p {blank.log_probability:.2f}", style="dim")
        if not blank.finished:
            line.append("  cut: raise --max-tokens", style="yellow")
        console.print(line)
        for token, pairs in zip(blank.tokens, blank.alternatives, strict=True):
            if pairs:
                others = "  ".join(f"{other} {p:.0%}" for other, p in pairs)
                console.print(Text(f"       {token}: {others}", style="dim"))
    for other in result.alternatives:
        console.print(Text("  or: ", style="dim"), _highlighted(other), sep="")


def _highlighted(result: FillResult) -> Text:
    text = Text(result.text)
    for blank in result.blanks:
        text.stylize("bold green", blank.start, blank.end)
    text.append(f"  log p {result.log_probability:.2f}", style="dim")
    return text


def _print_stream(console: Console, filler: Filler, text: str, order: Sequence[int] | None) -> None:
    shown: dict[int, str] = {}
    for event in filler.stream(text, order=order):
        if isinstance(event, FillResult):
            console.print()
            console.print(_highlighted(event))
        else:
            console.print(Text(_new_text(shown, event), style="bold green"), end="")
            console.file.flush()


def _new_text(shown: dict[int, str], event: TokenEvent) -> str:
    """Return what the event adds to the terminal; half a character waits for its other half."""
    opening = "" if event.blank in shown else f"{' | ' * bool(shown)}{event.blank + 1}. "
    before, now = shown.get(event.blank, ""), event.blank_text.rstrip("\ufffd")
    shown[event.blank] = now
    return opening + (now[len(before) :] if now.startswith(before) else "")


def _score_table(text: str, scores: Scores, normalization: str) -> Table:
    table = Table(title=Text(text, style="bold"), title_justify="left")
    table.add_column("candidate", style="green")
    table.add_column("log p" if normalization == "sum" else "log p a token", justify="right")
    table.add_column("share", justify="right")
    for candidate in scores.ranked:
        table.add_row(
            Text(candidate.text), f"{candidate.score:.3f}", f"{candidate.probability:.1%}"
        )
    return table
