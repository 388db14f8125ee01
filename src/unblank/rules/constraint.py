"""Which tokens may come next under rules: an automaton over characters, walked by tokens.

A state is a state of the automaton and a place inside a character, as a token may be a part of one.
For each state it is known how many tokens are missing to an end, so that an answer never runs out
of room: a token is allowed only if what is left is enough after it.

Shapes: `Q` states of the automaton, `N` nodes inside characters, `S` states that can be reached,
`E` ways from one to another, `V` vocabulary.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unblank.rules.automaton import Automaton
from unblank.rules.expressions import TooLargeError
from unblank.rules.token_bytes import Vocabulary
from unblank.rules.token_paths import TokenPaths, read_paths
from unblank.rules.utf8 import utf8_table

__all__ = ["NEVER", "AnswerConstraint", "Constraint", "RuleProgress"]

NEVER = 32_767
"""More tokens than any answer has."""

_MOST_STEPS = 50_000_000
"""Steps of the automaton along all tokens from all states; about five seconds."""
_MOST_WAYS = 10_000_000
"""Different ways from state to state, once for each token that must come; some 200 MB."""
_AT_ONCE = 1_000_000
"""Steps that are taken together, at most."""
_KEPT_STATES = 32
"""States whose allowed tokens are kept."""


class AnswerConstraint(Protocol):
    """Which tokens may come next in an answer, and which end it."""

    def begin(self, limit: int) -> "RuleProgress":
        """Return where an answer of at most `limit` tokens begins."""

    def needs(self, state: int, num_tokens: int) -> Tensor:
        """Return int16[V], for each token how many tokens an answer needs from it on."""

    def after(self, state: int, token_id: int) -> int:
        """Return the state after a token that may come."""


class Constraint:
    """The rules on one answer, for one vocabulary.

    Args:
        automaton: which texts are allowed.
        vocabulary: what tokens add to a text.
        vocab_size: V.
        end_ids: tokens that end an answer.
        min_tokens: fewest tokens of an answer.
        max_tokens: most tokens; an answer of that many ends.

    Attributes:
        fewest: the smallest number of tokens that meets the rules; `NEVER` if none does.

    Raises:
        TooLargeError: following all tokens from all states would take too long.
    """

    def __init__(
        self,
        automaton: Automaton,
        vocabulary: Vocabulary,
        *,
        vocab_size: int,
        end_ids: Sequence[int],
        min_tokens: int = 0,
        max_tokens: int = NEVER - 1,
    ) -> None:
        self.max_tokens = max_tokens
        self.min_tokens = min_tokens
        self._automaton = automaton
        self._vocab_size = vocab_size
        self._end_ids = torch.tensor(sorted(end_ids))
        table = utf8_table(automaton.class_P)
        # The last node stands for the start, where tokens may be shown in another way.
        self._stride = table.num_nodes + 1
        self._start = table.num_nodes
        inside = range(1, table.num_nodes)
        self._paths_between = read_paths(vocabulary.later, table, [0])
        self._paths_inside = read_paths(vocabulary.inner, table, inside)
        self._paths_at_start = self._paths_between
        if vocabulary.first is not vocabulary.later:
            self._paths_at_start = read_paths(vocabulary.first, table, [0])
        self._num_steps = self._num_ways = 0
        self._place = np.full(len(automaton.accepts) * self._stride, -1, dtype=np.int32)
        sources, targets = self._explore()
        self._left_jS = self._tokens_left(sources, targets)
        self._kept: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self.fewest = int(self._left_jS[min_tokens, self._place[self._start]])

    def begin(self, limit: int) -> "RuleProgress":
        """Return where an answer begins.

        Args:
            limit: most tokens for which there is room.
        """
        return RuleProgress(self, self._start, 0, min(limit, self.max_tokens))

    def needs(self, state: int, num_tokens: int) -> Tensor:
        """Return int16[V], for each token how many tokens an answer needs from it on.

        The token itself counts, an end does not; `NEVER` if it may not come.

        Args:
            state: of this constraint.
            num_tokens: tokens before it.
        """
        missing = max(self.min_tokens - num_tokens, 0)
        key = (state, missing)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        place, node = divmod(state, self._stride)
        paths, origin = self._paths_at(node)
        tokens = paths.tokens_of(origin)
        dead = self._automaton.dead
        _, nodes, states = paths.reach(self._automaton.next, np.array([place]), dead)
        reached = np.full(paths.num_nodes, dead, dtype=np.int32)
        reached[nodes] = states
        targets = self._place[reached[paths.last[tokens]] * self._stride + paths.ends[tokens]]
        left = self._left_jS[max(missing - 1, 0)]
        needs = np.where(targets < 0, NEVER, np.minimum(left[targets] + 1, NEVER))
        needs_V = torch.full((self._vocab_size,), NEVER, dtype=torch.int16)
        token_ids = torch.from_numpy(paths.token_ids[tokens]).long()
        needs_V[token_ids] = torch.from_numpy(needs.astype(np.int16))
        may_end = missing == 0 and self._is_end(place, node)
        needs_V[self._end_ids] = 0 if may_end else NEVER
        self._kept[key] = needs_V
        if len(self._kept) > _KEPT_STATES:
            self._kept.popitem(last=False)
        return needs_V

    def after(self, state: int, token_id: int) -> int:
        """Return the state after a token that may come."""
        place, node = divmod(state, self._stride)
        paths, origin = self._paths_at(node)
        classes, end = paths.classes_of(origin, token_id)
        for class_id in classes:
            place = int(self._automaton.next[place, class_id])
        return place * self._stride + end

    def _paths_at(self, node: int) -> tuple[TokenPaths, int]:
        """Return the paths of the tokens that may come at a node, and its number among origins."""
        if node == self._start:
            return self._paths_at_start, 0
        return (self._paths_inside, node - 1) if node else (self._paths_between, 0)

    def _is_end(self, place: int, node: int) -> bool:
        return bool(self._automaton.accepts[place]) and node in (0, self._start)

    def _explore(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Number the states that tokens lead to; return the ways as int32[E], from and to."""
        sources: list[NDArray[np.int64]] = []
        targets: list[NDArray[np.int64]] = []
        new = np.array([self._start])
        found = [new]
        self._place[self._start] = 0
        num_found = 1
        while len(new):
            nodes = new % self._stride
            is_between, is_start = nodes == 0, nodes == self._start
            reached = []
            for states, paths in (
                (new[is_start], self._paths_at_start),
                (new[is_between], self._paths_between),
                (new[~is_between & ~is_start], self._paths_inside),
            ):
                size = max(_AT_ONCE // paths.num_nodes, 1)
                for start in range(0, len(states), size):
                    before, codes = self._ways(states[start : start + size], paths)
                    sources.append(before)
                    targets.append(codes)
                    reached.append(codes)
            codes = np.unique(np.concatenate(reached))
            new = codes[self._place[codes] < 0]
            self._place[new] = np.arange(num_found, num_found + len(new))
            num_found += len(new)
            found.append(new)
        self._states: NDArray[np.int64] = np.concatenate(found)
        return self._place[np.concatenate(sources)], self._place[np.concatenate(targets)]

    def _ways(
        self, states_B: NDArray[np.int64], paths: TokenPaths
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return each different way by one token: from which state, to which."""
        places, nodes = states_B // self._stride, states_B % self._stride
        rows, reached, states = paths.reach(self._automaton.next, places, self._automaton.dead)
        self._num_steps += len(rows)
        origins = nodes - 1 if paths is self._paths_inside else np.zeros_like(nodes)
        ends, which = paths.goals_of(origins[rows], reached)
        codes = states[which].astype(np.int64) * self._stride + ends
        ways = np.unique(rows[which] * len(self._place) + codes)
        self._num_ways += len(ways)
        if self._num_steps > _MOST_STEPS or self._num_ways * (self.min_tokens + 1) > _MOST_WAYS:
            raise TooLargeError
        return states_B[ways // len(self._place)], ways % len(self._place)

    def _tokens_left(
        self, sources: NDArray[np.int32], targets: NDArray[np.int32]
    ) -> NDArray[np.int32]:
        """Return int32[min_tokens + 1, S]: tokens to an end, if at least so many must come."""
        places, nodes = self._states // self._stride, self._states % self._stride
        is_end = self._automaton.accepts[places] & np.isin(nodes, (0, self._start))
        left = np.where(is_end, 0, NEVER).astype(np.int32)
        is_new = is_end
        for count in range(1, NEVER):
            reached = np.zeros(len(left), dtype=bool)
            reached[sources[is_new[targets]]] = True
            is_new = reached & (left == NEVER)
            if not is_new.any():
                break
            left[is_new] = count
        rows = [left]
        for _ in range(self.min_tokens):
            least = np.full(len(left), NEVER, dtype=np.int32)
            np.minimum.at(least, sources, np.minimum(rows[-1][targets] + 1, NEVER))
            rows.append(least)
        return np.stack(rows)


@dataclass(frozen=True, slots=True)
class RuleProgress:
    """How far an answer has come under its rules.

    Attributes:
        constraint: the rules.
        state: in them.
        num_tokens: tokens so far.
        limit: most tokens.
    """

    constraint: AnswerConstraint
    state: int
    num_tokens: int
    limit: int

    def after(self, token_id: int) -> "RuleProgress":
        """Return the same one token further on; an end is no such token."""
        state = self.constraint.after(self.state, token_id)
        return RuleProgress(self.constraint, state, self.num_tokens + 1, self.limit)

    def mask(self, log_p_V: Tensor) -> None:
        """Set to -inf, in place, what may not come next.

        Args:
            log_p_V: float[V], log-probabilities of the next token.
        """
        needs_V = self.constraint.needs(self.state, self.num_tokens)
        is_barred = needs_V > self.limit - self.num_tokens
        log_p_V.masked_fill_(is_barred.to(log_p_V.device), -torch.inf)
