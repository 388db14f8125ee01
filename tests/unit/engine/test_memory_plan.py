"""Memory by formulas: what shards divide, and what they do not."""

from dataclasses import replace

import pytest
from training_toys import toy_model

from unblank.engine.memory_plan import (
    ProcessLayout,
    checkpoint_bytes,
    count_sizes,
    exchanged_bytes,
    plan_memory,
)
from unblank.engine.optimizers import build_optimizers
from unblank.engine.settings import OptimSettings
from unblank.engine.state import named_moments


@pytest.fixture(scope="module")
def sizes():
    return count_sizes(
        toy_model(),
        saves_all=True,
        has_average=True,
        positions=256,
        scored=64,
        micro_batches=1,
        passes=1.0,
        activation_bytes=4,
        recomputes=False,
    )


def needs(sizes, *layout):
    needs = plan_memory(sizes, ProcessLayout(*layout), on_cpu=True)
    return {name: one.num_bytes for name, one in needs.items()}


def test_one_process_needs_what_its_tensors_take(sizes):
    model = toy_model()
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    for one in model.parameters():
        one.grad = one.detach().clone()
    optimizers = build_optimizers(model, OptimSettings(), 1e-3)
    optimizers[0].step()
    moments = named_moments(model, optimizers).values()
    alone = needs(sizes, "ddp", 1)
    assert alone["weights"] == alone["gradients"] == alone["average"] == weights
    # Besides the moments, a count for each parameter.
    size = sum(one.numel() * one.element_size() for one in moments if one.ndim)
    assert alone["optimiser"] == size
    assert checkpoint_bytes(sizes) == 2 * weights + size


def test_shards_divide_all_but_what_computes(sizes):
    alone = needs(sizes, "ddp", 1)
    for number in (2, 8):
        shards = needs(sizes, "fsdp", number)
        assert shards["optimiser"] == alone["optimiser"] / number
        assert shards["average"] == alone["average"] / number
        for part in ("activations", "logits", "libraries"):
            assert shards[part] == alone[part]
    assert needs(sizes, "fsdp", 8) == needs(sizes, "fsdp", 64, 8)
    assert needs(sizes, "fsdp", 8)["weights"] < needs(sizes, "fsdp", 2)["weights"]


def test_a_gpu_holds_neither_libraries_nor_copies_nor_what_malloc_keeps(sizes):
    layout = ProcessLayout("fsdp", 2)
    here, there = (plan_memory(sizes, layout, on_cpu=where) for where in (True, False))
    assert here.keys() - there.keys() == {"libraries", "kept by malloc", "checkpoint"}
    assert here["checkpoint"].num_bytes == checkpoint_bytes(sizes) / 2
    replicas = plan_memory(sizes, ProcessLayout("ddp", 2), on_cpu=True)
    assert not {"kept by malloc", "checkpoint"} & replicas.keys()


def test_gradients_of_several_micro_batches_are_whole(sizes):
    several = replace(sizes, micro_batches=4)
    more = needs(several, "fsdp", 2)["gradients"] - needs(sizes, "fsdp", 2)["gradients"]
    assert more == 4 * (sizes.trained - sizes.root - sizes.layer)


def test_what_is_exchanged_grows_with_the_processes_up_to_a_bound(sizes):
    assert exchanged_bytes(sizes, ProcessLayout("ddp", 1)) == 0
    assert exchanged_bytes(sizes, ProcessLayout("ddp", 2)) == 4 * sizes.trained
    assert exchanged_bytes(sizes, ProcessLayout("ddp", 1000)) < 8 * sizes.trained
    # Gathered twice and scattered once: half of it by two processes.
    assert exchanged_bytes(sizes, ProcessLayout("fsdp", 2)) == 1.5 * 4 * sizes.all


def test_a_checkpoint_of_adapters_holds_what_is_trained(sizes):
    few = replace(sizes, trained=1000, saves_all=False)
    assert checkpoint_bytes(few) == 4_000 + 8_000 + 4_000
    # The adapters are gathered in each process, moments and average are not.
    assert needs(few, "fsdp", 4)["checkpoint"] == 4_000 + (8_000 + 4_000) / 4
