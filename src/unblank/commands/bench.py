"""`unblank bench`: measures speed and memory beside the peers; prints a table, writes JSON."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from unblank.bench.sizes import SizeName
from unblank.commands.parsing import parse_settings
from unblank.settings.marks import Positional
from unblank.settings.ranges import OneOrMore, Positive, check_values

__all__ = ["BenchSettings", "parse", "run"]

_QUIET = 0.05
"""Share of the processors that other processes may use before a warning is printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """Measure speed and memory beside transformers' BERT, T5 and BART, in turns on this machine.

    unblank bench train --size toy
    unblank bench all --json out.json
    """

    which: Positional[
        Literal["train", "sampler", "fill", "generate", "score", "serve", "convert", "all"]
    ] = "all"
    """What to measure."""
    size: OneOrMore[tuple[SizeName, ...]] = ("tiny", "small", "base")
    """Model sizes; toy only checks that everything runs, and tiny, the demo's, has few rows."""
    repeats: Positive[int] = 5
    """Timed turns of each program; a ratio is the median over the turns."""
    json: Path | None = None
    """Also write the machine, versions, every row and every repeat to this file."""

    def __post_init__(self) -> None:
        check_values(self)


parse = partial(parse_settings, "bench", BenchSettings)


def run(settings: BenchSettings) -> None:
    """Measure, print the table, and write the JSON if asked for (after each group of rows).

    Raises:
        RuntimeError: if a contestant fails.
    """
    from unblank.bench.machine import machine
    from unblank.bench.report import Section, benchmark_json, benchmark_table
    from unblank.bench.run import measure_all
    from unblank.consoles import TextConsole
    from unblank.integrity import write_atomically

    console, errors = TextConsole(), TextConsole(stderr=True)
    about = {**machine(), "repeats": settings.repeats}
    sections: list[Section] = []
    with errors.status(settings.which) as status:
        # Only a terminal shows a status; in a file there is a line for each instead.
        log = status.update if errors.is_terminal else partial(errors.print, soft_wrap=True)
        for measured in measure_all(settings.which, settings.size, settings.repeats, log):
            sections += measured
            if settings.json is not None:
                settings.json.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(settings.json, benchmark_json(sections, about))
    console.print(benchmark_table(sections))
    console.print(f"{about['processor']}, {about['cores']} cores; {settings.repeats} turns")
    busiest = max((section.others_share or 0.0 for section in sections), default=0.0)
    if busiest > _QUIET:
        console.print(
            f"other processes used up to {busiest:.0%} of the processors: absolute figures are too "
            "low and ratios uncertain (see docs/benchmarks.md)",
            style="yellow",
        )
    if settings.json is not None:
        console.print(f"every repeat: {settings.json}")
