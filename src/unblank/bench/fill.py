"""Tokens a second of `fill` beside T5's `generate`: greedy and beam search, one text and many."""

from unblank.bench.decoding import decoders, search_name
from unblank.bench.race import Tell, race
from unblank.bench.report import Section, at_least, compare_rates
from unblank.bench.sizes import Size

__all__ = ["measure_fill"]

_BEAMS = (1, 5)
_BATCHES = (1, 16)


def measure_fill(size: Size, repeats: int, tell: Tell) -> list[Section]:
    """Return the rows of greedy decoding and of 5 beams, for 1 text and for 16."""
    return [_measure(size, texts, beams, repeats, tell) for beams in _BEAMS for texts in _BATCHES]


def _measure(size: Size, texts: int, beams: int, repeats: int, tell: Tell) -> Section:
    contestants = decoders(
        {
            "ours": "unblank.bench.inference:glm_fill",
            "T5": "unblank.bench.inference:t5_generate",
            "products": "unblank.bench.inference:decoding_products",
        },
        size,
        texts,
        beams,
    )
    results = race(contestants, repeats, tell)
    row = compare_rates(
        results["ours"],
        results["T5"],
        name=f"fill, {size.name}, {search_name(beams)}, batch {texts}",
        unit="tokens/s",
        peer_name="T5",
        target=None if size.name == "toy" else at_least(1.2),
        floor=f"{results['products'].rate:,.0f} tokens/s: the matrix products alone",
    )
    return Section(name=row.name, size=size.name, rows=[row], results=results)
