"""`unblank demo`: from nothing to filled blanks in minutes, without a download."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from unblank.commands.parsing import parse_settings
from unblank.settings.marks import DataPath, Excludes
from unblank.settings.ranges import Duration, NotNegative, Positive, Seed, check_values

__all__ = ["DemoSettings", "parse", "run"]


_OPTIONS = {
    "train.minutes": "--minutes",
    "train.max_steps": "--steps",
    "train.output_dir": "--output",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """Train a tiny GLM on this machine and fill blanks with it.

    unblank demo
    unblank demo --text my_text/ --minutes 10

    The corpus is the English prose that the installation carries (the documentation inside Python
    and the packages that Unblank needs), or your own text.
    """

    text: tuple[DataPath, ...] = ()
    """Your own text: files, folders or globs, of any format (docs/data.md). Default: the
    documentation inside the installed packages."""
    output: Path = Path("unblank-demo")
    """Folder for the corpus, the model, the metrics and the plot."""
    minutes: Annotated[Duration[Positive[float]], Excludes("steps")] = 3.0
    """Time to train, reading the text included; less gives a worse model. The number of steps is
    found from the first few."""
    steps: Positive[int | None] = None
    """Training steps, instead of minutes."""
    seed: Seed[int] = 0
    """Seed for everything random."""
    sentences: NotNegative[int] = 4
    """Number of held-out paragraphs of each kind to show at the end."""

    arrange_memory: bool = True
    """Use huge pages and a malloc that keeps freed memory, for this process (Linux)."""

    def __post_init__(self) -> None:
        check_values(self)


parse = partial(parse_settings, "demo", DemoSettings)


def run(settings: DemoSettings) -> None:
    """Train a tiny GLM, print what it learned, and say where everything lies.

    Raises:
        ValueError: too little text to hold some out.
        FileNotFoundError: `text` names nothing.
    """
    from unblank.process import arrange_memory
    from unblank.wait_policy import choose_wait_policy

    memory = arrange_memory(settings.arrange_memory)
    choose_wait_policy()
    from unblank.commands.demo_printing import print_report
    from unblank.consoles import TextConsole
    from unblank.demo.run import make_corpus, measure_demo, train_demo

    console = TextConsole(highlight=False)
    started = time.perf_counter()
    console.print("collecting text")
    corpus = make_corpus(settings.text, settings.output)
    console.print(
        f"corpus: {len(corpus.train):,} paragraphs "
        f"({sum(map(len, corpus.train)) / 1e6:.1f} million characters), "
        f"{len(corpus.held_out):,} more are held out"
    )
    try:
        folder = train_demo(
            corpus,
            settings.output,
            minutes=None if settings.steps else settings.minutes,
            steps=settings.steps,
            seed=settings.seed,
            memory=memory,
        )
    except ValueError as error:
        raise ValueError(_in_own_words(str(error))) from error
    report = measure_demo(folder, corpus, seed=settings.seed, num_shown=settings.sentences)
    print_report(console, report, settings.sentences)
    minutes = (time.perf_counter() - started) / 60
    console.print(f"\n{minutes:.1f} minutes; all of it is in {settings.output}. Next:")
    for line in _next_commands(folder):
        console.print(f"  {line}", soft_wrap=True, markup=False)


def _in_own_words(message: str) -> str:
    """Return what a run says, with the options of this command in place of its settings."""
    for setting, option in _OPTIONS.items():
        message = message.replace(setting, option)
    return message


def _next_commands(folder: Path) -> tuple[str, ...]:
    return (
        f'unblank fill {folder} "Return the [MASK] of the list." --num-beams 5 --num-return 3',
        f'unblank score {folder} "If the file does not [MASK], it is created." '
        "--candidates exist end open",
        f"unblank serve {folder}  # a playground in your browser (pip install 'unblank[serve]')",
        "unblank pretrain --data.train your_text/ --train.minutes 30",
    )
