"""Files of tensors that are written one by one are those that safetensors writes."""

import pytest
import torch
from safetensors.torch import save_file

from unblank.engine.written_tensors import order_in_file, write_tensors

TENSORS = {
    "weight": torch.randn(3, 5),
    "count": torch.tensor(7.0),
    "empty": torch.zeros(0, 4),
    "half": torch.randn(3).bfloat16(),
    "a name with \u00fc and \"quotes\"": torch.randn(2, 2).half(),
    "ids": torch.arange(5),
    "bytes": torch.arange(3, dtype=torch.uint8),
    "double": torch.randn(2).double(),
    "flags": torch.tensor([True, False, True]),
    "turned": torch.randn(4, 3).T,
}  # fmt: skip


def written(folder, tensors):
    write_tensors(folder / "ours", tensors, (tensors[name] for name in order_in_file(tensors)))
    kept = {name: value.contiguous() for name, value in tensors.items()}
    save_file(kept, folder / "theirs", metadata={"format": "pt"})
    return (folder / "ours").read_bytes(), (folder / "theirs").read_bytes()


@pytest.mark.parametrize("names", [list(TENSORS), list(TENSORS)[::-1], ["weight", "count"], []])
def test_the_bytes_are_those_of_the_library(names, tmp_path):
    ours, theirs = written(tmp_path, {name: TENSORS[name] for name in names})
    assert ours == theirs


def test_all_values_are_taken_where_the_disk_is_full(tmp_path):
    taken = []

    def values():
        for name in order_in_file(TENSORS):
            taken.append(name)
            yield TENSORS[name]

    with pytest.raises(OSError, match="full"):
        write_tensors(tmp_path / "full", TENSORS, _breaking(values()))
    assert len(taken) == len(TENSORS)


def _breaking(values):
    for number, value in enumerate(values):
        if number == 3:
            yield _Unwritable()
        else:
            yield value


class _Unwritable:
    def detach(self):
        raise OSError("the disk is full")
