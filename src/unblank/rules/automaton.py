"""A deterministic automaton over classes of characters, made of an expression.

Shapes: `Q` states, the dead one last; `C` classes; `P` code points.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unblank.rules.code_points import classes_of
from unblank.rules.expressions import NOTHING, Expressions, TooLargeError

__all__ = ["Automaton", "build_automaton"]

MOST_STATES = 10_000


@dataclass(frozen=True, slots=True)
class Automaton:
    """States and where characters lead; state 0 is the start.

    Attributes:
        next: int32[Q, C]; from the dead state, which is the last, there is no way out.
        accepts: bool[Q], whether the text may end there.
        class_P: int32[P], the class of each code point.
    """

    next: NDArray[np.int32]
    accepts: NDArray[np.bool_]
    class_P: NDArray[np.int32]

    @property
    def dead(self) -> int:
        """The dead state."""
        return len(self.accepts) - 1

    @property
    def is_empty(self) -> bool:
        """Whether no text is accepted."""
        return not self.accepts.any()


def build_automaton(expressions: Expressions, expression: int) -> Automaton:
    """Return the automaton of an expression; states from which no end can be reached are dead.

    Args:
        expressions: where it was made, after `divide`.
        expression: the number.

    Raises:
        TooLargeError: more than `MOST_STATES` states, or too much work to find them.
    """
    class_P, classes = classes_of(expressions.sets)
    expressions.divide(classes)
    num_classes = int(class_P.max()) + 1
    numbers, states = {expression: 0, NOTHING: 1}, [expression, NOTHING]
    rows: list[NDArray[np.int32]] = []
    while len(rows) < len(states):
        row = np.ones(num_classes, dtype=np.int32)
        firsts = expressions.firsts(states[len(rows)])
        for class_id in range(num_classes) if firsts is None else firsts:
            after = expressions.derivative(states[len(rows)], class_id)
            row[class_id] = numbers.setdefault(after, len(states))
            if row[class_id] == len(states):
                states.append(after)
        rows.append(row)
        if len(states) > MOST_STATES:
            raise TooLargeError
    accepts = np.array([expressions.takes_empty(state) for state in states])
    return _without_dead_ends(np.stack(rows), accepts, class_P)


def _without_dead_ends(
    next_QC: NDArray[np.int32], accepts: NDArray[np.bool_], class_P: NDArray[np.int32]
) -> Automaton:
    lives = accepts.copy()
    while True:
        grown = lives | lives[next_QC].any(axis=1)
        if (grown == lives).all():
            break
        lives = grown
    lives[0] = True  # the start is a state, whatever follows
    dead = int(lives.sum())
    number = np.where(lives, np.cumsum(lives) - 1, dead).astype(np.int32)
    kept = number[next_QC[lives]]
    last = np.full((1, next_QC.shape[1]), dead, dtype=np.int32)
    return Automaton(np.concatenate([kept, last]), np.append(accepts[lives], False), class_P)
