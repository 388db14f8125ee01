"""Tokens as paths of character classes: a tree, so that what many tokens share is walked once.

Shapes: `W` tokens, `M` nodes of the tree, `G` goals, `Q` states of an automaton, `C` classes, `B`
states to start from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.rules.token_bytes import TokenBytes
from unblank.rules.utf8 import DEAD, Utf8Table

__all__ = ["TokenPaths", "read_paths"]


@dataclass(frozen=True, slots=True)
class TokenPaths:
    """The tokens that may follow at one place inside a character.

    Attributes:
        token_ids: int32[W], in ascending order.
        last: int64[W], the tree's node where each token's path ends.
        ends: int32[W], the place inside a character behind each token.
        parents: int64[M], the node before each; 0 is the root.
        classes: int32[M], the class that leads to each; of the root none.
        levels: where the nodes begin that come later than all before.
        goals: int64[G], nodes where paths end, each once with every `goal_ends`.
        goal_ends: int32[G], places inside a character.
    """

    token_ids: NDArray[np.int32]
    last: NDArray[np.int64]
    ends: NDArray[np.int32]
    parents: NDArray[np.int64]
    classes: NDArray[np.int32]
    levels: tuple[int, ...]
    goals: NDArray[np.int64]
    goal_ends: NDArray[np.int32]

    @property
    def num_nodes(self) -> int:
        """M."""
        return len(self.parents)

    def follow(self, next_QC: NDArray[np.int32], states_B: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return int32[B, M], where every node's path leads from each state."""
        reached = np.empty((len(states_B), self.num_nodes), dtype=np.int32)
        reached[:, 0] = states_B
        for start, end in zip(self.levels, self.levels[1:], strict=False):
            before = reached[:, self.parents[start:end]]
            reached[:, start:end] = next_QC[before, self.classes[start:end]]
        return reached

    def classes_of(self, token_id: int) -> tuple[list[int], int]:
        """Return the classes on a token's path, and the place inside a character behind it."""
        index = int(np.searchsorted(self.token_ids, token_id))
        node, classes = int(self.last[index]), []
        while node:
            classes.append(int(self.classes[node]))
            node = int(self.parents[node])
        return classes[::-1], int(self.ends[index])


def read_paths(tokens: TokenBytes, table: Utf8Table, start: int) -> TokenPaths:
    """Return the paths of the tokens whose bytes may follow.

    Args:
        tokens: the vocabulary.
        table: of the classes.
        start: the place inside a character where tokens begin, a node of the table.
    """
    num_nodes = table.num_nodes
    num_classes = int(table.step.max()) - num_nodes + 1
    inside = np.full(len(tokens.lengths), start, dtype=np.int32)
    last = np.zeros(len(tokens.lengths), dtype=np.int64)
    parents, classes, levels = [np.zeros(1, np.int64)], [np.zeros(1, np.int32)], [1]
    active = np.arange(len(tokens.lengths))
    for place in range(int(tokens.lengths.max(initial=0))):
        active = active[tokens.lengths[active] > place]
        steps = table.step[inside[active], tokens.content[tokens.starts[active] + place]]
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
    last, inside = last[is_possible], inside[is_possible]
    goals = np.unique(last * num_nodes + inside)
    return TokenPaths(
        tokens.token_ids[is_possible],
        last,
        inside,
        np.concatenate(parents),
        np.concatenate(classes),
        tuple(levels),
        goals // num_nodes,
        (goals % num_nodes).astype(np.int32),
    )
