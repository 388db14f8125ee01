"""Rows of the benchmark table, with their targets, as a rich table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from unblank.bench.race import Result, paired_ratio

__all__ = [
    "ReportRow",
    "Section",
    "Target",
    "at_least",
    "at_most",
    "benchmark_json",
    "benchmark_table",
    "compare_rates",
    "compare_times",
]

_VERDICTS = {True: Text("pass", style="green"), False: Text("MISS", style="red"), None: Text()}
"""Whether a target was reached -> how that is shown."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a row must reach."""

    limit: float
    is_minimum: bool
    """The value must be at least the limit; otherwise at most."""
    of: Literal["ratio", "ours"] = "ratio"
    """Which column is compared with the limit."""


def at_least(limit: float, of: Literal["ratio", "ours"] = "ratio") -> Target:
    """Return the target that a column reaches from `limit` upwards."""
    return Target(limit, is_minimum=True, of=of)


def at_most(limit: float, of: Literal["ratio", "ours"] = "ratio") -> Target:
    """Return the target that a column reaches from `limit` downwards."""
    return Target(limit, is_minimum=False, of=of)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One line of the table."""

    name: str
    unit: str
    """Of `ours` and `peer`."""
    ours: float
    peer_name: str = ""
    peer: float | None = None
    ratio: float | None = None
    """Ours relative to the peer: the median over paired turns if both were timed."""
    target: Target | None = None
    floor: str = ""
    """Upper bound for any implementation on this machine, and where it comes from."""

    @property
    def has_passed(self) -> bool | None:
        """Whether the target is reached; None without a target."""
        if self.target is None:
            return None
        value = self.ours if self.target.of == "ours" else self.ratio
        assert value is not None
        limit = self.target.limit
        return value >= limit if self.target.is_minimum else value <= limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows that were measured together, with everything that was timed for them."""

    name: str
    size: str
    rows: list[ReportRow]
    results: dict[str, Result] = field(default_factory=dict)
    others_share: float | None = None
    """Share of the processors that other processes used meanwhile, if known."""


def compare_rates(
    ours: Result,
    peer: Result,
    *,
    name: str,
    unit: str,
    peer_name: str,
    target: Target | None,
    floor: str = "",
) -> ReportRow:
    """Return the row of two rates; a ratio above 1 is in our favour."""
    return ReportRow(
        name=name,
        unit=unit,
        ours=ours.rate,
        peer_name=peer_name,
        peer=peer.rate,
        ratio=paired_ratio(ours, peer),
        target=target,
        floor=floor,
    )


def compare_times(
    ours: Result,
    peer: Result,
    *,
    name: str,
    peer_name: str,
    unit: str = "s/step",
    target: Target | None,
    floor: str = "",
) -> ReportRow:
    """Return the row of the seconds of two steps; a ratio below 1 is in our favour."""
    rates = compare_rates(
        ours, peer, name=name, unit=unit, peer_name=peer_name, target=target, floor=floor
    )
    return replace(
        rates,
        ours=ours.step_seconds,
        peer=peer.step_seconds,
        ratio=1 / paired_ratio(ours, peer),
    )


def benchmark_table(sections: Sequence[Section]) -> Table:
    """Return all rows as one table."""
    table = Table("what", "ours", "peer", "ratio", "target", "", "floor", title="unblank bench")
    for column in (1, 2, 3, 4):
        table.columns[column].justify = "right"
    for section in sections:
        for row in section.rows:
            table.add_row(
                row.name,
                f"{_number(row.ours)} {row.unit}",
                f"{row.peer_name} {'' if row.peer is None else _number(row.peer)}".strip(),
                "" if row.ratio is None else f"{row.ratio:.2f}",
                _target_text(row.target),
                _VERDICTS[row.has_passed],
                row.floor,
            )
        table.add_section()
    return table


def benchmark_json(sections: Sequence[Section], about: dict[str, Any]) -> str:
    """Return everything measured as JSON: every row, and every repeat of every contestant."""
    measured = [
        {
            "name": section.name,
            "size": section.size,
            "others_share": section.others_share,
            "rows": [{**asdict(row), "passed": row.has_passed} for row in section.rows],
            "results": {name: asdict(result) for name, result in section.results.items()},
        }
        for section in sections
    ]
    return json.dumps({"machine": about, "sections": measured}, indent=1) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _target_text(target: Target | None) -> str:
    if target is None:
        return ""
    column = "" if target.of == "ratio" else " (ours)"
    return f"{'>=' if target.is_minimum else '<='} {target.limit:,g}{column}"
