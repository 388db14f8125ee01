"""Weights in several files, as transformers divides them and reads them."""

import json
import weakref

import pytest
import torch
from training_toys import toy_model
from transformers import PreTrainedModel

from unblank.engine.model_files import write_weight_files
from unblank.engine.parallel import World
from unblank.engine.state import named_weights
from unblank.untrusted.weight_files import tensors_in

ONE = World(0, 1, torch.device("cpu"))


def written(folder):
    files = sorted(folder.glob("*.safetensors"))
    return {path.name: tensors_in(path) for path in files}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, tensors in ours.items():
        assert tensors.keys() == theirs[name].keys()
        assert all(torch.equal(value, theirs[name][key]) for key, value in tensors.items())


def test_the_files_are_those_of_transformers(tmp_path):
    model = toy_model()
    for size in ("5GB", 20_000):
        ours, theirs = tmp_path / f"ours-{size}", tmp_path / f"theirs-{size}"
        ours.mkdir()
        write_weight_files(ours, named_weights(model), ONE, largest_file=size)
        PreTrainedModel.save_pretrained(model, theirs, max_shard_size=size)
        same(written(ours), written(theirs))
    places = [
        json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
        for folder in (ours, theirs)
    ]
    assert places[0] == places[1]
    assert len(set(places[0].values())) > 1


def test_each_process_writes_its_files(tmp_path):
    weights = named_weights(toy_model())
    for rank in range(3):
        folder = tmp_path / str(rank)
        folder.mkdir()
        world = World(rank, 3, torch.device("cpu"))
        write_weight_files(folder, weights, world, stem="weights", largest_file=10_000)
    found = [set(written(tmp_path / str(rank))) for rank in range(3)]
    assert sum(map(len, found)) == len(set.union(*found))
    tensors = [
        name for r in range(3) for one in written(tmp_path / str(r)).values() for name in one
    ]
    assert sorted(tensors) == sorted(weights)
    index = json.loads((tmp_path / "0" / "weights.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set.union(*found)


def test_one_tensor_is_put_together_at_a_time(tmp_path, monkeypatch):
    alive, most = weakref.WeakSet(), 0

    def counted(tensor):
        nonlocal most
        made = tensor.clone()
        alive.add(made)
        most = max(most, len(alive))
        return made

    monkeypatch.setattr("unblank.engine.model_files.whole", counted)
    write_weight_files(tmp_path, named_weights(toy_model()), ONE)
    assert most == 1


def test_a_full_disk_leaves_no_process_waiting(tmp_path, monkeypatch):
    put_together = []
    monkeypatch.setattr(
        "unblank.engine.model_files.whole", lambda one: put_together.append(one) or one
    )
    weights = named_weights(toy_model())
    write_weight_files(tmp_path, weights, ONE, largest_file=10_000)
    first = min(tmp_path.glob("*.safetensors"))
    first.unlink()
    first.mkdir()  # cannot be written
    put_together.clear()
    with pytest.raises(OSError, match=first.name):
        write_weight_files(tmp_path, weights, ONE, largest_file=10_000)

    assert len(put_together) >= len(weights) - 1
