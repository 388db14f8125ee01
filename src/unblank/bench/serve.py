"""Tokens a second of a server: 32 clients at once, and what it adds to a single request."""

from unblank.bench.race import Contestant, Log, race
from unblank.bench.report import Section, Target, at_least, compare_rates
from unblank.bench.sizes import Size

__all__ = ["measure_serve"]

_CLIENTS = 32
_MOST_ADDED = 0.15
"""Time that a server may add to a request, as a share of the time without one."""


def measure_serve(size: Size, repeats: int, log: Log) -> list[Section]:
    """Return the rows of many clients and of one."""
    many = {
        "ours": _served(size, clients=_CLIENTS, requests=_CLIENTS),
        "one": _served(size, clients=1, requests=_CLIENTS),
    }
    single = {
        "ours": _served(size, clients=1, requests=4),
        "called": Contestant(
            workload="unblank.bench.served:called_fill", arguments=size.decoding | {"requests": 4}
        ),
    }
    return [
        _section(
            f"serve, {size.name}, {_CLIENTS} clients", many, "one", "one after another",
            at_least(4), size, repeats, log,
        ),
        _section(
            f"serve, {size.name}, 1 client", single, "called", "without a server",
            at_least(round(1 / (1 + _MOST_ADDED), 2)), size, repeats, log,
        ),
    ]  # fmt: skip


def _section(
    name: str,
    contestants: dict[str, Contestant],
    peer: str,
    peer_name: str,
    target: Target,
    size: Size,
    repeats: int,
    log: Log,
) -> Section:
    results = race(contestants, repeats, log)
    row = compare_rates(
        results["ours"],
        results[peer],
        name=name,
        unit="tokens/s",
        peer_name=peer_name,
        target=None if size.is_toy else target,
    )
    return Section(name=name, size=size.name, rows=[row], results=results)


def _served(size: Size, *, clients: int, requests: int) -> Contestant:
    arguments = size.decoding | {"clients": clients, "requests": requests}
    return Contestant(workload="unblank.bench.served:served_fill", arguments=arguments)
