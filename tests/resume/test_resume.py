import os
import random
import signal
import time

import pytest

DROPOUT = {"model.hidden_dropout": 0.1, "model.attention_dropout": 0.1}


def kill_after_step(pretraining, process, output, step):
    """Kill the run, all its processes, a random moment after it has logged `step`."""
    deadline = time.monotonic() + 120
    while len(pretraining.metrics(output)) < step:
        assert time.monotonic() < deadline, "the run is stuck"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.05))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def resume_equals_uninterrupted(pretraining, **options):
    steps = {"train.max_steps": 40, "train.save_every": 7, **DROPOUT}
    whole = pretraining.start("whole", **steps, **options)
    killed = pretraining.start("killed", **steps, **options)
    kill_after_step(pretraining, killed, "killed", random.randint(8, 25))
    printed, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, printed
    printed = pretraining.run("killed", **steps, **options)
    assert "from step" in printed
    assert pretraining.metrics("killed") == pretraining.metrics("whole")
    assert len(pretraining.metrics("whole")) == 40
    assert pretraining.weights("killed") == pretraining.weights("whole")


def test_a_run_killed_at_a_random_step_resumes_bit_for_bit(pretraining):
    resume_equals_uninterrupted(pretraining)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"data.num_workers": 2},
        {"num_processes": 2},
        {"num_processes": 2, "train.parallel": "fsdp"},
        {"train.precision": "bf16", "model.activation_checkpointing": True},
    ],
    ids=["two workers", "two ranks", "two shards", "bf16 with recomputation"],
)
def test_resume_is_exact_with(pretraining, options):
    resume_equals_uninterrupted(pretraining, **options)
