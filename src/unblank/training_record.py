"""The settings that a model was trained with, from the record in its folder.

A folder that is made of another one, as `merge` and `trim` do, takes them along: what a model was
trained for is still true of it.
"""

from pathlib import Path
from typing import Any

from unblank.integrity import PROVENANCE_NAME
from unblank.untrusted.json_text import read_json_object

__all__ = ["training_settings"]


def training_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of the run that trained a model or an adapter; empty if none is recorded.

    Raises:
        ValueError: the record is damaged.
    """
    path = folder / PROVENANCE_NAME
    found = read_json_object(path).get("settings") if path.is_file() else None
    return found if isinstance(found, dict) else {}
