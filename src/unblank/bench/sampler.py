"""Corruption of texts on one core, and whether the data pipeline keeps ahead of training."""

from unblank.bench.race import Contestant, Log, paired_ratio, race
from unblank.bench.report import ReportRow, Section, Target, at_least, compare_rates
from unblank.bench.sizes import Size
from unblank.bench.train import ours

__all__ = ["measure_corruption", "measure_pipeline"]

_CORRUPTION_LENGTH = 512

_TARGETS: dict[tuple[str, str], Target] = {
    ("small", "corruption"): at_least(10_000, of="ours"),
    ("small", "pipeline"): at_least(3),
}


def measure_corruption(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the row of token spans with positions at length 512, on one core."""
    arguments = {"length": _CORRUPTION_LENGTH, "samples": 100 if size.is_toy else 10_000}
    contestants = {
        "ours": _on_one_core("token_span_corruption", **arguments),
        "T5": _on_one_core("t5_corruption", **arguments),
    }
    results = race(contestants, repeats, log, warmups=1)
    row = compare_rates(
        results["ours"],
        results["T5"],
        name=f"corruption, {_CORRUPTION_LENGTH} tokens, one core",
        unit="samples/s",
        peer_name="T5 corruption",
        target=_TARGETS.get((size.name, "corruption")),
    )
    return [Section(name="corruption", size=size.name, rows=[row], results=results)]


def measure_pipeline(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the row that compares the rows made by one core with those that training uses up."""
    rows = 32 if size.is_toy else 4000
    contestants = {
        "ours": _on_one_core("data_pipeline", size=size.name, rows=rows),
        "training": ours(size),
    }
    results = race(contestants, repeats, log)
    rows_per_token = size.batch / size.text_tokens
    row = ReportRow(
        name=f"corruption + packing + collation, {size.name}, one core",
        unit="rows/s",
        ours=results["ours"].rate,
        peer_name="training uses",
        peer=results["training"].rate * rows_per_token,
        ratio=paired_ratio(results["ours"], results["training"]) / rows_per_token,
        target=_TARGETS.get((size.name, "pipeline")),
    )
    return [Section(name="data pipeline", size=size.name, rows=[row], results=results)]


def _on_one_core(builder: str, **arguments: object) -> Contestant:
    return Contestant(
        workload=f"unblank.bench.corruption:{builder}", arguments=arguments, num_threads=1
    )
