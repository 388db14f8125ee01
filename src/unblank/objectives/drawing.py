"""An objective that draws one of several kinds for each sample, of any kind of example.

The kind is the first draw of the generator, so a sample that is made again from the same seed with
less text keeps its kind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from unblank.examples import IntArray
from unblank.tokenization.special import SpecialIds

__all__ = ["Mixture", "mixture_of", "ordinary_ids"]

_Context = TypeVar("_Context")
_Made = TypeVar("_Made")


def _all_of_it(tokens: IntArray, rng: np.random.Generator, context: object) -> IntArray:
    return tokens


@dataclass(frozen=True, slots=True)
class Mixture(Generic[_Context, _Made]):
    """Draws a kind for each sample; can be pickled.

    Attributes:
        context: options and tables of all kinds.
        kinds: name -> (text ids, generator, context) -> example.
        cumulative: float64[K], cumulative probabilities of the kinds, ending with 1.
        take: chooses the part of a text that is used, after the kind is drawn.
    """

    context: _Context
    kinds: Mapping[str, Callable[[IntArray, np.random.Generator, _Context], _Made]]
    cumulative: NDArray[np.float64]
    take: Callable[[IntArray, np.random.Generator, _Context], IntArray] = _all_of_it

    def __call__(self, tokens: IntArray, rng: np.random.Generator) -> _Made:
        """Corrupt one text, int64[N]; 3 tokens are enough for every kind."""
        drawn = int(np.searchsorted(self.cumulative, rng.random(), side="right"))
        corrupt = list(self.kinds.values())[drawn]
        return corrupt(self.take(tokens, rng, self.context), rng, self.context)


def mixture_of(
    kinds: Mapping[str, Callable[[IntArray, np.random.Generator, _Context], _Made]],
    weights: Mapping[str, float],
    context: _Context,
    take: Callable[[IntArray, np.random.Generator, _Context], IntArray] = _all_of_it,
) -> Mixture[_Context, _Made]:
    """Return the mixture of the kinds of weight above 0.

    Args:
        kinds: every kind by name.
        weights: name -> weight; they need not sum to 1.
        context: options and tables of all kinds.
        take: chooses the part of a text that is used.
    """
    used = {name: weight for name, weight in weights.items() if weight > 0}
    cumulative = np.cumsum(list(used.values()))
    return Mixture(context, {name: kinds[name] for name in used}, cumulative / cumulative[-1], take)


def ordinary_ids(special: SpecialIds, vocab_size: int) -> IntArray:
    """Return int64[O], the ids that are not special, for random replacement."""
    names = (special.pad, special.eos, special.cls, special.sep, special.unk, special.sop)
    reserved = (*names, special.eop, special.dblock, *special.blanks, *special.sentinels)
    return np.setdiff1d(np.arange(vocab_size), reserved)
