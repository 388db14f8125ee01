"""`unblank bench`: runs the benchmarks that were asked for, prints the table, writes the JSON."""

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from unblank.bench import fill, sampler, score, train
from unblank.bench.race import Tell
from unblank.bench.report import Section, machine, to_json, to_table
from unblank.bench.settings import SIZES, BenchConfig, Size

__all__ = ["BENCHMARKS", "Benchmark", "run_bench"]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A group of rows, and the sizes at which it says something new."""

    measure: Callable[[Size, int, Tell], list[Section]]
    sizes: tuple[str, ...] = ("toy", "small", "base")


BENCHMARKS: dict[str, tuple[Benchmark, ...]] = {
    "train": (
        Benchmark(train.measure_steps),
        Benchmark(train.measure_vocabulary, sizes=("toy", "small")),
        Benchmark(train.measure_start, sizes=("toy", "small")),
    ),
    "sampler": (
        Benchmark(sampler.measure_corruption, sizes=("toy", "small")),
        Benchmark(sampler.measure_pipeline, sizes=("toy", "small")),
    ),
    "fill": (Benchmark(fill.measure_fill),),
    "score": (Benchmark(score.measure_score),),
}


def run_bench(config: BenchConfig) -> None:
    """Measure, print the table, and write the JSON if asked for.

    Raises:
        RuntimeError: if a contestant fails.
    """
    console = Console()
    names = BENCHMARKS if config.which == "all" else (config.which,)
    sections: list[Section] = []
    for name in names:
        for benchmark in BENCHMARKS[name]:
            for size in config.size:
                if size in benchmark.sizes:
                    sections += _measure(console, name, benchmark, SIZES[size], config.repeats)
    about = machine()
    console.print(to_table(sections))
    console.print(f"{about['processor']}, {about['cores']} cores; {config.repeats} turns")
    if config.json is not None:
        config.json.parent.mkdir(parents=True, exist_ok=True)
        config.json.write_text(to_json(sections, about), encoding="utf-8")
        console.print(f"every repeat: {config.json}")


def _measure(
    console: Console, name: str, benchmark: Benchmark, size: Size, repeats: int
) -> list[Section]:
    with console.status(f"{name} {size.name}") as status:
        return benchmark.measure(
            size, repeats, lambda line: status.update(f"{name} {size.name}: {line}")
        )
