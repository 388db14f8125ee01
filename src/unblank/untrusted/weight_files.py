"""Which files hold the weights of a folder, by its index or by their names, and what they hold."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.lfs_pointer import refuse_pointer
from unblank.untrusted.links import require_plain_name

if TYPE_CHECKING:
    import torch

__all__ = [
    "INDEX_NAME",
    "StoredTensor",
    "count_numbers",
    "data_types",
    "opened_weights",
    "places_in_index",
    "refuse_only_pickles",
    "stored_in_files",
    "tensors_in",
    "weight_paths",
]

INDEX_NAME = "model.safetensors.index.json"
_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Endings of the names of pickled weights."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file, perhaps in several."""

    shape: tuple[int, ...]
    """Of the whole tensor."""
    read: "Callable[[], torch.Tensor]"
    """Returns its values, which alone stay in memory."""


def weight_paths(folder: Path) -> list[Path]:
    """Return the files that transformers takes the weights of a folder from; none if none is there.

    Raises:
        ValueError: the index is damaged, or names a file elsewhere.
        FileNotFoundError: it names a file that is missing.
    """
    places = places_in_index(folder / INDEX_NAME)
    single = folder / "model.safetensors"
    return [single] if single.is_file() else sorted({folder / name for name in places.values()})


def stored_in_files(paths: list[Path]) -> dict[str, StoredTensor]:
    """Return name -> how to read it of each tensor of safetensors files.

    Raises:
        ValueError: a file is damaged.
    """
    found = {}
    for path in paths:
        with opened_weights(path) as file:
            for name in file.keys():  # noqa: SIM118
                shape = tuple(file.get_slice(name).get_shape())
                found[name] = StoredTensor(shape, partial(_read, path, name))
    return found


def _read(path: Path, name: str) -> "torch.Tensor":
    # Opened for each, as what has been read of an open file stays in memory.
    with opened_weights(path) as file:
        values: torch.Tensor = file.get_tensor(name)
        return values


def places_in_index(index: Path) -> dict[str, str]:
    """Return the file of each tensor as an index says, all of which must lie beside it.

    Args:
        index: a `...index.json`; without it there are no places.

    Raises:
        ValueError: damaged, or it names a file elsewhere.
        FileNotFoundError: it names a file that is missing.
    """
    if not index.is_file():
        return {}
    places = read_json_object(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise ValueError(f"{index} is damaged: its weight_map should name the file of each tensor")
    names = {require_plain_name(name, str(index)) for name in places.values()}
    if missing := sorted(name for name in names if not (index.parent / name).is_file()):
        raise FileNotFoundError(
            f"{index.parent} lacks {', '.join(missing[:5])}, named by {index.name}: copy "
            f"{'it' if len(missing) == 1 else 'them'} there"
        )
    return places


def refuse_only_pickles(folder: Path) -> None:
    """Raise if the weights of a folder are pickled, and those alone.

    Raises:
        ValueError: it has pickles, by name, but no safetensors.
    """
    if not folder.is_dir() or any(folder.glob("*.safetensors")):
        return
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLE_SUFFIXES)
    if pickles:
        raise ValueError(
            f"{folder} has only pickled weights ({', '.join(pickles[:3])}), which can run code "
            f"when they are opened: make safetensors of them with `unblank convert {folder} OUTPUT`"
        )


@contextmanager
def opened_weights(path: Path) -> Iterator[Any]:
    """Open a safetensors file for reading single tensors, as `safetensors.safe_open` does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, cut short, or only a git-lfs pointer.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: copy or save it again")
    refuse_pointer(path)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or truncated ({error}): copy or save it again"
        ) from error


def tensors_in(path: Path) -> dict[str, Any]:
    """Return all tensors of a safetensors file, memory-mapped; errors as for `opened_weights`."""
    with opened_weights(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def count_numbers(paths: list[Path]) -> int:
    """Return how many numbers the tensors of safetensors files have.

    Raises:
        ValueError: a file is damaged.
    """
    total = 0
    for path in paths:
        with opened_weights(path) as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def data_types(path: Path) -> dict[str, str]:
    """Return the data type of each tensor of a safetensors file, as the format calls it.

    Raises:
        ValueError: the file is damaged.
    """
    with opened_weights(path) as file:
        return {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
