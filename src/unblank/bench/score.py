"""Candidates a second of `score`: all in one forward, beside one forward for each."""

from unblank.bench.flops import scoring_flops
from unblank.bench.race import Contestant, Log, race
from unblank.bench.report import Section, at_least, compare_rates
from unblank.bench.sizes import Size

__all__ = ["measure_score"]

_CONTEXT = 128
_LENGTH = 3
_TARGETS = {8: at_least(5), 64: at_least(15)}


def measure_score(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the rows of 8 and of 64 candidates of 3 tokens after a context of 128."""
    return [_measure(size, candidates, repeats, log) for candidates in _TARGETS]


def _measure(size: Size, candidates: int, repeats: int, log: Log) -> Section:
    context = 16 if size.is_toy else _CONTEXT
    arguments = {
        "size": size.name,
        "candidates": candidates,
        "length": _LENGTH,
        "context": context,
    }
    contestants = {
        name: Contestant(workload=f"unblank.bench.inference:{builder}", arguments=arguments)
        for name, builder in (("ours", "score_together"), ("each", "score_each"))
    }
    results = race(contestants, repeats, log)
    each = candidates * scoring_flops(size, context, _LENGTH + 1)
    together = scoring_flops(size, context, 1 + candidates * _LENGTH)
    name = f"score, {size.name}, {candidates} candidates"
    row = compare_rates(
        results["ours"],
        results["each"],
        name=name,
        unit="candidates/s",
        peer_name="one forward each",
        target=None if size.is_toy else _TARGETS[candidates],
        floor=f"{each / together:.1f} x fewer FLOP",
    )
    return Section(name=name, size=size.name, rows=[row], results=results)
