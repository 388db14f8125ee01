"""Whole files of text: a vocabulary, a key."""

from pathlib import Path

__all__ = ["read_text"]


def read_text(path: Path) -> str:
    """Return what a file of text holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8; the message names it.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x} "
            f"({error.reason}); fetch it again, or save it as UTF-8"
        ) from None
