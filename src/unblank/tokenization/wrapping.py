"""A tokenizer of the `tokenizers` library as one of transformers that knows our special tokens."""

from collections.abc import Mapping
from types import MappingProxyType

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from unblank.tokenization.special import SPECIAL_TOKENS

__all__ = ["with_special_roles"]

_ATTRIBUTES = ("pad", "eos", "cls", "sep", "unk", "mask")
"""Roles that transformers has a name for; the others become `extra_special_tokens`."""


def with_special_roles(
    core: Tokenizer, names: Mapping[str, str] = MappingProxyType({})
) -> PreTrainedTokenizerFast:
    """Return the tokenizer with a token for every role.

    Args:
        core: with all tokens.
        names: role -> string where it is not the usual one.
    """
    added = {token.content: token for token in core.get_added_tokens_decoder().values()}
    tokens = {role: added[name] for role, name in {**SPECIAL_TOKENS, **names}.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        extra_special_tokens={
            f"{role}_token": token for role, token in tokens.items() if role not in _ATTRIBUTES
        },
        **{f"{role}_token": tokens[role] for role in _ATTRIBUTES},
    )
