"""A passage that is too long for the model is read in windows that overlap by half.

Windows are cut without looking at the answer. They are texts, so that a question is asked in a
window as it would be asked about a short passage.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unblank.questions.reading import GoldAnswer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["PassageWindow", "cut_windows"]

_FEWEST = 8
"""Tokens of a passage that a window must have room for."""


@dataclass(frozen=True, slots=True)
class PassageWindow:
    """A part of a passage as the model reads it with its question.

    Attributes:
        start: its first character in the passage.
        end: the character after its last.
        token_ids: the whole input.
    """

    start: int
    end: int
    token_ids: tuple[int, ...]

    def holds(self, answer: GoldAnswer) -> bool:
        """Whether an answer of the passage is whole in it."""
        return self.start <= answer.start and answer.end <= self.end


def cut_windows(
    tokenizer: "PreTrainedTokenizerFast",
    context: str,
    encode: Callable[[str], Sequence[int]],
    max_tokens: int,
) -> list[PassageWindow]:
    """Return windows that cover a passage, each beginning in the middle of the one before.

    Args:
        tokenizer: of the model.
        context: the passage.
        encode: makes the whole input of a part of the passage.
        max_tokens: of an input.

    Raises:
        ValueError: the question alone leaves no room for a passage.
    """
    whole = tuple(encode(context))
    if len(whole) <= max_tokens:
        return [PassageWindow(0, len(context), whole)]
    pieces: list[tuple[int, int]] = tokenizer(
        context, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True,
        verbose=False,
    )["offset_mapping"]  # fmt: skip
    room = max_tokens - (len(whole) - len(pieces))
    if room < _FEWEST:
        raise _no_room(max_tokens - room, max_tokens)
    windows: list[PassageWindow] = []
    first = 0
    while True:
        last = min(first + room, len(pieces))
        window = _window(context, pieces, first, last, encode)
        while len(window.token_ids) > max_tokens:  # a part may have more tokens by itself
            if last - first == 1:
                raise _no_room(max_tokens - room, max_tokens)
            last = max(last - (len(window.token_ids) - max_tokens), first + 1)
            window = _window(context, pieces, first, last, encode)
        windows.append(window)
        if last == len(pieces):
            return windows
        first += max((last - first) // 2, 1)


def _no_room(num_others: int, max_tokens: int) -> ValueError:
    return ValueError(
        f"the question takes {num_others} tokens, which leaves no room for the passage in "
        f"{max_tokens}: raise seq2seq.max_source_length, or shorten the question"
    )


def _window(
    context: str,
    pieces: Sequence[tuple[int, int]],
    first: int,
    last: int,
    encode: Callable[[str], Sequence[int]],
) -> PassageWindow:
    start, end = pieces[first][0], pieces[last - 1][1]
    text = context[start:end]
    start += len(text) - len(text.lstrip())
    return PassageWindow(start, end, tuple(encode(context[start:end])))
