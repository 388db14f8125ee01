"""Reading foreign `.pt` files without executing them.

A torch file is a pickle; torch's restricted unpickler builds tensors and plain containers only. The
few harmless globals that real checkpoints hold besides are listed here by name; anything else is
refused by name.
"""

import pickle
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["read_torch_file"]


def read_torch_file(path: Path) -> dict[str, Any]:
    """Return the dictionary in a torch file, its tensors memory-mapped on CPU.

    Args:
        path: a file written by `torch.save`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, not a dictionary, or it holds objects that would have to be executed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        with torch.serialization.safe_globals(_harmless_globals()):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds something other than tensors and plain values, and pickles are never "
            f"executed here: {_first_line(error)}"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{path} is damaged or not a torch file: {_first_line(error)}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; a checkpoint is a dictionary")
    return content


def _harmless_globals() -> list[Any]:
    """What arrays of random states are made of (numpy 1 and 2), sets, and parsed arguments."""
    reconstruct = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    return [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        type(np.dtype(np.uint32)),
        type(np.dtype(np.int64)),
        type(np.dtype(np.float64)),
        set,
        Namespace,
    ]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
