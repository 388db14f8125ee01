"""Arguments of `forward` that a model does not have: refused, so that none is dropped unseen.

transformers' contract lets every `forward` take further keywords. Ours hands them down to the stack
that records outputs on request, which knows all that there may be.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["check_rest"]

_OF_TRANSFORMERS = frozenset(
    {
        "output_attentions",
        "output_cross_attentions",
        "output_hidden_states",
        "cache_position",  # transformers before 5.20; a cache says as much
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
