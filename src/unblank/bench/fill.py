"""Tokens a second of `fill` beside T5's `generate`: greedy and beam search, one text and many."""

from unblank.bench.decoding import measure_decoding
from unblank.bench.race import Tell
from unblank.bench.report import Section
from unblank.bench.sizes import Size

__all__ = ["measure_fill"]

_BEAMS = (1, 5)
_BATCHES = (1, 16)


def measure_fill(size: Size, repeats: int, tell: Tell) -> list[Section]:
    """Return the rows of greedy decoding and of 5 beams, for 1 text and for 16."""
    return [_measure(size, texts, beams, repeats, tell) for beams in _BEAMS for texts in _BATCHES]


def _measure(size: Size, texts: int, beams: int, repeats: int, tell: Tell) -> Section:
    workloads = {
        "ours": "unblank.bench.inference:glm_fill",
        "T5": "unblank.bench.inference:t5_generate",
        "products": "unblank.bench.inference:decoding_products",
    }
    return measure_decoding(
        "fill", workloads, size, texts=texts, beams=beams, repeats=repeats, tell=tell,
        least=1.2, floor="{rate} tokens/s: the matrix products alone",
    )  # fmt: skip
