"""What a sharded checkpoint costs the run that goes on: a copy of the shards, and nothing else."""

import json

import pytest
import torch
from launched import run_program

from unblank.integrity import SHARDED_NAME, file_facts, find_damage
from unblank.untrusted.sharded_weights import shapes_in, whole_tensors

SAVING = """
import json, resource, sys
from pathlib import Path
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from unblank.engine.parallel import join_world
from unblank.engine.sharded_saving import ShardedSaving

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

folder, rows = Path(sys.argv[1]), int(sys.argv[2])
with join_world("cpu") as world:
    mesh = init_device_mesh("cpu", (world.size,))
    def sharded(seed):
        torch.manual_seed(seed)
        return distribute_tensor(torch.randn(rows, 256), mesh, [Shard(0)])
    # 4 tensors in a file, so that a file is more than a tensor.
    weights = {f"w{seed}": sharded(seed) for seed in range(4)}
    moments = {f"w{seed}/mean": sharded(10 + seed) for seed in range(4)}
    moments["w0/step"] = torch.tensor(3.0)
    saving = ShardedSaving(folder, world)
    def save(step):
        parts = {"weights": weights, "moments": moments}
        before = faults()
        saving.start(step, parts, [], lambda: None)
        held = faults() - before
        for tensor in weights.values():
            tensor.mul_(2.0)  # what is written is of the moment of the save
        saving.settle()
        return held
    before = peak()
    first = save(1)
    taken, later = peak() - before, save(2)
    taken, later = max(world.gather(taken)), max(world.gather(later))
    saving.close()
    if world.is_main:
        own = sum(4 * one.to_local().numel() for one in (*weights.values(), *moments.values())
                  if one.ndim)
        print("RESULT", json.dumps({"own": own, "taken": taken, "first": first, "later": later}))
"""


@pytest.mark.parametrize("num_processes", [2, 3])
def test_what_is_written_is_of_the_moment_of_the_save(num_processes, tmp_path):
    run_program(SAVING, str(tmp_path), "7", num_processes=num_processes)
    for step, factor in ((1, 1.0), (2, 2.0)):
        folder = tmp_path / f"step-{step:08d}"
        assert find_damage(folder) is None
        found = dict(whole_tensors(folder, "weights"))
        for name, values in found.items():
            torch.manual_seed(int(name[1:]))
            assert torch.equal(values, factor * torch.randn(7, 256))
        assert sorted(shapes_in(folder, "moments")) == sorted(
            ["w0/step", *(f"w{seed}/mean" for seed in range(4))]
        )
        recorded = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
        written = sorted((folder / SHARDED_NAME).iterdir())
        assert len(written) == 2 * num_processes
        for path in written:
            assert recorded[f"{SHARDED_NAME}/{path.name}"] == file_facts(path)


def test_a_save_takes_one_copy_of_the_shards_and_the_next_one_none(tmp_path):
    cost = run_program(SAVING, str(tmp_path), "32768", num_processes=2)
    # The files are not put together in memory.
    assert cost["taken"] < 1.15 * cost["own"]
    # The pages of the first copy are written again.
    assert cost["later"] * 4096 < 0.1 * cost["own"]
    assert cost["later"] < 0.5 * cost["first"]  # of which huge pages leave few
