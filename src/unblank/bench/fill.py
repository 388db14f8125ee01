"""Tokens a second of `fill` beside T5's `generate`: greedy and beam search, one text and many."""

from unblank.bench.race import Contestant, Tell, paired_ratio, race
from unblank.bench.report import Row, Section, at_least
from unblank.bench.sizes import Size

__all__ = ["measure_fill"]

_CONTEXT = 128
_TOKENS = 32
_BEAMS = (1, 5)
_BATCHES = (1, 16)


def measure_fill(size: Size, repeats: int, tell: Tell) -> list[Section]:
    """Return the rows of greedy decoding and of 5 beams, for 1 text and for 16."""
    return [_measure(size, texts, beams, repeats, tell) for beams in _BEAMS for texts in _BATCHES]


def _measure(size: Size, texts: int, beams: int, repeats: int, tell: Tell) -> Section:
    is_toy = size.name == "toy"
    arguments: dict[str, object] = {
        "size": size.name,
        "texts": texts,
        "context": 16 if is_toy else _CONTEXT,
        "tokens": 4 if is_toy else _TOKENS,
        "beams": beams,
    }
    results = race(
        {
            "ours": _contestant("glm_fill", arguments),
            "T5": _contestant("t5_generate", arguments),
            "products": _contestant("decoding_products", arguments),
        },
        repeats,
        tell,
    )
    search = "greedy" if beams == 1 else f"beam {beams}"
    name = f"fill, {size.name}, {search}, batch {texts}"
    row = Row(
        name=name,
        unit="tokens/s",
        ours=results["ours"].rate,
        peer_name="T5",
        peer=results["T5"].rate,
        ratio=paired_ratio(results["ours"], results["T5"]),
        target=None if is_toy else at_least(1.2),
        floor=f"{results['products'].rate:,.0f} tokens/s: the matrix products alone",
    )
    return Section(name=name, size=size.name, rows=[row], results=results)


def _contestant(builder: str, arguments: dict[str, object]) -> Contestant:
    return Contestant(workload=f"unblank.bench.inference:{builder}", arguments=arguments)
