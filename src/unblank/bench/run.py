"""The benchmarks by name, and running those that are asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from unblank.bench import conversion, fill, generate, sampler, score, serve, train
from unblank.bench.machine import OthersShare
from unblank.bench.race import Log
from unblank.bench.report import Section
from unblank.bench.sizes import SIZES, Size

__all__ = ["measure_all"]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A group of rows, and the sizes at which it says something new."""

    measure: Callable[[Size, int, Log], list[Section]]
    sizes: tuple[str, ...] = ("toy", "small", "base")


BENCHMARKS: dict[str, tuple[Benchmark, ...]] = {
    "train": (
        Benchmark(train.measure_steps),
        Benchmark(train.measure_vocabulary, sizes=("toy", "small")),
        Benchmark(train.measure_ganlm),
        Benchmark(train.measure_muon, sizes=("toy", "tiny", "small")),
        Benchmark(train.measure_start, sizes=("toy", "small")),
    ),
    "sampler": (
        Benchmark(sampler.measure_corruption, sizes=("toy", "small")),
        Benchmark(sampler.measure_pipeline, sizes=("toy", "small")),
    ),
    "fill": (Benchmark(fill.measure_fill),),
    "generate": (Benchmark(generate.measure_generate),),
    "score": (Benchmark(score.measure_score),),
    "serve": (Benchmark(serve.measure_serve),),
    "convert": (Benchmark(conversion.measure_conversion),),
}


def measure_all(
    which: str, sizes: Sequence[str], repeats: int, log: Log
) -> Iterator[list[Section]]:
    """Yield the rows of each benchmark at each size as soon as they are measured.

    Args:
        which: a name in `BENCHMARKS`, or all.
        sizes: names in `SIZES`.
        repeats: timed turns of every contestant.
        log: called with what is being measured.

    Raises:
        RuntimeError: if a contestant fails.
    """
    for name in BENCHMARKS if which == "all" else (which,):
        for benchmark in BENCHMARKS[name]:
            for size in sizes:
                if size in benchmark.sizes:
                    yield _measure(f"{name} {size}", benchmark, SIZES[size], repeats, log)


def _measure(name: str, benchmark: Benchmark, size: Size, repeats: int, log: Log) -> list[Section]:
    others = OthersShare()
    log(name)
    sections = benchmark.measure(size, repeats, lambda line: log(f"{name}: {line}"))
    return [replace(section, others_share=others.measure()) for section in sections]
