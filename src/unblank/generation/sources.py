"""From source texts to what a model reads before it answers, cut or refused where too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unblank.families.table import family_of_model
from unblank.generation.options import GenerationOptions
from unblank.generation.prompts import read_text
from unblank.generation.rows import Prompt
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.fewest import fewest_tokens
from unblank.tokenization.source_layout import encoder_source, glm_source, tag_token_id
from unblank.tokenization.special import BLANK_TOKENS, special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["EncodedSource", "read_sources"]


@dataclass(frozen=True, slots=True)
class EncodedSource:
    """A source as the model reads it.

    Attributes:
        prompt: its token ids.
        is_cut: whether its end was left out.
    """

    prompt: Prompt
    is_cut: bool = False


def read_sources(
    config: Any,
    tokenizer: "PreTrainedTokenizerFast",
    texts: Sequence[str],
    options: GenerationOptions,
) -> list[EncodedSource]:
    """Return the sources ready to be answered.

    Args:
        config: of the model.
        tokenizer: of the model.
        texts: plain texts; one for a GLM may hold the blank that is to be filled.
        options: the tag, the blank, and whether long sources are cut.

    Raises:
        ValueError: a source that is too long or has several blanks, or an unknown tag.
    """
    if not texts:
        return []
    tag, fills_blank = options.source_tag, family_of_model(config).writes == "blanks"
    tag_id = None if tag is None else tag_token_id(tokenizer, tag)
    blank_id = None
    if fills_blank:
        special = special_ids(tokenizer)
        blank_id = special.blanks[BLANK_TOKENS.index(options.blank or "[sMASK]")]

    def laid_out(ids: Sequence[int]) -> tuple[int, ...]:
        if blank_id is None:
            return encoder_source(ids, config.eos_token_id, tag_id)
        return glm_source(ids, special, blank_id, tag_id)

    limit = config.max_position_embeddings
    room = limit - len(laid_out(()))
    _check_characters(tokenizer, texts, room, options.too_long)
    sources = []
    for text, ids in zip(texts, encode_texts(tokenizer, texts), strict=True):
        if fills_blank and any(blank in text for blank in BLANK_TOKENS):
            sources.append(EncodedSource(_own_blank(tokenizer, text, limit, tag_id)))
            continue
        _check_length(text, len(ids), room, options.too_long)
        token_ids = laid_out(ids[:room])
        place = 0 if blank_id is None else token_ids.index(blank_id)
        sources.append(EncodedSource(Prompt(token_ids, (place,)), len(ids) > room))
    return sources


def _own_blank(
    tokenizer: "PreTrainedTokenizerFast", text: str, limit: int, tag_id: int | None
) -> Prompt:
    """Return a text that brings its own blank; it is never cut, lest the blank be lost."""
    special, num_tags = special_ids(tokenizer), int(tag_id is not None)
    prompt = read_text(tokenizer, special, text, max_positions=limit - num_tags).prompt
    if len(prompt.blanks) > 1:
        raise ValueError(
            f"{text[:60]!r} has {len(prompt.blanks)} blanks, but generate writes one answer: give "
            "one blank, or fill them all with fill"
        )
    if tag_id is None:
        return prompt
    num_start = len(special.start)
    token_ids = (*prompt.token_ids[:num_start], tag_id, *prompt.token_ids[num_start:])
    return Prompt(token_ids, (prompt.blanks[0] + 1,))


def _check_characters(
    tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str], room: int, too_long: str
) -> None:
    """Refuse what is certainly too long before time is spent on its tokens."""
    for text in texts if too_long == "refuse" else ():
        if (fewest := fewest_tokens(tokenizer, text)) > room:
            raise ValueError(
                f"source {text[:60]!r} has {len(text):,} characters, which are at least "
                f"{fewest:,} tokens, but the model has positions for {room}: shorten it, or have "
                "its end cut: set too_long to cut"
            )


def _check_length(text: str, length: int, room: int, too_long: str) -> None:
    if length > room and too_long == "refuse":
        raise ValueError(
            f"source {text[:60]!r} has {length} tokens, but the model has positions for {room}: "
            "shorten it, or have its end cut: set too_long to cut"
        )
