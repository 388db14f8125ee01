"""The table of a run's languages: how much text each has, and how much of it is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

__all__ = ["MANY_LANGUAGES", "LanguageShare", "shares_table"]

MANY_LANGUAGES = 25
"""Rows above which languages of about the same size share one."""


@dataclass(frozen=True, slots=True)
class LanguageShare:
    """One language of a run.

    Attributes:
        code: of the language.
        num_documents: that it has.
        num_tokens: that these have.
        share: of the samples that are drawn, in [0, 1].
        epochs: passes over its text by the end of the run; None if the end is not known.
    """

    code: str
    num_documents: int
    num_tokens: int
    share: float
    epochs: float | None


def shares_table(shares: Sequence[LanguageShare], *, is_verbose: bool) -> Table:
    """Return the table; of many languages with a row for those whose text has a like size.

    Args:
        shares: of each language.
        is_verbose: a row for every language, however many there are.
    """
    is_grouped = len(shares) > MANY_LANGUAGES and not is_verbose
    table = Table(
        title="languages",
        caption="share = of the samples that are drawn; epochs = about, by the end of the run"
        + ("; --train.verbose shows every language" if is_grouped else ""),
        box=SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("tokens of a language" if is_grouped else "language")
    if is_grouped:
        table.add_column("languages", overflow="fold")
    for heading in ("documents", "tokens", "share", "epochs"):
        table.add_column(heading, justify="right")
    ordered = sorted(shares, key=lambda one: (-one.num_tokens, one.code))
    if not is_grouped:
        for one in ordered:
            table.add_row(one.code, *_cells([one]))
        return table
    groups: dict[int, list[LanguageShare]] = {}
    for one in ordered:
        groups.setdefault(math.floor(math.log10(max(one.num_tokens, 1))), []).append(one)
    for power, some in groups.items():
        codes = [one.code for one in some]
        shown = ", ".join(codes[:10]) + f", ... ({len(codes)})" * (len(codes) > 10)
        table.add_row(f"{10**power:,} or more", Text(shown), *_cells(some))
    return table


def _cells(shares: Sequence[LanguageShare]) -> list[str]:
    known = [one.epochs for one in shares if one.epochs is not None]
    ends = dict.fromkeys((min(known), max(known))) if known else {}
    return [
        f"{sum(one.num_documents for one in shares):,}",
        f"{sum(one.num_tokens for one in shares):,}",
        f"{sum(one.share for one in shares):.2%}",
        " to ".join(f"{end:.2f}" for end in ends),
    ]
