"""Packages that only some files need: the extra `data`."""

from pathlib import Path
from typing import Any

__all__ = ["optional_module"]


def optional_module(name: str, path: Path) -> Any:
    """Return a module of the extra `data`, which a file needs.

    Raises:
        ImportError: if it is not installed; the message names the file.
    """
    try:
        return __import__(name)
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs the package {name.partition('.')[0]}: "
            "pip install 'unblank[data]'"
        ) from error
