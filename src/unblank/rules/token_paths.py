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
        levels: where the nodes begin that come later than all before.
        goals: int64[G], nodes where paths end, each once an origin with every `goal_ends`.
        goal_ends: int32[G], places inside a character.
        goal_starts: int64[O + 1], where the goals of each origin begin.
    """

    token_ids: NDArray[np.int32]
    last: NDArray[np.int64]
    ends: NDArray[np.int32]
    token_starts: NDArray[np.int64]
    parents: NDArray[np.int64]
    classes: NDArray[np.int32]
    levels: tuple[int, ...]
    goals: NDArray[np.int64]
    goal_ends: NDArray[np.int32]
    goal_starts: NDArray[np.int64]

    @property
    def num_nodes(self) -> int:
        """M."""
        return len(self.parents)

    def tokens_of(self, origin: int) -> slice:
        """Return which of the W tokens may follow at an origin."""
        return slice(*self.token_starts[origin : origin + 2].tolist())

    def follow(self, next_QC: NDArray[np.int32], states_B: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return int32[B, M], where every node's path leads from each state."""
        reached = np.empty((len(states_B), self.num_nodes), dtype=np.int32)
        reached[:, 0] = states_B
        for start, end in zip(self.levels, self.levels[1:], strict=False):
            before = reached[:, self.parents[start:end]]
            reached[:, start:end] = next_QC[before, self.classes[start:end]]
        return reached

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
    parents, classes, levels = [np.zeros(1, np.int64)], [np.zeros(1, np.int32)], [1]
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
            last[grown] = levels[-1] + index
            parents.append(unique // num_classes)
            classes.append((unique % num_classes).astype(np.int32))
            levels.append(levels[-1] + len(unique))
    is_possible = inside != DEAD
    origins = np.repeat(np.arange(len(places)), num_tokens)[is_possible]
    last, inside = last[is_possible], inside[is_possible]
    goals = np.unique((origins * levels[-1] + last) * num_nodes + inside)
    edges = np.arange(len(places) + 1)
    return TokenPaths(
        np.tile(tokens.token_ids, len(places))[is_possible],
        last,
        inside,
        np.searchsorted(origins, edges),
        np.concatenate(parents),
        np.concatenate(classes),
        tuple(levels),
        goals // num_nodes % levels[-1],
        (goals % num_nodes).astype(np.int32),
        np.searchsorted(goals // num_nodes // levels[-1], edges),
    )
