"""Checks of the arguments of `forward`: missing, given twice, or unknown to the model.

transformers' contract lets every `forward` take further keywords. Ours hands them down to the stack
that records outputs on request, which knows them all, so that none is ignored without a word.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

__all__ = ["check_rest", "given_tokens", "require_tokens"]

_OF_TRANSFORMERS = frozenset(
    {
        "output_attentions",
        "output_cross_attentions",
        "output_hidden_states",
        "cache_position",  # transformers before 5.20; a cache says as much
        "tokenizer",  # for stop_strings: generate hands it down to each step
    }
)


def check_rest(rest: Mapping[str, Any]) -> None:
    """Check the keywords that no parameter took.

    Args:
        rest: name -> value; None says nothing, whatever the name.

    Raises:
        TypeError: one has a value, and no effect.
    """
    given = (name for name, value in rest.items() if value is not None)
    unknown = [name for name in given if name not in _OF_TRANSFORMERS]
    if unknown:
        raise TypeError(
            f"forward() has no argument {', '.join(unknown)}: help(model.forward) lists those that "
            "this model has"
        )


def given_tokens(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Tensor:
    """Return the tokens of a text, however they were given.

    Args:
        input_ids: int64[B, T].
        inputs_embeds: float[B, T, D], in place of `input_ids`.

    Raises:
        ValueError: both or neither, or none at all in what is given.
    """
    if input_ids is not None and inputs_embeds is None:
        require_tokens(input_ids, "input_ids")
        return input_ids
    if inputs_embeds is not None and input_ids is None:
        require_tokens(inputs_embeds, "inputs_embeds")
        return inputs_embeds
    raise ValueError("give exactly one of input_ids and inputs_embeds")


def require_tokens(tokens: Tensor, name: str) -> None:
    """Check that there is something to read.

    Args:
        tokens: [B, T, ...].
        name: of the argument.

    Raises:
        ValueError: no rows, or no tokens.
    """
    if tokens.numel() == 0:
        raise ValueError(
            f"{name} has shape {tuple(tokens.shape)}: give at least one text of at least one token"
        )
