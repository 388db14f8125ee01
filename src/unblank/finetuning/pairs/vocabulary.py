"""Tokens that fine-tuning adds to a pretrained model, such as the tags of languages.

New tokens come after all that the vocabulary has, sentinels included: the published vocabularies
would otherwise lend a tag the embedding of a sentinel.
"""

from collections.abc import Sequence
from copy import deepcopy

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.families.family import Family
from unblank.models.initialization import draw_added_rows
from unblank.tokenization.vocabulary import padded_vocab_size

__all__ = ["extend_model", "with_extra_tokens"]


def with_extra_tokens(
    tokenizer: PreTrainedTokenizerFast, tokens: Sequence[str]
) -> PreTrainedTokenizerFast:
    """Return the tokenizer with special tokens after its others; those it has are left alone."""
    extended = deepcopy(tokenizer)
    extended.add_tokens(list(tokens), special_tokens=True)
    return extended


def extend_model(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, seed: int, family: Family
) -> None:
    """Give a model embeddings for the tokens that its tokenizer has got in addition.

    Rows above the vocabulary are used first. New embeddings are drawn around the mean of the others
    with the spread of the model's initialisation; the old ones stay as they are.

    Args:
        model: of the unextended vocabulary.
        tokenizer: with the new tokens.
        seed: of the new embeddings.
        family: of the model.
    """
    config = model.config
    before = config.tokenizer_size or config.vocab_size
    after = len(tokenizer)
    if after <= before:
        return
    if after > config.vocab_size:
        model.resize_token_embeddings(padded_vocab_size(after), mean_resizing=False)
    config.tokenizer_size = after
    family.add_special_ids(config, range(before, after))
    table = model.get_input_embeddings().weight
    draw_added_rows(table, before, after, config, seed)
