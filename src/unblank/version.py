"""The version of this library, in the one place that everything reads it from."""

__all__ = ["__version__"]

__version__ = "0.2.0"
