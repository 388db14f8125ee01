"""What the benchmarks of `fill` and `generate` share: the same texts, lengths and searches."""

from collections.abc import Mapping

from unblank.bench.race import Contestant
from unblank.bench.sizes import Size

__all__ = ["decoders", "search_name"]

_CONTEXT, _TOKENS = 128, 32
_TOY_CONTEXT, _TOY_TOKENS = 16, 4


def decoders(
    workloads: Mapping[str, str], size: Size, texts: int, beams: int
) -> dict[str, Contestant]:
    """Return contestants that decode a fixed number of tokens for each text.

    Args:
        workloads: name -> `module:builder`.
        size: of the models; the toy has short texts.
        texts: decoded together.
        beams: of the search; 1 is greedy.
    """
    is_toy = size.name == "toy"
    arguments: dict[str, object] = {
        "size": size.name,
        "texts": texts,
        "context": _TOY_CONTEXT if is_toy else _CONTEXT,
        "tokens": _TOY_TOKENS if is_toy else _TOKENS,
        "beams": beams,
    }
    return {
        name: Contestant(workload=workload, arguments=arguments)
        for name, workload in workloads.items()
    }


def search_name(beams: int) -> str:
    """Return what a search is called in the table."""
    return "greedy" if beams == 1 else f"beam {beams}"
