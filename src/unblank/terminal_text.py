"""Texts of any origin, printed so that a terminal shows them and does not obey them.

Names of files and labels may be a stranger's, and a model may write anything. What tables and
colours need is in `consoles`.
"""

import re
import sys

__all__ = ["print_message", "print_result", "printable", "printable_line"]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Characters that a terminal may obey, and those that cannot be written; not tab and line end."""

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    r"""Return a text with U+FFFD for control characters; tabs and line ends stay.

    Example:
        >>> print(ascii(printable("a\x1b[2Jb")))
        'a\ufffd[2Jb'
    """
    return _CONTROLS.sub(_REPLACEMENT, text)


def printable_line(text: str) -> str:
    r"""Return a text as for `printable`, with U+FFFD also for its line ends.

    Example:
        >>> print(ascii(printable_line("cat\nverified: every file")))
        'cat\ufffdverified: every file'
    """
    return printable(_REPLACEMENT.join(text.splitlines()))


def print_message(message: object) -> None:
    """Print a message on the error stream, at once.

    All its lines but the first are indented, so that none of them, which may be a part of a file's
    name, looks like a message of its own.
    """
    print(printable(str(message)).replace("\n", "\n  "), file=sys.stderr, flush=True)


def print_result(line: str) -> None:
    """Print a line of a result; files and pipes get it as it is."""
    print(printable(line) if sys.stdout.isatty() else line)
