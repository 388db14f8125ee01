"""Text of any origin that is read as a whole: a vocabulary, a key."""

from pathlib import Path

from unblank.untrusted.lfs_pointer import refuse_pointer

__all__ = ["read_plain_text"]


def read_plain_text(path: Path) -> str:
    """Return what a file of text holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, or only a git-lfs pointer; the message names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x} "
            f"({error.reason}); fetch it again, or save it as UTF-8"
        ) from None
    refuse_pointer(path, text.encode())
    return text
