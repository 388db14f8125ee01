"""Files that git-lfs left as pointers: a few lines where weights or words should be."""

from pathlib import Path

__all__ = ["refuse_pointer"]

_POINTER = b"version https://git-lfs"


def refuse_pointer(path: Path, content: bytes | None = None) -> None:
    """Say so if a file is only a pointer to what it should hold.

    Args:
        path: the file.
        content: what was read of it, as a pipe can be read only once; None to read it here.

    Raises:
        ValueError: it is.
    """
    if content is None:
        with path.open("rb") as file:
            content = file.read(len(_POINTER))
    if content.startswith(_POINTER):
        raise ValueError(f"{path} is only a git-lfs pointer: fetch the file itself (git lfs pull)")
