"""The committed part of the recordings: how it is packed, and how it becomes a folder again.

`recorded/files.json` holds every file by its path: JSON as it is, text as a string, and torch and
safetensors files as a tree in which a tensor is a number in `recorded/tensors.xz`. There each
different tensor lies once, the first bytes of all its numbers before the second ones, which packs
random weights a fifth smaller. Half-precision copies and model-parallel pieces are cut out of the
whole tensors again, so no pickle is committed. See `record.py` for what is in it and why.
"""

import json
import lzma
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

COMMITTED = Path(__file__).with_name("recorded")
FILES, TENSORS = "files.json", "tensors.xz"
TORCH_SUFFIXES = (".pt", ".bin")
DTYPES = {"float32": torch.float32, "int64": torch.int64, "uint8": torch.uint8}


class TensorStore:
    """Different tensors in the order in which they were added."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.numbers: dict[tuple[object, ...], int] = {}

    def add(self, tensor: Tensor) -> dict[str, Any]:
        """Return how to find the tensor again: whole, rounded to half precision, or a piece."""
        if (derived := self._derived(tensor)) is not None:
            return derived
        key = (tensor.dtype, tuple(tensor.shape), tensor.contiguous().numpy().tobytes())
        if key not in self.numbers:
            self.numbers[key] = len(self.tensors)
            self.tensors.append(tensor.contiguous())
        return {"tensor": self.numbers[key]}

    def _derived(self, tensor: Tensor) -> dict[str, Any] | None:
        if tensor.dtype != torch.float16:
            return None
        for number, whole in enumerate(self.tensors):
            if whole.dtype != torch.float32 or whole.dim() != tensor.dim():
                continue
            half = whole.half()
            for piece in _pieces_like(half, tensor):
                if torch.equal(cut(half, piece), tensor):
                    return {"tensor": number, "half": True} | ({"piece": piece} if piece else {})
        raise ValueError(f"a tensor {list(tensor.shape)} in half precision is no piece of a whole")

    def write(self, folder: Path) -> list[Any]:
        """Write the packed tensors; return their types and shapes."""
        planes = [_planes(tensor) for tensor in self.tensors]
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
        packed = lzma.compress(b"".join(planes), filters=filters)
        (folder / TENSORS).write_bytes(packed)
        return [[str(one.dtype).removeprefix("torch."), list(one.shape)] for one in self.tensors]


def read_store(folder: Path, kinds: list[Any]) -> list[Tensor]:
    """Return the packed tensors, given their types and shapes."""
    data, start, tensors = lzma.decompress((folder / TENSORS).read_bytes()), 0, []
    for name, shape in kinds:
        width = DTYPES[name].itemsize
        size = width * int(np.prod(shape, dtype=int))
        planes = np.frombuffer(data, np.uint8, size, start).reshape(width, -1)
        numbers = np.array(planes.T, order="C").view(name).reshape(shape)
        tensors.append(torch.from_numpy(numbers))
        start += size
    return tensors


def _planes(tensor: Tensor) -> bytes:
    numbers = np.frombuffer(tensor.numpy().tobytes(), np.uint8)
    return np.ascontiguousarray(numbers.reshape(-1, tensor.itemsize).T).tobytes()


def _pieces_like(whole: Tensor, part: Tensor) -> list[dict[str, int]]:
    """Ways to cut a piece of this shape: everything, or one rank's share of some parts."""
    if whole.shape == part.shape:
        return [{}]
    differing = [dim for dim in range(whole.dim()) if whole.shape[dim] != part.shape[dim]]
    if len(differing) != 1 or whole.shape[differing[0]] % part.shape[differing[0]]:
        return []
    (dim,) = differing
    ranks = whole.shape[dim] // part.shape[dim]
    return [
        {"dim": dim, "parts": parts, "ranks": ranks, "rank": rank}
        for parts in (1, 3)  # queries, keys and values are split one by one
        for rank in range(ranks)
        if whole.shape[dim] % (parts * ranks) == 0
    ]


def cut(whole: Tensor, piece: dict[str, int]) -> Tensor:
    """Return one rank's share of each part of a tensor, joined; all of it for an empty piece."""
    if not piece:
        return whole
    dim, parts = piece["dim"], whole.chunk(piece["parts"], dim=piece["dim"])
    return torch.cat([part.chunk(piece["ranks"], dim=dim)[piece["rank"]] for part in parts], dim)


def packed(value: Any, store: TensorStore) -> Any:
    """Return a value of a checkpoint as JSON, its tensors put into the store."""
    if isinstance(value, Tensor):
        return store.add(value)
    if isinstance(value, Namespace):
        return {"namespace": packed(vars(value), store)}
    if isinstance(value, dict):
        return {"dict": {key: packed(item, store) for key, item in value.items()}}
    if isinstance(value, np.ndarray):
        return {"array": [str(value.dtype), value.tolist()]}
    if isinstance(value, list | tuple | set):
        return {type(value).__name__: [packed(item, store) for item in value]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"a {type(value).__name__} is not packed here")


def unpacked(value: Any, store: list[Tensor]) -> Any:
    """Return what was packed."""
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        tensor = store[value["tensor"]]
        return cut(tensor.half(), value.get("piece", {})) if value.get("half") else tensor
    ((kind, content),) = value.items()
    if kind in ("dict", "namespace"):
        items = content["dict"] if kind == "namespace" else content
        whole = {key: unpacked(item, store) for key, item in items.items()}
        return Namespace(**whole) if kind == "namespace" else whole
    if kind == "array":
        return np.array(content[1], dtype=content[0])
    return {"list": list, "tuple": tuple, "set": set}[kind](
        unpacked(item, store) for item in content
    )


def unpack(target: Path, source: Path = COMMITTED) -> Path:
    """Write the committed recordings as the folder that they were taken from; return it."""
    content = json.loads((source / FILES).read_text(encoding="utf-8"))
    store = read_store(source, content["tensors"])
    for name, file in content["files"].items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in TORCH_SUFFIXES:
            torch.save(unpacked(file, store), path)
        elif path.suffix == ".safetensors":
            save_file({key: store[one["tensor"]].clone() for key, one in file.items()}, path)
        elif path.suffix == ".json":
            path.write_text(json.dumps(file), encoding="utf-8")
        else:
            path.write_text(file, encoding="utf-8")
    return target
