"""Files of one array (`.npy`), by what they say of their size before it is made."""

import math
from pathlib import Path

__all__ = ["require_whole_array"]


def require_whole_array(path: Path) -> None:
    """Raise unless a file holds just the array that its head describes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no such file, holds pickled objects, or is cut short.
    """
    from numpy.lib import format as npy

    with path.open("rb") as file:
        try:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)
        except ValueError as error:
            raise ValueError(f"{path} is not the file of an array: {error}") from error
        num_described = file.tell() + math.prod(shape) * dtype.itemsize
    if dtype.hasobject:
        raise ValueError(f"{path} holds pickled objects, which are never read")
    if num_described != (found := path.stat().st_size):
        raise ValueError(
            f"{path} is damaged: it describes {num_described:,} bytes, but has {found:,}"
        )
