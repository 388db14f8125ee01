import random
import re
import subprocess
import time

import pytest

DROPOUT = {"model.hidden_dropout": 0.1, "model.attention_dropout": 0.1}


def kill_after_step(pretraining, run, output, step):
    """Kill the run, all its processes, a random moment after it has logged `step`."""
    deadline = time.monotonic() + 120
    while not any(line["step"] >= step for line in pretraining.metrics(output)):
        assert time.monotonic() < deadline, "the run is stuck"
        assert run.is_alive(), run.printed()
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.05))
    run.kill()


def resume_equals_uninterrupted(pretraining, **options):
    # Checkpoints fall between two log lines: sums that are not yet logged must survive, too.
    steps = {"train.max_steps": 20, "train.save_every": 5, "train.log_every": 2, **DROPOUT}
    whole = pretraining.start("whole", **steps, **options)
    killed = pretraining.start("killed", **steps, **options)
    kill_after_step(pretraining, killed, "killed", random.randint(6, 14))
    whole.finish()
    printed = pretraining.run("killed", **steps, **options)
    assert "from step" in printed
    assert pretraining.metrics("killed") == pretraining.metrics("whole")
    assert len(pretraining.metrics("whole")) == 10
    assert pretraining.weights("killed") == pretraining.weights("whole")


def test_a_run_killed_at_a_random_step_resumes_bit_for_bit(pretraining):
    resume_equals_uninterrupted(pretraining)


def test_an_averaged_run_of_muon_resumes_bit_for_bit(pretraining):
    # Killed before the decay of wsd or in it; without held-out text the average is the model.
    options = {"optim.name": "muon", "optim.schedule": "wsd", "optim.decay_ratio": 0.6}
    resume_equals_uninterrupted(pretraining, **options, **{"train.ema_decay": 0.9})


@pytest.mark.slow
def test_a_timed_run_that_is_killed_has_the_steps_that_were_chosen(pretraining):
    del pretraining.settings["train.max_steps"]
    options = {"train.save_every": 5, "train.log_every": 2, **DROPOUT}
    killed = pretraining.start("killed", **{"train.minutes": 0.2}, **options)
    kill_after_step(pretraining, killed, "killed", 6)
    settings = (pretraining.folder / "killed" / "run.yaml").read_text(encoding="utf-8")
    (num_steps,) = re.findall(r"max_steps: (\d+)", settings)
    printed = pretraining.run("killed", **{"train.minutes": 0.2}, **options)
    assert "from step" in printed
    pretraining.run("whole", **{"train.max_steps": num_steps}, **options)
    assert pretraining.metrics("killed") == pretraining.metrics("whole")
    assert pretraining.weights("killed") == pretraining.weights("whole")


def finetuning_resume_equals_uninterrupted(finetuning, **options):
    options |= DROPOUT
    whole = finetuning.start("whole", **options)
    killed = finetuning.start("killed", **options)
    kill_after_step(finetuning, killed, "killed", random.randint(4, 10))
    whole.finish()
    printed = finetuning.run("killed", **options)
    assert "from step" in printed
    for name in ("metrics.jsonl", "validation.jsonl"):
        assert finetuning.metrics("killed", name) == finetuning.metrics("whole", name), name
    chosen = [(finetuning.folder / run / "results.json").read_text() for run in ("killed", "whole")]
    assert chosen[0] == chosen[1]
    assert len(finetuning.metrics("whole", "validation.jsonl")) == 5
    assert finetuning.weights("killed") == finetuning.weights("whole")


def test_fine_tuning_killed_at_a_random_step_resumes_bit_for_bit(finetuning):
    finetuning_resume_equals_uninterrupted(finetuning)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"num_processes": 2},
        {"num_processes": 2, "train.parallel": "fsdp"},
        {"data.num_workers": 1, "model.preset": "deltalm-tiny", "model.num_hidden_layers": 2},
        {"model.preset": "tiny"},
    ],
    ids=["two ranks", "two shards", "DeltaLM with a worker", "GLM"],
)
def test_fine_tuning_resumes_exactly_with(finetuning, options):
    finetuning_resume_equals_uninterrupted(finetuning, **options)


@pytest.mark.slow
def test_fine_tuning_with_plain_text_resumes_exactly(finetuning, corpus):
    options = {"data.monolingual": corpus / "train.txt", "data.text_unit": "paragraph"}
    options |= {"model.preset": "deltalm-tiny", "model.num_hidden_layers": 2}
    finetuning_resume_equals_uninterrupted(finetuning, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"data.num_workers": 2},
        {"num_processes": 2, "train.ema_decay": 0.9},
        {"num_processes": 2, "train.parallel": "fsdp", "train.ema_decay": 0.9},
        {"train.precision": "bf16", "model.activation_checkpointing": True},
    ],
    ids=["two workers", "two ranks", "two shards", "bf16 with recomputation"],
)
def test_resume_is_exact_with(pretraining, options):
    resume_equals_uninterrupted(pretraining, **options)


@pytest.mark.slow
def test_a_disk_that_fills_up_while_saving_leaves_the_last_checkpoint_usable(pretraining):
    pretraining.run("run", **{"train.max_steps": 6, "optim.schedule": "constant"})
    checkpoints = pretraining.folder / "run" / "checkpoints"
    largest = max(path.stat().st_size for path in checkpoints.glob("*/*"))
    longer = {"train.max_steps": 12, "optim.schedule": "constant"}
    command = pretraining.command("run", **longer)
    # A limit on the size of files gives the same kind of failure as a full disk, half way.
    limited = subprocess.run(
        ["bash", "-c", f'ulimit -f {largest // 2048}; exec "$@"', "bash", *command],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert limited.returncode == 2, limited.stderr
    assert "step-00000006" in limited.stderr
    assert sorted(path.name for path in checkpoints.iterdir()) == [
        "step-00000003",
        "step-00000006",
    ]
    pretraining.run("run", **longer)
    assert [line["step"] for line in pretraining.metrics("run")] == list(range(1, 13))
