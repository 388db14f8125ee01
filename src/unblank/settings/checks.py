"""Checks of the values of settings, each with its message. Standard library only."""

__all__ = ["require", "require_beams", "require_each_once"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_beams(num_beams: int, *, is_penalized: bool) -> None:
    """Raise ValueError for a length penalty without beam search."""
    require(
        num_beams > 1 or not is_penalized,
        "length_penalty has no effect without beam search: set num_beams above 1",
    )


def require_each_once(values: tuple[object, ...], name: str) -> None:
    """Raise ValueError, naming the setting, if a value stands twice among its values."""
    require(len(set(values)) == len(values), f"{name} are {values}: give each once")
