"""How much of the cache of keys and values requests need, counted in tokens, and what is left.

Rows that are decoded together end at the same column, so each takes as many columns as the longest:
a text of `S` tokens with answers of at most `A` stands in rows of at most max S + max A. The beams
of a text share a row of their own.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Self

from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.plurals import counted

__all__ = ["CacheBudget", "Demand"]


@dataclass(frozen=True, slots=True)
class Demand:
    """What decoding a prompt may take.

    Attributes:
        num_rows: rows.
        prompt_tokens: tokens of the prompt.
        answer_tokens: most tokens of all answers of a row, their starts included.
        is_apart: whether its rows are not shared with others.
    """

    num_rows: int
    prompt_tokens: int
    answer_tokens: int
    is_apart: bool

    @classmethod
    def of(cls, setup: DecoderSetup, prompt: Prompt) -> Self:
        """Return what decoding a prompt in this way may take."""
        options = setup.options
        longest = 2 + (prompt.max_tokens or setup.rules.max_tokens)
        tokens, blanks = len(prompt.token_ids), len(prompt.blanks)
        if options.num_beams == 1:
            return cls(options.num_return, tokens, longest * blanks, is_apart=False)
        # The beams stand in one row, and the row that they started from is kept.
        before = options.num_return * longest * (blanks - 1)
        return cls(2, tokens, before + -(-options.num_beams * longest // 2), is_apart=True)

    @property
    def tokens(self) -> int:
        """Tokens of the cache if it is decoded alone."""
        return self.num_rows * (self.prompt_tokens + self.answer_tokens)


class CacheBudget:
    """Tokens of the cache that are reserved, of those that there are."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reserved: Counter[Demand] = Counter()

    @property
    def num_rows(self) -> int:
        """Rows for which there are reservations."""
        return sum(demand.num_rows * count for demand, count in self._reserved.items())

    @property
    def reserved(self) -> int:
        """Tokens that are reserved."""
        return _tokens(self._reserved)

    def require_possible(self, demand: Demand) -> None:
        """Raise ValueError if it would not fit even alone."""
        if demand.tokens > self._limit:
            raise ValueError(
                f"this takes {demand.tokens:,} tokens of the cache "
                f"({counted(demand.num_rows, 'row')} of "
                f"{demand.prompt_tokens} tokens and at most {demand.answer_tokens} new ones), but "
                f"this server has {self._limit:,}: lower max_tokens, num_return or num_beams, or "
                "give a shorter text"
            )

    def has_room(self, demand: Demand) -> bool:
        """Whether it fits beside what is reserved."""
        return _tokens(self._reserved + Counter([demand])) <= self._limit

    def reserve(self, demand: Demand) -> None:
        """Note that it is taken."""
        self._reserved[demand] += 1

    def release(self, demand: Demand) -> None:
        """Note that it is free again."""
        self._reserved -= Counter([demand])

    def clear(self) -> None:
        """Note that nothing is taken."""
        self._reserved.clear()


def _tokens(reserved: Counter[Demand]) -> int:
    apart = sum(demand.tokens * count for demand, count in reserved.items() if demand.is_apart)
    shared = [demand for demand in reserved if not demand.is_apart]
    num_rows = sum(demand.num_rows * reserved[demand] for demand in shared)
    width = max((demand.prompt_tokens for demand in shared), default=0)
    width += max((demand.answer_tokens for demand in shared), default=0)
    return apart + num_rows * width
