"""What a model sees of a text and of its fills, token by token, for people to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unblank.api import Unblank
from unblank.generation.options import GenerationOptions
from unblank.generation.prompts import read_text
from unblank.generation.sources import read_sources
from unblank.plurals import counted
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import special_ids

__all__ = ["view_fills", "view_source"]


@dataclass(frozen=True, slots=True)
class SeenToken:
    """A token as the model reads it.

    Attributes:
        part: "A" for the text or the source, "B" for fills or an answer.
        token: as a string of the vocabulary.
        position: in the text; a token of a fill has that of its blank.
        block_position: inside the fill, 0 in the text; None for an encoder-decoder.
    """

    part: Literal["A", "B"]
    token: str
    position: int
    block_position: int | None


def view_fills(
    model: Unblank,
    text: str,
    fills: Sequence[Sequence[int]] = (),
    order: Sequence[int] | None = None,
) -> list[SeenToken]:
    """Return Part A and, for each fill, its part of Part B, as filling lays them out.

    Args:
        model: a GLM with its tokenizer.
        text: with at least one blank.
        fills: the token ids of the first blanks' fills, in the order of the text; may be empty.
        order: the blanks, counted from 0, in the order of filling; None for left to right.

    Raises:
        ValueError: no blank, more fills than blanks, ids that the vocabulary lacks, or a text that
            is too long.
    """
    special = special_ids(model.tokenizer)
    limit = model.model.config.max_position_embeddings
    read = read_text(model.tokenizer, special, text, max_positions=limit, order=order)
    if len(fills) > len(read.order):
        raise ValueError(
            f"{counted(len(fills), 'fill')} for the {counted(len(read.order), 'blank')} of the text"
        )
    names = _names(model.tokenizer, read.prompt.token_ids)
    seen = [SeenToken("A", name, position, 0) for position, name in enumerate(names)]
    for blank, place in zip(read.order, read.prompt.blanks, strict=True):
        if blank < len(fills):
            tokens = _names(model.tokenizer, (special.sop, *fills[blank]))
            seen += [
                SeenToken("B", name, place, inside) for inside, name in enumerate(tokens, start=1)
            ]
    return seen


def view_source(model: Unblank, source: str, answer: str = "") -> list[SeenToken]:
    """Return what the encoder reads, and the decoder's tokens of an answer.

    Args:
        model: an encoder-decoder with its tokenizer.
        source: what it answers.
        answer: what it wrote; may be empty.

    Raises:
        ValueError: a source that is too long.
    """
    config = model.model.config
    (read,) = read_sources(config, model.tokenizer, [source], GenerationOptions())
    answered = encode_texts(model.tokenizer, [answer])[0] if answer else []
    written = (config.decoder_start_token_id, *answered) if answered else ()
    sides: list[tuple[Literal["A", "B"], Sequence[int]]] = [
        ("A", read.prompt.token_ids),
        ("B", written),
    ]
    return [
        SeenToken(part, name, position, None)
        for part, token_ids in sides
        for position, name in enumerate(_names(model.tokenizer, token_ids))
    ]


def _names(tokenizer: Any, token_ids: Sequence[int]) -> list[str]:
    """Return ids as strings of the vocabulary; ValueError for one that it lacks."""
    size = len(tokenizer)
    if strange := [one for one in token_ids if not 0 <= one < size]:
        raise ValueError(f"token {strange[0]} is not in the vocabulary of {size} tokens")
    names: list[str] = tokenizer.convert_ids_to_tokens(list(token_ids))
    return names
