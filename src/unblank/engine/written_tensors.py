"""A file of safetensors written tensor by tensor, with the bytes that the library would write.

The library takes all tensors of a file at once, and copies them. Here each may be put together just
before it is written.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["METADATA", "bytes_of_file", "order_in_file", "take_all", "write_tensors"]

_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_RANKS = ["BOOL", "U8", "I8", "I16", "F16", "BF16", "I32", "F32", "F64", "I64"]
"""Types in the order of the library, which writes the last one first."""
_ALIGNMENT = 8
METADATA = {"format": "pt"}
"""What the header says beside the tensors, as transformers reads it."""


def order_in_file(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors in the order in which they are written.

    Args:
        tensors: by name; their values are not looked at.
    """
    return sorted(tensors, key=lambda name: (-_RANKS.index(_DTYPES[tensors[name].dtype]), name))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], values: Iterable[Tensor]) -> None:
    """Write a safetensors file.

    Args:
        path: of the file.
        tensors: by name; their values are not looked at.
        values: of each, in the order of `order_in_file`. All of them are taken even if the disk is
            full, as other processes may wait for this one to put them together.

    Raises:
        OSError: it could not be written.
    """
    remaining = iter(values)
    try:
        with path.open("wb") as file:
            for content in bytes_of_file(tensors, remaining):
                file.write(content)
                del content  # before the next tensor is put together
    finally:
        take_all(remaining)


def bytes_of_file(
    tensors: Mapping[str, Tensor],
    values: Iterable[Tensor],
    metadata: Mapping[str, str] = METADATA,
) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a safetensors file: its header, then those of each tensor.

    Args:
        tensors: by name; their values are not looked at.
        values: of each, in the order of `order_in_file`.
        metadata: what the header says beside them.
    """
    yield _header(tensors, order_in_file(tensors), metadata)
    for tensor in values:
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        del tensor
        yield flat.numpy().data
        del flat  # before the next one is put together


def take_all(values: Iterable[Tensor]) -> None:
    """Take each value and keep none: taking part is all that other processes need."""
    deque(values, maxlen=0)


def _header(
    tensors: Mapping[str, Tensor], order: Sequence[str], metadata: Mapping[str, str]
) -> bytes:
    described: dict[str, object] = {"__metadata__": dict(metadata)}
    begin = 0
    for name in order:
        tensor = tensors[name]
        end = begin + tensor.numel() * tensor.element_size()
        described[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    text = json.dumps(described, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
