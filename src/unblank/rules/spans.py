"""An answer that stands in a text: any run of its tokens, followed by a suffix automaton.

The automaton has a state for each set of places where a run may end, so following a run takes one
step a token, however often its parts occur.

Shapes: `N` tokens of the text, `S` states, `V` vocabulary.
"""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from unblank.rules.constraint import NEVER, RuleProgress

__all__ = ["SpanConstraint"]


class SpanConstraint:
    """The rule that an answer is a part of a text; see `unblank.rules.constraint.AnswerConstraint`.

    Args:
        token_ids: of the text, int[N]; None where something stands that is never written.
        start_ids: tokens with which an answer may begin.
        may_end: bool[N], whether an answer may end with the token there.
        vocab_size: V.
        end_ids: tokens that end an answer.
        min_tokens: fewest tokens of an answer; with 0 it may be empty.

    Attributes:
        fewest: the smallest number of tokens of an answer; `NEVER` if there is none.

    Raises:
        ValueError: `may_end` has another length than `token_ids`.
    """

    def __init__(
        self,
        token_ids: Sequence[int | None],
        *,
        start_ids: Collection[int],
        may_end: Sequence[bool],
        vocab_size: int,
        end_ids: Collection[int],
        min_tokens: int = 0,
    ) -> None:
        self.min_tokens = min_tokens
        self._vocab_size = vocab_size
        self._end_ids = torch.tensor(sorted(end_ids))
        self._next: list[dict[int, int]] = [{}]
        self._link, self._length, self._is_end = [-1], [0], [False]
        last = 0
        for token_id, is_end in zip(token_ids, may_end, strict=True):
            last = 0 if token_id is None else self._grown(last, token_id)
            self._is_end[last] |= is_end and token_id is not None
        # What ends in some place, ends there without its first tokens, too.
        order = sorted(range(1, len(self._length)), key=self._length.__getitem__, reverse=True)
        for state in order:
            self._is_end[self._link[state]] |= self._is_end[state]
        self._is_end[0] = True  # the empty answer, which `min_tokens` may forbid
        self._next[0] = {one: to for one, to in self._next[0].items() if one in start_ids}
        self._left_jS = self._tokens_left([*order, 0])
        self.fewest = self._left_jS[min_tokens][0]

    def begin(self, limit: int) -> RuleProgress:
        """Return where an answer of at most `limit` tokens begins."""
        return RuleProgress(self, 0, 0, limit)

    def needs(self, state: int, num_tokens: int) -> Tensor:
        """Return int16[V]; see `unblank.rules.constraint.Constraint.needs`."""
        missing = max(self.min_tokens - num_tokens, 0)
        left = self._left_jS[max(missing - 1, 0)]
        needs_V = torch.full((self._vocab_size,), NEVER, dtype=torch.int16)
        for token_id, target in self._next[state].items():
            needs_V[token_id] = min(left[target] + 1, NEVER)
        needs_V[self._end_ids] = 0 if missing == 0 and self._is_end[state] else NEVER
        return needs_V

    def after(self, state: int, token_id: int) -> int:
        """Return the state after a token that may come."""
        return self._next[state][token_id]

    def _grown(self, last: int, token_id: int) -> int:
        """Return the state of the longest run that ends with one more token, made if it is new."""
        known = self._next[last].get(token_id)
        if known is not None:
            return self._parted(last, token_id, known)
        new = self._add({}, self._length[last] + 1)
        while last >= 0 and token_id not in self._next[last]:
            self._next[last][token_id] = new
            last = self._link[last]
        if last < 0:
            self._link[new] = 0
        else:
            self._link[new] = self._parted(last, token_id, self._next[last][token_id])
        return new

    def _parted(self, before: int, token_id: int, state: int) -> int:
        """Return the state of the run through `before` alone; it parts from longer ones."""
        if self._length[state] == self._length[before] + 1:
            return state
        clone = self._add(dict(self._next[state]), self._length[before] + 1)
        self._link[clone], self._link[state] = self._link[state], clone
        while before >= 0 and self._next[before].get(token_id) == state:
            self._next[before][token_id] = clone
            before = self._link[before]
        return clone

    def _add(self, following: dict[int, int], length: int) -> int:
        self._next.append(following)
        self._length.append(length)
        self._link.append(0)
        self._is_end.append(False)
        return len(self._next) - 1

    def _tokens_left(self, order: Sequence[int]) -> list[list[int]]:
        """Return int[min_tokens + 1, S]: tokens to an end, if at least so many must come.

        Args:
            order: states, each behind those that its tokens lead to.
        """
        rows = [[0 if is_end else NEVER for is_end in self._is_end]]
        for state in order:
            following = [rows[0][target] + 1 for target in self._next[state].values()]
            rows[0][state] = min([rows[0][state], *following])
        for _ in range(self.min_tokens):
            rows.append(
                [
                    min([NEVER, *(rows[-1][target] + 1 for target in following.values())])
                    for following in self._next
                ]
            )
        return rows
