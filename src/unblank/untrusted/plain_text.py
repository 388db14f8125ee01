"""Text of any origin that is read as a whole, such as the words of a vocabulary."""

from pathlib import Path

from unblank.untrusted.lfs_pointer import refuse_pointer

__all__ = ["read_plain_text"]


def read_plain_text(path: Path) -> str:
    """Return what a text file holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not UTF-8, or only a git-lfs pointer.
    """
    refuse_pointer(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is damaged, or not UTF-8: {error}") from error
