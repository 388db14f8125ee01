"""The weights of the objectives of a mixture, which are fields of its settings."""

from collections.abc import Iterable, Mapping

__all__ = ["require_a_weight", "weights_in"]


def weights_in(settings: object, names: Iterable[str]) -> dict[str, float]:
    """Return objective name -> weight as given, those of weight 0 included."""
    return {name: getattr(settings, name) for name in names}


def require_a_weight(weights: Mapping[str, float]) -> None:
    """Check that there is something to draw from.

    Raises:
        ValueError: if all weights are 0.
    """
    if not any(weights.values()):
        raise ValueError(
            f"every objective has weight 0: give one of {', '.join(weights)} a weight above 0"
        )
