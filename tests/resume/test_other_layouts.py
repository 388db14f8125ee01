"""A run goes on with another number of processes, replicated or sharded; damage is named."""

import shutil

import pytest
import torch
from forked import start_program
from launched import Run, worlds_of
from safetensors.torch import load_file

import unblank
from unblank.engine.checkpoint import list_checkpoints
from unblank.integrity import find_damage
from unblank.untrusted.sharded_weights import shapes_in, whole_tensors

# Dropout is drawn in each process, so only without it the layout changes nothing but sums.
LASTING = {
    "train.batch_size": 12,
    "train.micro_batch_size": 1,
    "train.ema_decay": 0.9,
    "train.keep_checkpoints": 9,
    "optim.schedule": "constant",
    "model.hidden_dropout": 0.0,
    "model.attention_dropout": 0.0,
}
STEPS = 2
"""Steps in each layout."""


def go_on(pretraining, output, last_step, num_processes, parallel, shard_group=None):
    settings = {"train.max_steps": last_step, "train.save_every": STEPS, "train.parallel": parallel}
    if shard_group is not None:
        settings["train.shard_group"] = shard_group
    return pretraining.run_together(output, num_processes, **LASTING, **settings)


def in_layouts(pretraining, output, *layouts):
    """Do some steps in each layout, each going on where the one before ended."""
    for number, layout in enumerate(layouts, start=1):
        printed = go_on(pretraining, output, number * STEPS, *layout)
        assert ("from step" in printed) == (number > 1)


def require_same_run(pretraining, one, other):
    """What differs is the order in which numbers are added up."""
    ours, theirs = (pretraining.metrics(output) for output in (one, other))
    for key in ("step", "samples", "tokens", "learning_rate"):
        assert [line[key] for line in ours] == [line[key] for line in theirs]
    losses = [[line["loss"] for line in lines] for lines in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    mine, yours = (
        load_file(pretraining.folder / out / "model.safetensors") for out in (one, other)
    )
    assert set(mine) == set(yours)
    for name, values in mine.items():
        torch.testing.assert_close(values, yours[name], rtol=0, atol=2e-5, msg=name)


@pytest.fixture(scope="module")
def sharded(pretraining_in, tmp_path_factory):
    """A finished run of two processes, with two checkpoints of two shards; not to be changed."""
    pretraining = pretraining_in(tmp_path_factory.mktemp("sharded"))
    go_on(pretraining, "run", 2 * STEPS, 2, "fsdp")
    return pretraining


@pytest.fixture
def copy(sharded, pretraining_in, tmp_path):
    shutil.copytree(sharded.folder / "run", tmp_path / "run")
    return pretraining_in(tmp_path)


def test_a_sharded_run_goes_on_in_one_process(copy):
    go_on(copy, "run", 3 * STEPS, 1, "ddp")
    go_on(copy, "whole", 3 * STEPS, 1, "ddp")
    require_same_run(copy, "run", "whole")


def test_a_sharded_checkpoint_opens_as_any_other(sharded):
    folder = sharded.folder / "run"
    last, _ = list_checkpoints(folder / "checkpoints")
    opened = unblank.load(last).model
    finished = load_file(folder / "model.safetensors")
    average = dict(whole_tensors(last, "average"))
    # The average became the model; the weights are in the checkpoint as well.
    assert all(torch.equal(average[name], values) for name, values in finished.items())
    weights = dict(whole_tensors(last, "weights"))
    assert set(weights) == set(average)
    assert all(torch.equal(weights[name], opened.state_dict()[name]) for name in weights)
    assert any(not torch.equal(weights[name], average[name]) for name in weights)
    assert {name: (*values.shape,) for name, values in weights.items()} == shapes_in(
        last, "weights"
    )


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "said"),
    [(flip_a_bit, "has changed since it was written"), (lambda path: path.unlink(), "is missing")],
    ids=["flipped", "missing"],
)
def test_a_broken_shard_is_named_and_the_last_good_checkpoint_taken(copy, harm, said):
    last, first = list_checkpoints(copy.folder / "run" / "checkpoints")
    name = "sharded/shard-00002-model-00002-of-00003.safetensors"
    harm(last / name)
    assert find_damage(last) == f"{name} {said}"
    printed = go_on(copy, "run", 2 * STEPS + 1, 1, "ddp")
    assert f"{name} {said}" in "".join(printed.split("\n"))
    assert f"from step {STEPS}" in printed
    assert unblank.load(first).model is not None


def test_shards_that_do_not_make_up_a_tensor_are_refused(copy):
    last, _ = list_checkpoints(copy.folder / "run" / "checkpoints")
    (last / "sharded" / "shard-00001-model-00001-of-00003.safetensors").unlink()
    with pytest.raises(ValueError, match=last.name):
        shapes_in(last, "weights")


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["tiny", "deltalm-tiny", "ganlm-tiny"])
def test_a_run_goes_on_with_four_two_one_and_three_processes(pretraining, preset):
    pretraining.settings["model.preset"] = preset
    in_layouts(pretraining, "moved", (4, "fsdp", 2), (2, "fsdp"), (1, "ddp"), (3, "fsdp"))
    go_on(pretraining, "whole", 4 * STEPS, 1, "ddp")
    require_same_run(pretraining, "moved", "whole")


@pytest.mark.slow
def test_a_run_moves_between_shards_and_copies(pretraining):
    in_layouts(pretraining, "moved", (2, "fsdp"), (2, "ddp"), (4, "fsdp", 2), (4, "ddp"))
    go_on(pretraining, "whole", 4 * STEPS, 1, "ddp")
    require_same_run(pretraining, "moved", "whole")


FEW = {
    "model.hidden_dropout": 0.0,
    "model.attention_dropout": 0.0,
    "lora.dropout": 0.0,
    "optim.schedule": "constant",
    "train.average_last": 1,
    "train.validate_every": STEPS,
    "train.save_every": STEPS,
    "train.log_every": 1,
    "train.keep_checkpoints": 9,
}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "preset"), [("lora", "deltalm-tiny"), ("deep-prompt", "tiny")])
def test_few_parameters_are_tuned_on_with_two_one_and_three_processes(finetuning, method, preset):
    finetuning.settings |= {"model.preset": preset, "model.num_hidden_layers": 2}
    finetuning.run("base", **{"train.max_steps": 1})
    for name in ("preset", "num_hidden_layers", "hidden_size", "num_attention_heads"):
        del finetuning.settings[f"model.{name}"]
    del finetuning.settings["tokenizer.path"]
    few = {
        **FEW,
        "train.batch_tokens": 6 * 256,
        "model.init_from": finetuning.folder / "base",
        "method": method,
    }
    if method != "lora":
        del few["lora.dropout"]
    for number, (size, parallel) in enumerate([(2, "fsdp"), (1, "ddp"), (3, "ddp")], start=1):
        last = {"train.max_steps": number * STEPS, "train.parallel": parallel}
        printed = finetuning.run_together("moved", size, **few, **last)
        assert ("from step" in printed) == (number > 1)
    finetuning.run("whole", **few, **{"train.max_steps": 3 * STEPS})
    ours, theirs = (finetuning.metrics(output) for output in ("moved", "whole"))
    assert [line["step"] for line in ours] == [*range(1, 3 * STEPS + 1)]
    losses = [[line["loss"] for line in lines] for lines in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_other_processes_that_would_change_the_batch_are_refused(finetuning):
    few = {"train.save_every": 1, "train.validate_every": 1, "optim.schedule": "constant"}
    finetuning.run("tuned", **few, **{"train.max_steps": 1})
    with pytest.raises(AssertionError, match=r"rows of a step .* was 2, now 3"):
        finetuning.run_together("tuned", 3, **few, **{"train.max_steps": 2})


FULL_FOR_ONE = """
import os, resource
if os.environ["RANK"] == "1":
    # As a full disk: Python ignores the signal, and the write fails.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from unblank.cli import main
main()
"""


@pytest.mark.slow
def test_a_disk_that_is_full_for_one_process_ends_all_with_one_message(copy):
    before = [path.name for path in list_checkpoints(copy.folder / "run" / "checkpoints")]
    longer = {"train.max_steps": 6 * STEPS, "train.save_every": STEPS, "train.parallel": "fsdp"}
    words, logs = copy.words("run", **LASTING, **longer), [copy.folder / "0", copy.folder / "1"]
    runs = [
        Run(start_program(FULL_FOR_ONE, words, log, world), log)
        for world, log in zip(worlds_of(2), logs, strict=True)
    ]
    assert [run.status(200) for run in runs] == [2, 2], [run.printed() for run in runs]
    said = "".join(run.printed() for run in runs)
    assert said.count("the checkpoint was not saved: process 1: ") == 1, said
    assert "File too large" in said
    assert "the last good one is" in said
    checkpoints = copy.folder / "run" / "checkpoints"
    assert [path.name for path in list_checkpoints(checkpoints)] == before
    assert not list(checkpoints.glob(".*"))
    go_on(copy, "run", 3 * STEPS, 1, "ddp")


FULL_DISK = """
import os, sys
from unblank.cli import main
from unblank.engine.shard_writer import CheckpointShardWriter

write, calls = CheckpointShardWriter.write_data, []

def fail_once(self, *given):
    calls.append(given)
    if os.environ["RANK"] == "1" and len(calls) == 2:
        raise OSError(28, "No space left on device")
    return write(self, *given)

CheckpointShardWriter.write_data = fail_once
main(sys.argv[1:])
"""


def test_a_full_disk_of_one_process_is_told_at_once_and_by_one(pretraining):
    changes = {**LASTING, "train.max_steps": 45, "train.save_every": 10, "train.parallel": "fsdp"}
    changes["train.batch_size"] = 4
    words = pretraining.words("run", **changes)
    logs = [pretraining.folder / f"{rank}.printed" for rank in range(2)]
    runs = [
        Run(start_program(FULL_DISK, words, log, world), log)
        for world, log in zip(worlds_of(2), logs, strict=True)
    ]
    statuses = [run.status() for run in runs]
    printed = [run.printed() for run in runs]
    assert all(statuses), printed
    assert "process 1: " in printed[0]
    assert "No space left" in printed[0]
    assert "step-00000010" in printed[0]
    assert "No space left" not in printed[1]
    folder = pretraining.folder / "run"
    assert 20 <= pretraining.metrics("run")[-1]["step"] < 30
    (kept,) = list_checkpoints(folder / "checkpoints")
    assert find_damage(kept) is None
