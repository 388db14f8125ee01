"""Two processes compute what one does: replicated (DDP) and sharded (FSDP), on CPU with gloo."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import start_program
from launched import run_program, world_of

PROGRAM = """
import json, sys
import torch
from training_toys import toy_model, toy_stream, toy_trainer
from unblank.engine.averages import MovingAverage
from unblank.engine.optimizers import build_optimizers
from unblank.engine.settings import OptimSettings
from unblank.engine.parallel import join_world, share_model
from unblank.engine.state import named_moments, named_weights, whole
from unblank.engine.units import InfillUnit, UnitModule

results = {}
with join_world("cpu") as world:
    for name, parallel in (word.split("/") for word in sys.argv[1:]):
        model = toy_model()
        group, parallel = (2, "fsdp") if parallel == "hsdp" else (None, parallel)
        module = share_model(UnitModule(model, InfillUnit(), world.device), world, parallel, group)
        optimizers = build_optimizers(model, OptimSettings(name=name), learning_rate=4e-4)
        average = MovingAverage(model, 0.7)
        trainer = toy_trainer(
            model, world=world, module=module, optimizers=optimizers, average=average,
            clip_norm=0.0,
            steps=toy_stream().micro_batches(
                batch_size=8, micro_batch_size=2, rank=world.rank, world_size=world.size
            ),
        )
        trainer.run()
        weights, moments, averaged = (
            {name: whole(value) for name, value in state.items()}
            for state in (named_weights(model), named_moments(model, optimizers), average.weights)
        )
        results[f"{name}/{'hsdp' if group else parallel}"] = {
            "average": {name: float(value.double().norm()) for name, value in averaged.items()},
            "losses": trainer.hooks.losses,
            "weights": {name: float(value.double().norm()) for name, value in weights.items()},
            "moments": {name: float(value.double().norm()) for name, value in moments.items()},
        }
    if world.is_main:
        print("RESULT", json.dumps(results))
"""


def test_two_processes_replicated_or_sharded_train_as_one_does():
    alone = run_program(PROGRAM, "adamw/ddp", "muon/ddp")
    kinds = [f"{name}/{parallel}" for name in ("adamw", "muon") for parallel in ("ddp", "fsdp")]
    two = run_program(PROGRAM, *kinds, num_processes=2)
    for kind in kinds:
        one = alone[kind.replace("fsdp", "ddp")]
        for part in ("weights", "moments", "average"):
            assert two[kind][part] == pytest.approx(one[part], rel=1e-4, abs=1e-7), kind
        assert two[kind]["losses"] == pytest.approx(one["losses"], rel=1e-5), kind


@pytest.mark.slow
def test_two_replicas_of_two_shards_train_as_one_does():
    alone = run_program(PROGRAM, "adamw/ddp", "muon/ddp")
    four = run_program(PROGRAM, "adamw/hsdp", "muon/hsdp", num_processes=4)
    for name in ("adamw", "muon"):
        one, other = alone[f"{name}/ddp"], four[f"{name}/hsdp"]
        for part in ("weights", "moments", "average"):
            assert other[part] == pytest.approx(one[part], rel=1e-4, abs=1e-7), name
        assert other["losses"] == pytest.approx(one["losses"], rel=1e-5), name


WAITING = """
import os, time
from unblank.engine.parallel import join_world

with join_world("cpu"):
    # In one write: with PYTHONUNBUFFERED, print writes its pieces one by one, between the other's.
    os.write(1, f"PID {os.getpid()}\\n".encode())
    time.sleep(120)
"""
LAUNCHER = """
import os, time

for rank in range(2):
    if os.fork() == 0:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        break
else:
    time.sleep(120)
    raise SystemExit("not killed")
"""
BY_TORCHRUN = {"TORCHELASTIC_RUN_ID": "one"}  # only torchrun's processes end with their parent


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the processes")
def test_killing_what_started_the_processes_ends_them(tmp_path):
    log = tmp_path / "printed"
    launcher = start_program(LAUNCHER + WAITING, [], log, {**world_of(2), **BY_TORCHRUN})
    pids = pids_in(log)
    launcher.kill()
    require_ended(pids)
    launcher.join()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux ends the processes")
def test_killing_torchrun_ends_its_processes(tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    log = tmp_path / "printed"
    with log.open("w") as printed:
        run = subprocess.Popen(
            [sys.executable, *launcher, sys.executable, "-c", WAITING],
            stdout=printed,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    pids = pids_in(log)
    run.kill()
    require_ended(pids)
    run.wait()


@pytest.mark.parametrize(("later", "status"), [("raise OSError", 1), ("", 0)])
def test_a_script_that_fails_after_its_run_says_so(later, status):
    program = f"""
import atexit
from unblank.engine.parallel import _skip_teardown
atexit.register(_skip_teardown, [0])  # as of a run that has ended well
{later}
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == status


def pids_in(log: Path) -> list[int]:
    """Wait for the lines of both processes and return their ids."""
    deadline = time.monotonic() + 100
    while (text := log.read_text() if log.exists() else "").count("\n") < 2:
        assert time.monotonic() < deadline, text
        time.sleep(0.01)
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith("PID ")]


def require_ended(pids: list[int]) -> None:
    """Wait until the processes have ended."""
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
