"""What `unblank demo` prints of the model it trained: its learning, its numbers, its answers."""

import math
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from unblank.demo.blanks import FEWEST_WORDS, MOST_WORDS
from unblank.demo.run import DemoReport, Filled, Scored

__all__ = ["print_report"]

_Shown = TypeVar("_Shown")

_NUM_ALTERNATIVES = 3


def print_report(console: Console, report: DemoReport, num_sentences: int) -> None:
    """Print it, with so many paragraphs of each kind, the first that the seed chose."""
    if report.curve:
        console.print("\nLoss by step (. training, o held-out)", style="bold")
        for line in report.curve:
            console.print(Text(line), soft_wrap=True)
    console.print("\nOn text that it has not seen", style="bold")
    _print_loss(console, report)
    _print_words(console, report)
    words, several = report.words[:num_sentences], report.several[:num_sentences]
    _print_all(console, "Single words, with their probabilities", words, _print_answers)
    _print_all(console, "Several blanks", several, _print_filled)
    _print_all(console, "A blank of unknown length", report.phrases[:num_sentences], _print_filled)
    _print_all(console, "A choice of words", report.scored[:num_sentences], _print_scores)


def _print_loss(console: Console, report: DemoReport) -> None:
    loss = report.loss
    if not loss.num_tokens:
        console.print("held-out loss: not measured, as the text is too short for a blank")
        return
    console.print(
        f"held-out loss: {loss.model:.2f} nats per blank token, {loss.model / loss.unigram:.0%} of "
        f"the {loss.unigram:.2f} that the frequencies of tokens give ({loss.num_tokens:,} tokens)"
    )


def _print_words(console: Console, report: DemoReport) -> None:
    if not report.words:
        console.print(
            "single-word blanks: not measured, as no paragraph of the held-out text has a word of "
            f"letters among {FEWEST_WORDS} to {MOST_WORDS} words: give more text"
        )
        return
    console.print(
        f"single-word blanks: {report.first:.1%} of {len(report.words)} words exactly right, "
        f"{report.among:.1%} among the first five answers; always {report.frequent!r}: "
        f"{report.baseline:.1%}"
    )
    if report.first <= report.baseline:
        console.print(
            "this model has learned too little: on a slow or busy machine few steps fit into the "
            "time. Give it more: unblank demo --minutes 10 --output longer-demo"
        )


def _print_all(
    console: Console, title: str, items: list[_Shown], print_one: Callable[[Console, _Shown], None]
) -> None:
    if items:
        console.print(f"\n{title}", style="bold")
    for item in items:
        print_one(console, item)


def _print_filled(console: Console, filled: Filled) -> None:
    """Print a filled text, what the model wrote in green, then what was hidden."""
    shown = Text("- ")
    place = 0
    for blank in filled.fill.blanks:
        shown.append(filled.fill.text[place : blank.start])
        shown.append(filled.fill.text[blank.start : blank.end], style="bold green")
        place = blank.end
    shown.append(f"{filled.fill.text[place:]}  ")
    shown.append(f"(original: {', '.join(filled.hidden.originals)})", style="dim")
    console.print(shown)


def _print_answers(console: Console, filled: Filled) -> None:
    """Print a text with its blank, then the most likely answers with their probabilities."""
    original = filled.hidden.originals[0]
    console.print(Text(f"- {filled.hidden.text}"))
    shown = Text("  ")
    for fill in (filled.fill, *filled.fill.alternatives)[:_NUM_ALTERNATIVES]:
        answer = fill.blanks[0].text.strip()
        is_right = answer.lower() == original.lower()
        shown.append(answer, style="bold green" if is_right else "bold")
        shown.append(f" {math.exp(fill.log_probability):.1%}  ")
    shown.append(f"(original: {original})", style="dim")
    console.print(shown)


def _print_scores(console: Console, scored: Scored) -> None:
    """Print a text with its blank, then the candidates, best first."""
    (original,) = scored.hidden.originals
    console.print(Text(f"- {scored.hidden.text}"))
    shown = Text("  ")
    for candidate in scored.scores.ranked:
        style = "bold green" if candidate.text == original else "bold"
        shown.append(candidate.text, style=style)
        shown.append(f" {candidate.share:.1%}  ")
    shown.append(f"(original: {original})", style="dim")
    console.print(shown)
