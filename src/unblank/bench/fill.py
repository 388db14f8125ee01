"""Tokens a second of `fill` beside T5's `generate`: greedy and beam search, one text and many."""

from unblank.bench.decoding import measure_decoding
from unblank.bench.race import Log
from unblank.bench.report import Section
from unblank.bench.sizes import Size

__all__ = ["measure_fill"]

_BEAMS = (1, 5)
_BATCHES = (1, 16)
_OURS = {"fill": ("glm_fill", 1.2), "fill in fp16": ("glm_fill_half", 2.0)}
"""Name of the row -> our workload, and how many times faster than T5 it shall be."""


def measure_fill(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return rows of greedy decoding and of 5 beams, for 1 text and for 16, in fp32 and fp16."""
    return [
        _measure(name, size, texts, beams, repeats, log)
        for name in _OURS
        for beams in _BEAMS
        for texts in _BATCHES
    ]


def _measure(name: str, size: Size, texts: int, beams: int, repeats: int, log: Log) -> Section:
    builder, least = _OURS[name]
    workloads = {
        "ours": f"unblank.bench.inference:{builder}",
        "T5": "unblank.bench.inference:t5_generate",
        "products": "unblank.bench.inference:decoding_products",
    }
    return measure_decoding(
        name, workloads, size, texts=texts, beams=beams, repeats=repeats, log=log,
        least=least, floor="{rate} tokens/s: the matrix products alone, in fp32",
    )  # fmt: skip
