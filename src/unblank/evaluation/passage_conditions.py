"""Questions asked without passages, with some from an index, and with those of other questions.

The last tells how much of a gain comes from the passages themselves: wrong ones must not help.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from unblank.generation.passages import Passage
from unblank.plurals import counted
from unblank.retrieval.index import PassageIndex

__all__ = ["Condition", "holds_words", "passage_conditions"]

_SEED = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """Passages for all questions.

    Attributes:
        title: of what is asked so, put behind the name of a set; empty without passages.
        passages: of each question, best first; none where the index has none that fits.
    """

    title: str
    passages: Sequence[Sequence[Passage]]


def passage_conditions(
    index: PassageIndex | None, top: Sequence[int], queries: Sequence[str]
) -> list[Condition]:
    """Return the conditions under which questions are asked, the one without passages first.

    Args:
        index: of passages; None for none.
        top: numbers of passages.
        queries: what is searched for each question.
    """
    conditions = [Condition("", [()] * len(queries))]
    if index is None:
        return conditions
    found = [index.search(query, max(top)) for query in queries]
    for number in sorted(set(top)):
        passages = [of_one[:number] for of_one in found]
        conditions.append(Condition(f" with {counted(number, 'passage')}", passages))
    if len(queries) > 1:
        order = list(range(len(queries)))
        random.Random(_SEED).shuffle(order)
        wrong = dict(pairwise([*order, order[0]]))
        passages = [found[wrong[number]] for number in range(len(queries))]
        conditions.append(Condition(f" with {counted(max(top), 'passage')} of others", passages))
    return conditions


def holds_words(words: Sequence[str], text: Sequence[str]) -> bool:
    """Whether a text has these words, one after another.

    Args:
        words: at least one, as `unblank.metrics.words.split_words` divides them.
        text: likewise.

    Example:
        >>> holds_words(["new", "york"], ["in", "new", "york"]), holds_words(["york"], ["yorker"])
        (True, False)
    """
    size = len(words)
    return any(text[start : start + size] == words for start in range(len(text) - size + 1))
