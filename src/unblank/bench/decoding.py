"""One row of `fill` or `generate` beside T5: the same texts, lengths and searches."""

from collections.abc import Mapping

from unblank.bench.race import Contestant, Log, race
from unblank.bench.report import Section, at_least, compare_rates
from unblank.bench.sizes import Size

__all__ = ["measure_decoding"]


def measure_decoding(
    benchmark: str,
    workloads: Mapping[str, str],
    size: Size,
    *,
    texts: int,
    beams: int,
    repeats: int,
    log: Log,
    least: float,
    floor: str,
) -> Section:
    """Return the row of our tokens a second over those of T5.

    Args:
        benchmark: what the row is called.
        workloads: name -> `module:builder`; `ours`, `T5`, and one more to show.
        size: of the models; the toy has short texts and no target.
        texts: decoded together.
        beams: of the search; 1 is greedy.
        repeats: turns of each contestant.
        log: called with what is being measured.
        least: the ratio that is wanted.
        floor: what is shown of the third contestant, with `{rate}` for its tokens a second.
    """
    _, _, third = workloads
    arguments = size.decoding | {"texts": texts, "beams": beams}
    contestants = {
        name: Contestant(workload=workload, arguments=arguments)
        for name, workload in workloads.items()
    }
    results = race(contestants, repeats, log)
    search = "greedy" if beams == 1 else f"beam {beams}"
    row = compare_rates(
        results["ours"],
        results["T5"],
        name=f"{benchmark}, {size.name}, {search}, batch {texts}",
        unit="tokens/s",
        peer_name="T5",
        target=None if size.is_toy else at_least(least),
        floor=floor.format(rate=f"{results[third].rate:,.0f}"),
    )
    return Section(name=row.name, size=size.name, rows=[row], results=results)
