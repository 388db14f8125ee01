"""Checks of the values of settings, each with its message. Standard library only."""

__all__ = ["require", "require_positive", "require_share"]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def require_positive(section: object, *names: str) -> None:
    """Raise ValueError for a field of the section that is set and not above 0."""
    for name in names:
        value = getattr(section, name)
        if value is not None and value <= 0:
            raise ValueError(f"{name} is {value}: it must be above 0")


def require_share(section: object, *names: str) -> None:
    """Raise ValueError for a field of the section that is set and outside [0, 1)."""
    for name in names:
        value = getattr(section, name)
        if value is not None and not 0 <= value < 1:
            raise ValueError(f"{name} is {value}: it must be in [0, 1)")
