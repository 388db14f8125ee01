"""JSON of any origin: what is damaged, too deep or too large is an error that names the file."""

import json
import sys
from pathlib import Path
from typing import Any

from unblank.untrusted.lfs_pointer import refuse_pointer

__all__ = ["json_fault", "read_json", "read_json_object"]

_MOST_BYTES = 2**28
"""Largest file of settings, of a vocabulary or of recorded outputs; real ones have megabytes."""


def read_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not JSON in UTF-8, is nested too deeply, or is too large.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path} is not a file: JSON is read from files only")
    refuse_pointer(path)
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise ValueError(f"{path} has {size:,} bytes: at most {_MOST_BYTES:,} are read as JSON")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path} is damaged: its brackets are nested too deeply") from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise ValueError(f"{path} is damaged: {json_fault(error)}") from error


def json_fault(error: ValueError) -> str:
    """Return what is wrong with JSON; Python's words for a number without end are no advice."""
    if isinstance(error, json.JSONDecodeError) or "integer string" not in str(error):
        return str(error)
    most = sys.get_int_max_str_digits()
    return f"a whole number has more than {most:,} digits: write it as a text, or correct it"


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as for `read_json`, or it holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} is damaged: it should contain a JSON object, but contains a "
            f"{type(content).__name__}"
        )
    return content
