"""Data of a call as files, at once."""

from pathlib import Path
from typing import Any

from unblank.in_memory import GivenData


def as_files(value: Any, folder: Path, name: str) -> Any:
    """Return the value of a setting, with the paths of written files in place of data."""
    data = GivenData(folder)
    named = data.named(value, name)
    data.write()
    return named
