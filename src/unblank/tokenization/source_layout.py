"""How a model that writes targets reads a source; training and generation agree.

An encoder-decoder reads `[tag] source end`, as DeltaLM and GanLM were fine-tuned: no token in front
but a language's tag. A GLM reads `[CLS] [tag] source blank end` and writes the target in the blank,
the layout of the original for a user's own pairs; after `[gMASK]` there is no end.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from unblank.tokenization.special import SpecialIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["encoder_source", "glm_part_a", "glm_source", "language_tag_id", "tag_token_id"]


def encoder_source(
    source_ids: Sequence[int], end_id: int, tag_id: int | None = None
) -> tuple[int, ...]:
    """Return what the encoder of an encoder-decoder reads.

    Args:
        source_ids: the source alone.
        end_id: the token that ends texts (`eos_token_id` of the model's configuration).
        tag_id: tag of the target's language, or None.
    """
    return (*([] if tag_id is None else [tag_id]), *source_ids, end_id)


def glm_source(
    source_ids: Sequence[int], special: SpecialIds, blank_id: int, tag_id: int | None = None
) -> tuple[int, ...]:
    """Return Part A of a GLM, with its blank after the source.

    Args:
        source_ids: the source alone.
        special: the tokenizer's special tokens.
        blank_id: which blank.
        tag_id: tag of the target's language, or None.
    """
    return glm_part_a([*source_ids, blank_id], special, tag_id)


def glm_part_a(
    token_ids: Sequence[int], special: SpecialIds, tag_id: int | None = None
) -> tuple[int, ...]:
    """Return Part A of a GLM for a text that holds its blank.

    Args:
        token_ids: the text with the blank.
        special: the tokenizer's special tokens.
        tag_id: tag of the target's language, or None.
    """
    tag = [] if tag_id is None else [tag_id]
    is_open = token_ids[-1] == special.gmask != special.mask
    return (*special.start, *tag, *token_ids, *([] if is_open else [special.eos]))


def tag_token_id(tokenizer: "PreTrainedTokenizerFast", tag: str) -> int:
    """Return the id of a language's tag.

    Args:
        tokenizer: of the model.
        tag: as it is in the vocabulary, for example `__de__`.

    Raises:
        ValueError: no single token is called so.
    """
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if tag in vocabulary:
        return vocabulary[tag]
    named = [token.content for token in tokenizer.added_tokens_decoder.values()]
    near = get_close_matches(tag, named) or [token for token in named if token.startswith("__")][:5]
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ValueError(
        f"the tokenizer has no token {tag!r}: a tag must be one token of the vocabulary{hint}"
    )


def language_tag_id(tokenizer: "PreTrainedTokenizerFast", tag: str, entry: str) -> int:
    """Return the id of the tag of an entry's language, as for `tag_token_id`.

    Args:
        tokenizer: to train with.
        tag: such as `__de__`.
        entry: of the data, for the message.

    Raises:
        ValueError: the vocabulary has no such tag.
    """
    try:
        return tag_token_id(tokenizer, tag)
    except ValueError as error:
        raise ValueError(
            f"{entry}: {error} (add it to the vocabulary with --tokenizer.extra-tokens {tag}, or "
            "correct data.languages)"
        ) from error
