"""`unblank score --answers`: what an answer to every blank is worth, in all orders of filling."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from unblank.api import Unblank
from unblank.commands.texts import (
    GivenText,
    Refused,
    each_text,
    print_json,
    print_refused,
    raise_any,
)
from unblank.consoles import TextConsole
from unblank.generation.order_scores import OrderScores

__all__ = ["print_order_scores"]


def print_order_scores(
    unblank: Unblank, texts: Iterable[GivenText], answers: Sequence[str], *, as_json: bool
) -> None:
    """Print the joint log-probability of the answers in each order, the most probable first.

    Args:
        unblank: a GLM.
        texts: with as many blanks as there are answers.
        answers: one for each blank.
        as_json: print a JSON object a text, not a table.

    Raises:
        ValueError: as for `Unblank.score_orders`, once the other texts are scored.
    """
    console = TextConsole(highlight=False)
    problems: list[str] = []

    def scored(text: str) -> tuple[str, OrderScores]:
        return text, unblank.score_orders(text, list(answers))

    for answer in each_text(texts, scored, problems):
        if isinstance(answer, Refused):
            print_refused(answer, console, "scored", as_json=as_json)
        elif as_json:
            print_json(_values(*answer, list(answers)))
        else:
            console.print(_table(*answer))
    raise_any(problems)


def _values(text: str, scores: OrderScores, answers: list[str]) -> dict[str, Any]:
    """Return the scores as plain values; blanks count from 0, as everywhere but in the table."""
    return {
        "text": text,
        "answers": answers,
        "log_probability": scores.log_probability,
        "probability": math.exp(scores.log_probability),
        "orders": [
            {"order": list(order), "log_probability": log_p, "probability": math.exp(log_p)}
            for order, log_p in _ranked(scores)
        ],
    }


def _ranked(scores: OrderScores) -> list[tuple[tuple[int, ...], float]]:
    return sorted(scores.by_order.items(), key=lambda pair: -pair[1])


def _table(text: str, scores: OrderScores) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(text, style="bold"), title_justify="left", show_footer=True)
    table.add_column("order of blanks", "mean of all")
    table.add_column("log p", f"{scores.log_probability:.3f}", justify="right")
    for order, log_p in _ranked(scores):
        table.add_row(" ".join(str(blank + 1) for blank in order), f"{log_p:.3f}")
    return table
