"""The recipe of a small comparison, as a fixture."""

from comparison_toys import recipe

__all__ = ["recipe"]
