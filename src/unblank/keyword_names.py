"""Errors of Python calls: they name keywords where those of the command line name flags."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "keywords_named",
]

_FLAG = re.compile(r"(?<![-\w])--([a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*)")
_COMMAND = re.compile(r"\bunblank [a-z]+ ")


@contextmanager
def keywords_named() -> Iterator[None]:
    """Let errors of the block name keywords; also a decorator."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        if len(error.args) == 1 and isinstance(error.args[0], str):
            error.args = (with_keywords(error.args[0]),)
        raise


def with_keywords(message: str) -> str:
    """Return a message with keywords for flags; a command that it quotes stays as it is.

    Example:
        >>> with_keywords("no text: give --data.train FILE, or --train.no-arrange-memory")
        'no text: give data.train FILE, or train.arrange_memory=False'
    """
    command = _COMMAND.search(message)
    end = command.start() if command else len(message)
    return _FLAG.sub(_keyword, message[:end]) + message[end:]


def _keyword(flag: re.Match[str]) -> str:
    section, dot, name = flag[1].rpartition(".")
    is_off = name.startswith("no-")
    return f"{section}{dot}{name.removeprefix('no-')}".replace("-", "_") + "=False" * is_off
