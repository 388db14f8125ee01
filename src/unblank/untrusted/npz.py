"""Archives of arrays (`.npz`), by what they say of their sizes before anything is unpacked."""

import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblank.untrusted.npy import described_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["arrays_in"]

_MOST_BYTES = 2**30


def arrays_in(path: Path) -> "dict[str, NDArray[Any]]":
    """Return the arrays of a `.npz` file by their names.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, pickled, or it unpacks to more than 1 GiB.
    """
    import numpy as np

    try:
        if not zipfile.is_zipfile(path):  # numpy would read a single array, too
            raise ValueError(f"{path} is not an archive of arrays, or is cut short")
        with np.load(path, allow_pickle=False) as arrays:
            _require_bounded(path, arrays.zip)
            return {name: arrays[name] for name in arrays.files}
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{path} is damaged or truncated: {error}") from error


def _require_bounded(path: Path, archive: zipfile.ZipFile) -> None:
    num_bytes = sum(entry.file_size for entry in archive.infolist())
    if num_bytes > _MOST_BYTES:
        raise ValueError(
            f"{path} unpacks to {num_bytes:,} bytes, at most {_MOST_BYTES:,} are read: record less "
            "in one file, or write .safetensors"
        )
    for entry in archive.infolist():
        with archive.open(entry) as file:
            num_described, _ = described_array(file)
        if num_described > entry.file_size:
            raise ValueError(
                f"{path} is damaged: {entry.filename} describes an array of {num_described:,} "
                f"bytes, but has {entry.file_size:,}"
            )
