"""What `unblank fill` prints or writes: filled texts in colour, tokens one by one, JSON, a file."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from unblank.answering.fill import fill_records
from unblank.api import Unblank, load
from unblank.commands.fill_settings import FillSettings
from unblank.commands.texts import (
    Refused,
    each_text,
    print_json,
    print_refused,
    raise_any,
    raise_refused,
    require_files,
    texts_of,
    with_report_at_end,
)
from unblank.consoles import TextConsole
from unblank.generation.infill import Filler
from unblank.generation.options import FillingOrder
from unblank.generation.passages import require_plain_search
from unblank.generation.results import FillResult, TokenEvent
from unblank.retrieval.retriever import PassageValues
from unblank.rules.rule import Rule
from unblank.terminal_text import print_message

__all__ = ["fill_and_print", "fill_to_file"]


def fill_and_print(settings: FillSettings) -> None:
    """Fill the texts and print or write them; errors as for `unblank.commands.fill.run`."""
    if settings.output is not None:
        raise_refused(fill_to_file(settings), settings.output, "filled")
        return
    unblank = _opened(settings)
    if settings.retrieve is not None:
        _print_retrieved(unblank, settings)
        return
    filler = unblank.filler(settings.decoding())
    console = TextConsole(highlight=False, soft_wrap=True)
    rules, order = settings.given_rules(), settings.filling_order()
    problems: list[str] = []

    def checked(text: str) -> str:
        filler.check(text, order=order, rules=rules)
        return text

    texts = each_text(texts_of(settings.text, settings), checked, problems)
    if settings.stream:
        for text in texts:
            if isinstance(text, Refused):
                print_refused(text, console, "filled", as_json=False)
            else:
                _print_stream(console, filler, text, order, rules)
    while batch := list(islice(texts, settings.batch_size)):
        good = [text for text in batch if isinstance(text, str)]
        found = filler.fill(good, order=order, rules=rules, batch_size=settings.batch_size)
        results = iter(found)
        for text in batch:
            answer = text if isinstance(text, Refused) else next(results)
            if isinstance(answer, Refused):
                print_refused(answer, console, "filled", as_json=settings.json)
            elif settings.json:
                print_json(answer.to_dict())
            else:
                _print_fill(console, answer, with_tokens=settings.tokens)
    raise_any(problems)


def _print_retrieved(unblank: Unblank, settings: FillSettings) -> None:
    """Fill each text with the passages of the index, and print it with them."""
    require_plain_search(settings.decoding())
    if settings.given_rules():
        raise ValueError("rules and passages cannot be combined: leave --rules or --retrieve out")
    order = settings.filling_order()
    retriever = settings.retriever(unblank)
    assert retriever is not None
    console = TextConsole(highlight=False, soft_wrap=True)
    problems: list[str] = []
    options = asdict(settings.decoding())

    def filled(text: str) -> tuple[FillResult, PassageValues]:
        return retriever.fill(text, order=order, batch_size=settings.batch_size, **options)

    for answer in each_text(texts_of(settings.text, settings), filled, problems):
        if isinstance(answer, Refused):
            print_refused(answer, console, "filled", as_json=settings.json)
            continue
        result, passages = answer
        if settings.json:
            print_json({**result.to_dict(), "passages": passages})
            continue
        _print_fill(console, result, with_tokens=settings.tokens)
        for passage in passages:
            line = Text(f"  {passage['share']:6.1%}  {passage['text']}  ")
            console.print(line.append(passage["place"], style="dim"))
    print_message(retriever)
    raise_any(problems)


def fill_to_file(settings: FillSettings) -> Iterator[dict[str, Any]]:
    """Return an iterator over the answers to the texts of a file; see `fill_records`."""
    input_path, output = require_files(settings)
    unblank = _opened(settings)
    retriever = settings.retriever(unblank)
    answers = fill_records(
        unblank,
        Path(settings.model),
        input_path,
        output,
        settings.decoding(),
        text_field=settings.text_field,
        text_unit=settings.text_unit,
        order=settings.filling_order(),
        rules=settings.given_rules(),
        rules_field=settings.rules_field,
        batch_size=settings.batch_size,
        with_tokens=settings.tokens,
        overwrite=settings.overwrite,
        retriever=retriever,
    )
    return with_report_at_end(answers, retriever)


def _opened(settings: FillSettings) -> Unblank:
    """Open the model, and say if its fills are calibrated."""
    unblank = load(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        calibration=settings.calibration,
    )
    if unblank.calibration is not None and unblank.calibration.fills is not None:
        of_samples = ", which says nothing of fills drawn at random" * settings.do_sample
        print_message(f"{unblank.calibration.fills.source}{of_samples}")
        learned = unblank.calibration.fills.abstain_below
        is_used = not (settings.do_sample or settings.retrieve)
        if learned is not None and settings.abstain_below is None and is_used:
            print_message(
                f"abstains below {learned:.3g}, as learned in calibrating (--abstain-below)"
            )
    return unblank


def _print_fill(console: TextConsole, result: FillResult, *, with_tokens: bool) -> None:
    console.print(_highlighted(result))
    for number, (blank, choices) in enumerate(
        zip(result.blanks, result.choices, strict=True), start=1
    ):
        line = Text(f"  {number}. ", style="dim")
        line.append(blank.text or "(nothing)", style="bold green")
        line.append(f"  log p {blank.log_probability:.2f}", style="dim")
        if blank.confidence is not None:
            line.append(f"  confidence {blank.confidence:.0%}", style="dim")
        if blank.abstained:
            line.append("  abstained: not sure enough", style="yellow")
        if len(choices) > 1:
            shown = "  ".join(f"{text or '(nothing)'} {share:.1%}" for text, share in choices)
            line.append(f"  {shown}", style="dim")
        if not blank.finished:
            line.append("  cut: raise --max-tokens", style="yellow")
        console.print(line)
        for token, pairs in zip(blank.tokens, blank.alternatives, strict=True):
            if pairs and with_tokens:
                others = "  ".join(f"{other} {p:.0%}" for other, p in pairs)
                console.print(Text(f"       {token}: {others}", style="dim"))
    if result.alternatives:
        console.print(_alternatives(result), soft_wrap=False)


def _alternatives(result: FillResult) -> Table:
    """Return all fillings with their shares of the probability of all of them."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("  share", justify="right")
    table.add_column("log p", justify="right")
    table.add_column("text", overflow="fold")
    for one, share in zip((result, *result.alternatives), result.shares, strict=True):
        table.add_row(f"{share:.1%}", f"{one.log_probability:.2f}", one.marked())
    return table


def _highlighted(result: FillResult) -> Text:
    return result.marked().append(f"  log p {result.log_probability:.2f}", style="dim")


def _print_stream(
    console: TextConsole,
    filler: Filler,
    text: str,
    order: FillingOrder | None,
    rules: Sequence[Rule],
) -> None:
    shown: dict[int, str] = {}
    for event in filler.stream(text, order=order, rules=rules):
        if isinstance(event, FillResult):
            console.print()
            if event.calibration or any(blank.abstained for blank in event.blanks):
                _print_fill(console, event, with_tokens=False)
            else:
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
