"""Unblank: one library and command for blank-infilling language models."""

__version__ = "0.1.0"
