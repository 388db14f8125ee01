"""Files of one array (`.npy`), by what they say of their size before it is made."""

import math
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["described_array", "require_whole_array"]


def require_whole_array(path: Path) -> None:
    """Raise unless a file holds just the array that its head describes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no such file, holds pickled objects, or is cut short.
    """
    with path.open("rb") as file:
        try:
            num_bytes, dtype = described_array(file)
        except ValueError as error:
            raise ValueError(f"{path} is not the file of an array: {error}") from error
        num_described = file.tell() + num_bytes
    if dtype.hasobject:
        raise ValueError(f"{path} holds pickled objects, which are never read")
    if num_described != (found := path.stat().st_size):
        raise ValueError(
            f"{path} is damaged: it describes {num_described:,} bytes, but has {found:,}"
        )


def described_array(file: IO[bytes]) -> "tuple[int, np.dtype[Any]]":
    """Read the head of an array; return the bytes that it says the values take, and their type.

    Raises:
        ValueError: it is no head of an array.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return math.prod(shape) * dtype.itemsize, dtype
