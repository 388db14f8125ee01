"""Reading foreign `.pt` files without executing them.

A torch file is a pickle; torch's restricted unpickler builds tensors and plain containers only. The
few harmless globals that real checkpoints hold besides are listed here by name; anything else is
refused by name. Files that would take more memory than their size are refused as well.
"""

import pickle
import re
import tarfile
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unblank.untrusted.lfs_pointer import refuse_pointer
from unblank.untrusted.pickle_bounds import require_bounded_pickle

__all__ = ["read_torch_file"]

_REFUSED = re.compile(r"GLOBAL ([\w.]+)")
"""How torch names what its restricted unpickler refuses."""
_SHARED_COPIES = 4
"""How often the tensors of a file may share its bytes; tied weights are stored once and named two
or three times."""


def read_torch_file(path: Path) -> dict[str, Any]:
    """Return the dictionary in a torch file, its tensors memory-mapped on CPU.

    Files of the format before torch 1.6 cannot be mapped and are read into memory.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, not a dictionary, it holds objects that would have to be executed, or
            it would unfold to more than its size, or it asks for too much work.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give a checkpoint")
    is_zip = zipfile.is_zipfile(path)
    _check_container(path, is_zip)
    require_bounded_pickle(path, is_zip=is_zip)
    try:
        with (
            torch.serialization.safe_globals(_harmless_globals()),
            warnings.catch_warnings(),  # of unusual pickles, which are refused or read all the same
        ):
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        found = _REFUSED.search(str(error))
        if found is None:
            raise ValueError(
                f"{path} was not written by torch.save, or is damaged: only tensors and plain "
                "values are read, other pickles are never executed"
            ) from error
        raise ValueError(
            f"{path} contains {found[1]}, which is neither a tensor nor a plain value: such "
            "pickles are never executed"
        ) from error
    except Exception as error:  # what a damaged pickle makes the unpickler raise has no limit
        raise ValueError(
            f"{path} is damaged, truncated or not a torch file: {_first_sentence(error)}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path} contains a {type(content).__name__}: a checkpoint is a dictionary"
        )
    _check_unfolded(path, list(_tensors(content)))
    return content


def _check_container(path: Path, is_zip: bool) -> None:
    """Refuse compressed entries: torch writes none, and they may unfold to any size."""
    refuse_pointer(path)
    if not is_zip:
        if tarfile.is_tarfile(path):
            raise ValueError(
                f"{path} is a tar archive: unpack it and give its content. Tar files written by "
                "torch before 2018 cannot be read without executing them"
            )
        return
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [info for info in archive.infolist() if info.compress_type != 0]
            unfolded = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise ValueError(f"{path} is damaged or truncated: {error}") from error
    if packed or unfolded > path.stat().st_size:
        raise ValueError(
            f"{path} unpacks from {path.stat().st_size:,} to {unfolded:,} bytes; torch never "
            "compresses its files, so it is refused"
        )


def _check_unfolded(path: Path, tensors: list[Tensor]) -> None:
    """Refuse tensors that repeat few stored bytes to any size."""
    for tensor in tensors:
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ValueError(
                f"{path} has a tensor of shape {list(tensor.shape)} with only "
                f"{tensor.untyped_storage().nbytes():,} stored bytes, so it is refused"
            )
    size = path.stat().st_size
    if sum(tensor.nbytes for tensor in tensors) > _SHARED_COPIES * size:
        raise ValueError(
            f"the tensors of {path} share its {size:,} bytes too many times, so it is refused"
        )


def _tensors(content: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested containers, each container once."""
    # A hostile pickle may hold a container that contains itself.
    seen: set[int] = set()
    waiting: list[Any] = [content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, dict | list | tuple) and id(item) not in seen:
            seen.add(id(item))
            inner: Iterable[Any] = item.values() if isinstance(item, dict) else item
            waiting.extend(inner)


def _harmless_globals() -> list[Any]:
    """What arrays of random states are made of (numpy 1 and 2), sets, and parsed arguments."""
    reconstruct = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    return [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        type(np.dtype(np.uint32)),
        set,
        Namespace,
    ]


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    if isinstance(error, LookupError) or not lines:  # of the unpickler, without a message
        return type(error).__name__
    return lines[0].partition(". ")[0]
