"""The text of an answer as it grows: what may be sent already, and where a stop string ends it.

Held back is what may still change: half of a character, and the beginning of a stop string.
"""

from collections.abc import Sequence

__all__ = ["GrowingText", "first_stop"]

_HALF_CHARACTER = "\N{REPLACEMENT CHARACTER}"


def first_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Return where the first stop string begins and which it is; None if there is none.

    Args:
        text: of an answer.
        stops: not empty each.
    """
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    return min(found, default=None)


class GrowingText:
    """What was sent of an answer."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stops)
        self._sent = ""

    def more(self, text: str, *, is_whole: bool = False) -> str:
        """Return what can be sent now, after what was sent before.

        Args:
            text: the whole answer so far.
            is_whole: whether nothing follows.
        """
        stop = first_stop(text, self._stops)
        if stop is not None:
            text = text[: stop[0]]
        elif not is_whole:
            text = self._without_open_end(text.rstrip(_HALF_CHARACTER))
        if not text.startswith(self._sent):
            return ""
        new = text[len(self._sent) :]
        self._sent = text if new else self._sent
        return new

    def _without_open_end(self, text: str) -> str:
        """Return the text without what may be the beginning of a stop string."""
        lengths = (
            length
            for stop in self._stops
            for length in range(1, min(len(stop), len(text) + 1))
            if text.endswith(stop[:length])
        )
        return text[: len(text) - max(lengths, default=0)]
