"""The surest blank first: which blank is filled next is decided by filling each that is open.

A blank is filled after those chosen before it, in Part B, exactly as in the order that results. The
surest is the one whose answer, its end included, has the highest probability. Here whole prompts
are decoded, which may then share their steps with others; `surest` encodes a text once.
"""

from collections.abc import Sequence

from unblank.generation.pieces import Filling
from unblank.generation.prompts import BlankedText
from unblank.generation.rows import Prompt

__all__ = ["MOST_TRIED_BLANKS", "SurestFirst"]

MOST_TRIED_BLANKS = 16
"""Blanks of a text in whose order the surest comes first: the work grows with their cube."""


class SurestFirst:
    """Finds the order of one text, a blank a round.

    Args:
        blanked: the text, its blanks from left to right.

    Attributes:
        order: the blanks chosen so far.

    Raises:
        ValueError: it has too many blanks.
    """

    def __init__(self, blanked: BlankedText) -> None:
        num_blanks = len(blanked.order)
        if num_blanks > MOST_TRIED_BLANKS:
            raise ValueError(
                f"order is confidence, but the text has {num_blanks} blanks: at most "
                f"{MOST_TRIED_BLANKS} are tried, so give their order by numbers"
            )
        self.order: tuple[int, ...] = () if num_blanks > 1 else (0,)
        self._prompt = blanked.prompt
        self._open = list(range(num_blanks)) if num_blanks > 1 else []

    def trials(self) -> list[Prompt]:
        """Return what is decoded to choose the next blank: one prompt for each that is open."""
        return [self._prompt.with_blanks((*self.order, blank)) for blank in self._open]

    def choose(self, found: Sequence[Sequence[Filling]]) -> None:
        """Take the next blank.

        Args:
            found: the fillings of each of the trials, best first.
        """
        sure = [fillings[0].pieces[-1].log_probability for fillings in found]
        self.order += (self._open.pop(sure.index(max(sure))),)
        if len(self._open) == 1:
            self.order += (self._open.pop(),)
