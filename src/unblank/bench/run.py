"""`unblank bench`: runs the benchmarks that were asked for, prints the table, writes the JSON."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rich.console import Console

from unblank.bench import conversion, fill, generate, sampler, score, train
from unblank.bench.machine import OthersShare, machine
from unblank.bench.race import Tell
from unblank.bench.report import Section, to_json, to_table
from unblank.bench.settings import SIZES, BenchSettings, Size

__all__ = ["BENCHMARKS", "Benchmark", "run_bench"]


_QUIET = 0.05
"""Share of the processors that others may use without a warning."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A group of rows, and the sizes at which it says something new."""

    measure: Callable[[Size, int, Tell], list[Section]]
    sizes: tuple[str, ...] = ("toy", "small", "base")


BENCHMARKS: dict[str, tuple[Benchmark, ...]] = {
    "train": (
        Benchmark(train.measure_steps),
        Benchmark(train.measure_vocabulary, sizes=("toy", "small")),
        Benchmark(train.measure_ganlm),
        Benchmark(train.measure_start, sizes=("toy", "small")),
    ),
    "sampler": (
        Benchmark(sampler.measure_corruption, sizes=("toy", "small")),
        Benchmark(sampler.measure_pipeline, sizes=("toy", "small")),
    ),
    "fill": (Benchmark(fill.measure_fill),),
    "generate": (Benchmark(generate.measure_generate),),
    "score": (Benchmark(score.measure_score),),
    "convert": (Benchmark(conversion.measure_conversion),),
}


def run_bench(config: BenchSettings) -> None:
    """Measure, print the table, and write the JSON if asked for (after each group of rows).

    Raises:
        RuntimeError: if a contestant fails.
    """
    console = Console()
    about = {**machine(), "repeats": config.repeats}
    sections: list[Section] = []
    for name, benchmark, size in _chosen(config):
        sections += _measure(console, name, benchmark, size, config.repeats)
        if config.json is not None:
            config.json.parent.mkdir(parents=True, exist_ok=True)
            config.json.write_text(to_json(sections, about), encoding="utf-8")
    console.print(to_table(sections))
    console.print(f"{about['processor']}, {about['cores']} cores; {config.repeats} turns")
    busiest = max((section.others_share or 0.0 for section in sections), default=0.0)
    if busiest > _QUIET:
        console.print(
            f"[yellow]other processes had up to {busiest:.0%} of the processors: absolute figures "
            "are too low and ratios uncertain (docs/benchmarks.md says what to do)[/]"
        )
    if config.json is not None:
        console.print(f"every repeat: {config.json}")


def _chosen(config: BenchSettings) -> Iterator[tuple[str, Benchmark, Size]]:
    for name in BENCHMARKS if config.which == "all" else (config.which,):
        for benchmark in BENCHMARKS[name]:
            for size in config.size:
                if size in benchmark.sizes:
                    yield name, benchmark, SIZES[size]


def _measure(
    console: Console, name: str, benchmark: Benchmark, size: Size, repeats: int
) -> list[Section]:
    others = OthersShare()
    with console.status(f"{name} {size.name}") as status:
        sections = benchmark.measure(
            size, repeats, lambda line: status.update(f"{name} {size.name}: {line}")
        )
    return [replace(section, others_share=others.measure()) for section in sections]
