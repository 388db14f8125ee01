"""The steps of a task with labels: which examples each has, and which process takes which."""

import pytest
import torch

from unblank.engine.parallel import World
from unblank.finetuning.labels.steps import ExampleSteps, Sizes


def sizes(batch_size, *, micro_batch_size=None, seed=0, rank=0, world_size=1):
    return Sizes(batch_size, micro_batch_size, seed, World(rank, world_size, torch.device("cpu")))


def test_every_example_is_seen_once_an_epoch_and_steps_follow_from_the_seed_alone():
    steps = ExampleSteps([1] * 10, sizes(4, seed=3))
    drawn = [sample for step in range(5) for sample in steps.samples(step)]
    assert sorted(sample.index for sample in drawn[:10]) == list(range(10))
    assert sorted(sample.index for sample in drawn[10:]) == list(range(10))
    assert [s.index for s in drawn[:10]] != [s.index for s in drawn[10:]]
    assert steps.steps_per_epoch == 3
    fresh = steps(None, lambda samples: samples)
    second = [next(fresh), next(fresh)][1]
    resumed = next(steps({"window": 1, "row": 0}, lambda samples: samples))
    assert resumed == second


def test_processes_and_micro_batches_share_a_step_without_gaps():
    whole = ExampleSteps([1] * 10, sizes(8))
    parts = [
        ExampleSteps([1] * 10, sizes(8, micro_batch_size=3, rank=rank, world_size=2))
        for rank in range(2)
    ]
    dealt = [
        sample
        for part in parts
        for batch in next(part(None, lambda samples: samples)).batches
        for sample in batch
    ]
    assert dealt == whole.samples(0)
    with pytest.raises(ValueError, match=r"processes \(2\)"):
        sizes(3, world_size=2)
