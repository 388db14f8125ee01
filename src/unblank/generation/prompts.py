"""From text with blanks to what the model sees, and from its pieces back into the text.

The user's own characters are kept; only the blanks are replaced. One space before a blank belongs
to the answer, as in `unblank.tokenization.encoding`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unblank.generation.rows import Prompt
from unblank.plurals import counted
from unblank.settings.ranges import check_count
from unblank.tokenization.encoding import encode_texts, encode_with_blanks
from unblank.tokenization.fewest import fewest_tokens
from unblank.tokenization.special import BLANK_TOKENS, GMASK_TOKEN, SpecialIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["BlankedText", "decode_after", "encode_candidate", "read_text", "splice"]

_BLANK = re.compile("|".join(map(re.escape, BLANK_TOKENS)))
# What is decoded in front of a piece, so that its first token is shown as inside a text.
_ANCHOR_CHARACTERS, _ANCHOR_TOKENS = 80, 8


@dataclass(frozen=True, slots=True)
class BlankedText:
    """A text with blanks.

    Attributes:
        parts: the text around the blanks, one more than there are blanks.
        prompt: what the model sees; its blanks stand in the order in which they are filled.
        order: for each filled blank in turn, which blank of the text it is.
    """

    parts: tuple[str, ...]
    prompt: Prompt
    order: tuple[int, ...]

    def ordered(self, order: tuple[int, ...]) -> "BlankedText":
        """Return the same with its blanks, so far from left to right, in another order."""
        return BlankedText(self.parts, self.prompt.with_blanks(order), order)


def read_text(
    tokenizer: "PreTrainedTokenizerFast",
    special: SpecialIds,
    text: str,
    *,
    max_positions: int,
    order: Sequence[int] | None = None,
) -> BlankedText:
    """Return a text ready to be filled: [CLS], the text, and an end unless it ends in [gMASK].

    Args:
        tokenizer: of the model.
        special: its special tokens.
        text: with at least one of `[MASK]`, `[sMASK]`, `[gMASK]`.
        max_positions: positions that the model has for a text.
        order: the blanks, counted from 0, in the order of filling; None for left to right.

    Raises:
        ValueError: no blank, an order that is not one of these blanks, or a text that is too long.
    """
    parts = tuple(_BLANK.split(text))
    num_blanks = len(parts) - 1
    if not num_blanks:
        raise ValueError(
            f"{_shortened(text)!r} has no blank: write one of {', '.join(BLANK_TOKENS)} where "
            "something is missing"
        )
    if isinstance(order, str):
        raise ValueError(f"order is {order!r}: give the blanks by numbers from 0, or 'confidence'")
    given = range(num_blanks) if order is None else order
    order = tuple(check_count(blank, "order", low=0) for blank in given)
    if sorted(order) != list(range(num_blanks)):
        raise ValueError(
            f"order {order} does not fit {_shortened(text)!r}: give each of its {num_blanks} "
            f"blanks once, counted from 0"
        )
    if (fewest := max(fewest_tokens(tokenizer, part) for part in parts)) > max_positions:
        raise ValueError(
            f"{_shortened(text)!r} has {len(text):,} characters, which are at least {fewest:,} "
            f"tokens, but the model has {max_positions} positions: shorten it, or split it"
        )
    token_ids = [*special.start, *encode_with_blanks(tokenizer, text)]
    if not text.rstrip().endswith(GMASK_TOKEN):
        token_ids.append(special.eos)
    if len(token_ids) > max_positions:
        raise ValueError(
            f"{_shortened(text)!r} has {len(token_ids):,} tokens with "
            f"{counted(num_blanks, 'blank')}, but the model has {max_positions} positions: "
            "shorten it, or split it"
        )
    places = [i for i, token_id in enumerate(token_ids) if token_id in special.blanks]
    return BlankedText(parts, Prompt(tuple(token_ids), tuple(places[i] for i in order)), order)


def encode_candidate(
    tokenizer: "PreTrainedTokenizerFast", parts: Sequence[str], blank: int, candidate: str
) -> list[int]:
    """Return the ids of `candidate` as an answer to blank number `blank` of a text.

    Args:
        tokenizer: of the model.
        parts: the text around the blanks.
        blank: counted from 0.
        candidate: any text without blanks.

    Raises:
        ValueError: if the candidate is empty or holds a blank.
    """
    if not candidate.strip():
        raise ValueError(f"candidate {candidate!r} is empty: give text, or leave it out")
    if _BLANK.search(candidate):
        raise ValueError(f"candidate {_shortened(candidate)!r} has a blank: give plain text")
    if blank == 0 and not parts[0].strip():
        return encode_texts(tokenizer, [candidate])[0]
    if parts[blank].endswith(" ") and not candidate.startswith(" "):
        candidate = " " + candidate
    return encode_with_blanks(tokenizer, BLANK_TOKENS[0] + candidate)[1:]


def splice(
    tokenizer: "PreTrainedTokenizerFast", parts: Sequence[str], pieces: Sequence[Sequence[int]]
) -> tuple[str, list[tuple[int, int]]]:
    """Return the text with its blanks filled, and where each answer is in it.

    Args:
        tokenizer: of the model.
        parts: the text around the blanks.
        pieces: token ids of each answer, left to right; fewer than blanks stops at the next one.

    Returns:
        The text, and for each answer its (start, end) characters without the space before it.
    """
    text, ranges = "", []
    for part, piece in zip(parts, pieces, strict=False):
        text += part
        answer = decode_after(tokenizer, text, piece)
        text = text.removesuffix(" ") if not answer or text.endswith(" ") else text
        if not text or text[-1].isspace():
            answer = answer.lstrip(" ")
        space = len(answer) - len(answer.lstrip(" "))
        ranges.append((len(text) + space, len(text) + len(answer)))
        text += answer
    return text + "".join(parts[len(pieces) : len(pieces) + 1]), ranges


def decode_after(tokenizer: "PreTrainedTokenizerFast", text: str, piece: Sequence[int]) -> str:
    """Return the text of a piece as it continues `text`, its leading space included.

    Args:
        tokenizer: of the model.
        text: what comes before the piece; may be empty.
        piece: token ids.
    """
    words = text.removesuffix(" ")[-_ANCHOR_CHARACTERS:]
    anchor = encode_texts(tokenizer, [words if words.strip() else "a"], warn_on_unknown=False)[0][
        -_ANCHOR_TOKENS:
    ]
    before: str = tokenizer.decode(anchor, clean_up_tokenization_spaces=False)
    both: str = tokenizer.decode([*anchor, *piece], clean_up_tokenization_spaces=False)
    if both.startswith(before):
        return both[len(before) :]
    alone: str = tokenizer.decode(list(piece), clean_up_tokenization_spaces=False)
    return alone


def _shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
