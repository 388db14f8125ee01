"""Checks of the values of settings, each with its message. Standard library only."""

from collections.abc import Mapping

__all__ = ["require", "require_a_weight", "require_beams", "require_each_once"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_a_weight(weights: Mapping[str, float]) -> None:
    """Raise ValueError if every objective of a mixture has weight 0."""
    require(
        any(weights.values()),
        f"every objective has weight 0: give one of {', '.join(weights)} a weight above 0",
    )


def require_beams(num_beams: int, *, is_penalized: bool) -> None:
    """Raise ValueError for a length penalty without beam search."""
    require(
        num_beams > 1 or not is_penalized,
        "length_penalty has no effect without beam search: set num_beams above 1",
    )


def require_each_once(values: tuple[object, ...], name: str) -> None:
    """Raise ValueError, naming the setting, if one of its values is given twice."""
    require(len(set(values)) == len(values), f"{name} are {values}: give each once")
