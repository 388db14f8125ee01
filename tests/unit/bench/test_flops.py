"""The arithmetic that is counted against what torch counts, and parameters against the model's."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from unblank.bench.flops import (
    corrupted_lengths,
    ganlm_step_flops,
    num_parameters,
    scoring_flops,
    t5_objective_flops,
    training_step_flops,
)
from unblank.bench.ganlm import build_ganlm, ganlm_batch
from unblank.bench.models import build_glm, glm_batch
from unblank.bench.sizes import SIZES, Size

# Part A is one block of queries, and the predicted tokens are a round number: none are filled up.
ALIGNED = replace(SIZES["toy"], part_a=128, part_b=64, batch=4)


def counted_flops(size: Size, train: bool) -> int:
    model, batch = build_glm(size), glm_batch(size)
    with FlopCounterMode(display=False) as counter, torch.autocast("cpu", torch.bfloat16):
        if train:
            model(**batch).loss.backward()
        else:
            with torch.no_grad():
                model(**batch)
    return counter.get_total_flops()


def test_a_training_step_has_the_flops_that_torch_counts():
    head_gradient = 2 * ALIGNED.batch * ALIGNED.part_b * ALIGNED.width * ALIGNED.vocabulary
    # torch's counter does not know the in-place product that sums the table's gradient.
    assert counted_flops(ALIGNED, train=True) + head_gradient == training_step_flops(ALIGNED)


def test_a_step_of_ganlm_and_of_the_t5_objective_has_the_flops_that_torch_counts():
    size = replace(SIZES["toy"], batch=128)  # predicted tokens are a round number here, too
    model, batch = build_ganlm(size), ganlm_batch(size)
    model.set_attn_implementation("eager")
    source, target, content = corrupted_lengths(size)
    assert batch.input_ids.shape[1] == source
    assert batch.labels.shape[1] == target
    for weight, expected in ((0.0, t5_objective_flops(size)), (1.0, ganlm_step_flops(size))):
        with FlopCounterMode(display=False) as counter:
            output = model(
                **batch.model_inputs(),
                discriminator_weight=weight,
                denoising_weight=weight,
                resampled_ids=batch.labels,
            )
            output.loss.backward()
        # As above, for each of the losses that are predicted with the table.
        uncounted = (1 + weight) * 2 * batch.labels.numel() * size.width * size.vocabulary
        assert counter.get_total_flops() + uncounted == expected
    assert output.losses["discriminator"][1] == size.batch * content


def test_scoring_has_the_flops_that_torch_counts_in_a_forward_pass():
    expected = ALIGNED.batch * scoring_flops(ALIGNED, ALIGNED.part_a, ALIGNED.part_b)
    assert counted_flops(ALIGNED, train=False) == expected


@pytest.mark.parametrize("layers", [1, 3])
def test_parameters_are_those_of_the_model(layers):
    size = replace(SIZES["toy"], layers=layers)
    assert num_parameters(size) == build_glm(size).num_parameters()
