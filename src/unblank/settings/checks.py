"""Checks of the values of settings, each with its message. Standard library only."""

__all__ = ["require"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)
