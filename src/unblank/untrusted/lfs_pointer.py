"""Files that git-lfs left as pointers: a few lines where weights or words should be."""

from pathlib import Path

__all__ = ["refuse_pointer"]

_POINTER = b"version https://git-lfs"


def refuse_pointer(path: Path) -> None:
    """Say so if a file is only a pointer to what it should hold.

    Raises:
        ValueError: it is.
    """
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ValueError(
                f"{path} is only a git-lfs pointer: fetch the file itself (git lfs pull)"
            )
