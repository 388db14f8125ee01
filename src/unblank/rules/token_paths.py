"""Tokens as paths of character classes: a tree, so that what many tokens share is walked once.

Shapes: `O` origins, `W` tokens of all origins, `M` nodes of the tree, `G` goals of all origins, `Q`
states of an automaton, `C` classes, `B` states to start from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.rules.token_bytes import TokenBytes
from unblank.rules.utf8 import DEAD, Utf8Table

__all__ = ["TokenPaths", "read_paths"]


@dataclass(frozen=True, slots=True)
class TokenPaths:
    """The tokens that may follow at places inside a character, the origins.

    Attributes:
        token_ids: int32[W], those of one origin after those of another, each in ascending order.
        last: int64[W], the tree's node where each token's path ends.
        ends: int32[W], the place inside a character behind each token.
        token_starts: int64[O + 1], where the tokens of each origin begin.
        parents: int64[M], the node before each; 0 is the root.
        classes: int32[M], the class that leads to each; of the root none.
        children: int64[M - 1], the nodes behind each node, one node's after another's.
        child_starts: int64[M + 1], where those of each node begin.
        goal_ends: int32[G], places inside a character behind paths that end at a node.
        goal_starts: int64[O * M + 1], where those of each origin and node begin.
    """

    token_ids: NDArray[np.int32]
    last: NDArray[np.int64]
    ends: NDArray[np.int32]
    token_starts: NDArray[np.int64]
    parents: NDArray[np.int64]
    classes: NDArray[np.int32]
    children: NDArray[np.int64]
    child_starts: NDArray[np.int64]
    goal_ends: NDArray[np.int32]
    goal_starts: NDArray[np.int64]

    @property
    def num_nodes(self) -> int:
        """M."""
        return len(self.parents)

    def tokens_of(self, origin: int) -> slice:
        """Return which of the W tokens may follow at an origin."""
        return slice(*self.token_starts[origin : origin + 2].tolist())

    def reach(
        self, next_QC: NDArray[np.int32], states_B: NDArray[np.int64], dead: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
        """Return where paths lead: number of the start in B, node, and state; dead ones left out.

        Args:
            next_QC: of the automaton.
            states_B: where to start from.
            dead: its dead state.
        """
        rows = np.arange(len(states_B))
        nodes = np.zeros(len(states_B), dtype=np.int64)
        states = states_B.astype(np.int32)
        found = [(rows, nodes, states)]
        while len(rows):
            places, which = _ranges(self.child_starts[nodes], self.child_starts[nodes + 1])
            children = self.children[places]
            states = next_QC[states[which], self.classes[children]]
            is_alive = states != dead
            rows, nodes, states = rows[which[is_alive]], children[is_alive], states[is_alive]
            found.append((rows, nodes, states))
        all_rows, all_nodes, all_states = zip(*found, strict=True)
        return np.concatenate(all_rows), np.concatenate(all_nodes), np.concatenate(all_states)

    def goals_of(
        self, origins: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the places inside a character behind paths that end at nodes, one or more each.

        Args:
            origins: where each path began.
            nodes: where it has come.

        Returns:
            The places, and for each the number of its node.
        """
        keys = origins * self.num_nodes + nodes
        places, which = _ranges(self.goal_starts[keys], self.goal_starts[keys + 1])
        return self.goal_ends[places], which

    def classes_of(self, origin: int, token_id: int) -> tuple[list[int], int]:
        """Return the classes on a token's path, and the place inside a character behind it."""
        tokens = self.tokens_of(origin)
        index = tokens.start + int(np.searchsorted(self.token_ids[tokens], token_id))
        node, classes = int(self.last[index]), []
        while node:
            classes.append(int(self.classes[node]))
            node = int(self.parents[node])
        return classes[::-1], int(self.ends[index])


def read_paths(tokens: TokenBytes, table: Utf8Table, places: Sequence[int]) -> TokenPaths:
    """Return the paths of the tokens whose bytes may follow.

    Args:
        tokens: the vocabulary.
        table: of the classes.
        places: the origins, nodes of the table.
    """
    num_nodes, num_tokens = table.num_nodes, len(tokens.lengths)
    num_classes = int(table.step.max()) - num_nodes + 1
    inside = np.repeat(np.array(places, dtype=np.int32), num_tokens)
    lengths = np.tile(tokens.lengths, len(places))
    starts = np.tile(tokens.starts, len(places))
    last = np.zeros(len(inside), dtype=np.int64)
    parents, classes, num_found = [np.zeros(1, np.int64)], [np.zeros(1, np.int32)], 1
    active = np.arange(len(inside))
    for place in range(int(lengths.max(initial=0))):
        active = active[lengths[active] > place]
        steps = table.step[inside[active], tokens.content[starts[active] + place]]
        inside[active[steps == DEAD]] = DEAD
        active, steps = active[steps != DEAD], steps[steps != DEAD]
        is_whole = steps >= num_nodes
        inside[active] = np.where(is_whole, 0, steps)
        grown = active[is_whole]
        if len(grown):
            keys = last[grown] * num_classes + (steps[is_whole] - num_nodes)
            unique, index = np.unique(keys, return_inverse=True)
            last[grown] = num_found + index
            parents.append(unique // num_classes)
            classes.append((unique % num_classes).astype(np.int32))
            num_found += len(unique)
    is_possible = inside != DEAD
    origins = np.repeat(np.arange(len(places)), num_tokens)[is_possible]
    last, inside = last[is_possible], inside[is_possible]
    goals = np.unique((origins * num_found + last) * num_nodes + inside)
    parent_of_each = np.concatenate(parents)
    children = np.argsort(parent_of_each[1:], kind="stable") + 1
    return TokenPaths(
        token_ids=np.tile(tokens.token_ids, len(places))[is_possible],
        last=last,
        ends=inside,
        token_starts=np.searchsorted(origins, np.arange(len(places) + 1)),
        parents=parent_of_each,
        classes=np.concatenate(classes),
        children=children,
        child_starts=np.searchsorted(parent_of_each[children], np.arange(num_found + 1)),
        goal_ends=(goals % num_nodes).astype(np.int32),
        goal_starts=np.searchsorted(goals, num_nodes * np.arange(len(places) * num_found + 1)),
    )


def _ranges(
    starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all numbers of several ranges, and for each which range it is of."""
    counts = ends - starts
    which = np.repeat(np.arange(len(counts)), counts)
    firsts = np.repeat(starts - np.concatenate([[0], counts.cumsum()[:-1]]), counts)
    return np.arange(len(which)) + firsts, which
