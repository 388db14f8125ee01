"""Sharded checkpoints whose headers claim what cannot be: every number must come from a file."""

import json

import pytest
import torch
from safetensors.torch import save_file

from unblank.integrity import SHARDED_NAME
from unblank.untrusted.sharded_weights import named, whole_tensors

NAME = named("weights", "w")


def written(folder, begins, shapes, dtypes=None):
    """Write a shard for each beginning, filled with its number from 1 on."""
    (folder / SHARDED_NAME).mkdir()
    kinds = dtypes or [torch.float32] * len(begins)
    for number, (begin, shape, kind) in enumerate(zip(begins, shapes, kinds, strict=True), start=1):
        header = {"DCP_SHARDING_INFO": json.dumps({NAME: {"saved_offsets": begin}})}
        path = folder / SHARDED_NAME / f"shard-{number:05d}-model.safetensors"
        save_file({NAME: torch.full(shape, float(number), dtype=kind)}, path, header)
    return folder


def test_shards_in_any_order_and_direction_are_put_together(tmp_path):
    folder = written(tmp_path, [[2, 0], [0, 0], [0, 1]], [(1, 2), (2, 1), (2, 1)])
    ((name, whole),) = whole_tensors(folder, "weights")
    assert (name, whole.tolist()) == ("w", [[2, 3], [2, 3], [1, 1]])


@pytest.mark.parametrize(
    ("begins", "shapes"),
    [
        (
            [[0], [0], [4]],
            [(2,), (2,), (2,)],
        ),  # as many numbers as the whole has, two of them twice
        ([[0, 0], [1, 0], [0, 0]], [(1, 2), (1, 1), (1, 1)]),
        ([[-2], [0]], [(2,), (2,)]),
        ([[-1]], [(1,)]),
        ([[10**30]], [(1,)]),
        ([[0], [2, 0]], [(2,), (2, 1)]),
    ],
)
def test_shards_that_do_not_make_up_a_tensor_are_refused(begins, shapes, tmp_path):
    folder = written(tmp_path, begins, shapes)
    with pytest.raises(ValueError, match=SHARDED_NAME):
        list(whole_tensors(folder, "weights"))


def test_shards_of_several_data_types_are_refused(tmp_path):
    folder = written(tmp_path, [[0], [1]], [(1,), (1,)], [torch.int32, torch.float32])
    with pytest.raises(ValueError, match=SHARDED_NAME):
        list(whole_tensors(folder, "weights"))


@pytest.mark.parametrize("begins", ["[" * 100_000, "[]", "null", '{"weights/w": 3}', "{}"])
def test_a_header_without_beginnings_is_named(begins, tmp_path):
    (tmp_path / SHARDED_NAME).mkdir()
    path = tmp_path / SHARDED_NAME / "shard-00001-model.safetensors"
    save_file({NAME: torch.zeros(2)}, path, {"DCP_SHARDING_INFO": begins})
    with pytest.raises(ValueError, match=path.name):
        list(whole_tensors(tmp_path, "weights"))


@pytest.mark.parametrize("begin", [0.5, True, "0", float("nan"), float("inf")])
def test_beginnings_are_whole_numbers(begin, tmp_path):
    folder = written(tmp_path, [[begin]], [(1,)])
    with pytest.raises(ValueError, match="safetensors"):
        list(whole_tensors(folder, "weights"))
