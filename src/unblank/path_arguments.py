"""Arguments and settings that must be paths: never empty, and with names that a file can have.

`Path("")` is the current folder, so an empty text (a shell's variable that is not set) would read
or write something that nobody named; `Path("s3://bucket/model")` is in a folder `s3:` of it.
"""

import errno
import os
import re
from pathlib import Path

__all__ = ["disk_path", "given_path", "require_path_text"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)/+[^/]", re.S)
"""The beginning of a URL, also with the one slash that `Path` leaves of two."""


def disk_path(value: object, name: str) -> Path:
    """Return an argument as the path of something on a disk; arguments as for `given_path`.

    Raises:
        TypeError: it is something else.
        ValueError: it is a URL, empty, or no file can have this name.

    Example:
        >>> disk_path("models/mine", "output").name
        'mine'
    """
    path = given_path(value, name)
    url = _URL.match(str(path))
    if url and not os.path.lexists(url[1]):
        raise ValueError(
            f"{name} is {str(value)!r}, a URL: give a path on a disk; only text and data are read "
            "from URLs"
        )
    return path


def given_path(value: object, name: str) -> Path:
    """Return an argument as a path, in which `~` at the beginning is the home folder.

    Args:
        value: a string or a path, of pathlib or of another library.
        name: of the argument, for messages.

    Raises:
        TypeError: it is something else.
        ValueError: it is empty, or no file can have this name.
    """
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise TypeError(f"{name} is {value!r}: give a path, as a text or a pathlib.Path")
    require_path_text(text, name)
    return Path(os.path.expanduser(text))  # Path's own fails for a user that is not there


def require_path_text(text: str, name: str) -> None:
    """Raise ValueError if a text is empty, or is or holds what no name of a file does.

    Names that are divided by colons are looked at one by one; a URL may have any length.

    Example:
        >>> require_path_text("", "output")
        Traceback (most recent call last):
            ...
        ValueError: output is empty: give a path (. is the current folder)
    """
    if not text:
        raise ValueError(f"{name} is empty: give a path (. is the current folder)")
    try:
        is_possible = b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # a lone surrogate that does not stand for a byte
        is_possible = False
    if not is_possible:
        raise ValueError(f"{name} is {text!r}, which no file can be called: correct it")
    if "://" not in text and any(map(_is_too_long, text.split(":"))):
        raise ValueError(
            f"{name} is {text[:40]!r}... with {len(text):,} characters, too long for the name of a "
            "file: give a path; a text itself is data if it is a field of a record, such as "
            '{"text": "..."}'
        )


def _is_too_long(path: str) -> bool:
    """Whether the system has no room for a name, which differs between file systems."""
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    return False
