"""Silences what transformers prints while it loads and saves: we report what matters."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as transformers_logging

__all__ = ["without_loading_report", "without_progress_bar"]


@contextmanager
def without_loading_report() -> Iterator[None]:
    """Silence the table of missing and left-over weights inside the block."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """Silence progress bars inside the block: commands have their own."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()
