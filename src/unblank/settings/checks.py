"""Checks of the values of settings, each with its message. Standard library only."""

__all__ = ["require", "require_each_once"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_each_once(values: tuple[object, ...], name: str) -> None:
    """Raise ValueError, naming the setting, if a value stands twice among its values."""
    require(len(set(values)) == len(values), f"{name} are {values}: give each once")
