"""`unblank demo`: from nothing to filled blanks in about three minutes, without a download."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unblank.commands.parsing import parse_settings
from unblank.settings.ranges import NotNegative, Positive, Seed, check_values

if TYPE_CHECKING:
    from rich.console import Console

    from unblank.demo.measure import HiddenWord
    from unblank.demo.run import DemoReport
    from unblank.generation.results import FillResult

__all__ = ["DemoSettings", "parse", "run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """Train a tiny GLM on this machine and fill blanks with it.

    The corpus is the English prose that every Python carries (the language reference and the
    standard library's docstrings), or your own text.
    """

    text: tuple[Path, ...] = ()
    """Your own text: files, folders or globs of .txt, .jsonl, .parquet. Default: the
    documentation of the installed Python."""
    output: Path = Path("unblank-demo")
    """Folder for the corpus, the model, the metrics and the plot."""
    steps: Positive[int] = 2000
    """Training steps; fewer are quicker but give a worse model."""
    seed: Seed[int] = 0
    """Seed for everything random."""
    sentences: NotNegative[int] = 6
    """Number of held-out sentences to fill at the end."""

    arrange_memory: bool = True
    """Use huge pages and a malloc that keeps freed memory, for this process (Linux)."""

    def __post_init__(self) -> None:
        check_values(self)


def parse(words: Sequence[str]) -> DemoSettings:
    """Return the settings that the words give; errors as for `parse_settings`."""
    return parse_settings("demo", DemoSettings, words)


def run(settings: DemoSettings) -> None:
    """Train a tiny GLM, print what it learned, and say where everything lies.

    Raises:
        ValueError: too little text to hold some out.
        FileNotFoundError: `text` names nothing.
    """
    from unblank.process import arrange_memory

    memory = arrange_memory(settings.arrange_memory)
    from rich.console import Console

    from unblank.demo.run import make_corpus, measure_demo, train_demo

    console = Console(highlight=False)
    started = time.perf_counter()
    corpus = make_corpus(settings.text, settings.output)
    console.print(
        f"corpus: {len(corpus.train):,} documents "
        f"({sum(map(len, corpus.train)) / 1e6:.1f} million characters), "
        f"{len(corpus.held_out):,} more are held out"
    )
    folder = train_demo(
        corpus, settings.output, steps=settings.steps, seed=settings.seed, memory=memory
    )
    _print_report(console, measure_demo(folder, corpus, settings.seed), settings.sentences)
    console.print(f"\nmodel    {folder}\nplot     {folder / 'loss.png'}")
    console.print(f"metrics  {folder / 'metrics.jsonl'}")
    minutes = (time.perf_counter() - started) / 60
    console.print(f"\n{minutes:.1f} minutes. Next:")
    console.print(f'  unblank fill {folder} "Return the [MASK] of the list."')
    console.print("  unblank pretrain --help          train on your own text")


def _print_report(console: "Console", report: "DemoReport", num_sentences: int) -> None:
    from unblank.demo.measure import FEWEST_WORDS, MOST_WORDS

    loss = report.loss
    if loss.num_tokens:
        console.print(
            f"\nheld-out loss: {loss.model:.2f} nats per blank token; the unigram entropy of the "
            f"same {loss.num_tokens:,} tokens is {loss.unigram:.2f}"
        )
    else:
        console.print("\nheld-out loss: not measured, as the text is too short for a blank")
    if not report.clozes:
        console.print(
            "single-word blanks: not measured, as no paragraph of the held-out text has a word in "
            f"Latin letters among {FEWEST_WORDS} to {MOST_WORDS} words: give more text"
        )
        return
    console.print(
        f"single-word blanks: {report.hits:.0%} of {len(report.clozes)} held-out words exactly "
        f"right; baseline that always answers {report.frequent!r}: {report.baseline:.0%}\n"
    )
    for fill, cloze in list(zip(report.fills, report.clozes, strict=True))[:num_sentences]:
        _print_fill(console, fill, cloze)


def _print_fill(console: "Console", fill: "FillResult", cloze: "HiddenWord") -> None:
    from rich.text import Text

    blank = fill.blanks[0]
    probability = math.exp(sum(blank.log_probabilities))
    before, after = cloze.text.split("[MASK]")
    shown = Text(before)
    shown.append(blank.text.strip(), style="bold green")
    shown.append(f"{after}  ")
    shown.append(f"(p = {probability:.2g}; original: {cloze.word})", style="dim")
    console.print(shown)
