"""Ours in the race: a GLM of a given size, its training step, and the products a machine can do."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch

from unblank.bench.sizes import SIZES, Size
from unblank.bench.worker import Workload
from unblank.engine.optimizers import build_optimizers
from unblank.engine.precision import choose_precision
from unblank.engine.settings import OptimSettings
from unblank.examples import IGNORE_INDEX
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.models.products import fast_fp32_products

__all__ = ["build_glm", "glm_training", "matrix_ceiling", "muon_alone", "training_step"]

_CEILING_WIDTH = 2048
_CEILING_PRODUCTS = 10


def build_glm(size: Size) -> GlmInfillForConditionalGeneration:
    """Return a GLM without dropout and with random weights; special tokens are the first ids."""
    torch.manual_seed(0)
    config = GlmInfillConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return GlmInfillForConditionalGeneration(config)


def glm_batch(size: Size) -> dict[str, torch.Tensor]:
    """Return the model's inputs for one step: one example a row, Part A then one piece."""
    rows, length = size.batch, size.row_length
    column = torch.arange(length)
    is_prefix = (column < size.part_a).expand(rows, length)
    input_ids = torch.randint(0, size.vocabulary, (rows, length))
    positions = torch.stack([column.clamp(max=size.part_a - 1), (column - size.part_a + 1).relu()])
    return {
        "input_ids": input_ids,
        "position_ids": positions[:, None].expand(2, rows, length),
        "labels": input_ids.masked_fill(is_prefix, IGNORE_INDEX),
        "segment_ids": torch.ones_like(input_ids),
        "is_prefix": is_prefix,
    }


def glm_training(
    size: str,
    vocabulary: int | None = None,
    sampled_softmax: int = 0,
    optimizer: Literal["adamw", "muon"] = "adamw",
) -> Workload:
    """Return our training step as the command runs it, precision by hardware.

    Args:
        size: a key of `SIZES`.
        vocabulary: rows of the table, if not the size's own.
        sampled_softmax: as `train.sampled_softmax`.
        optimizer: as `optim.name`.
    """
    shape = SIZES[size]
    if vocabulary is not None:
        shape = replace(shape, vocabulary=vocabulary)
    model = build_glm(shape).train()
    batch = glm_batch(shape)

    def loss() -> torch.Tensor:
        found: torch.Tensor = model(**batch, sampled_softmax=sampled_softmax).loss
        return found

    return training_step(model, loss, shape, OptimSettings(name=optimizer))


def muon_alone(size: str) -> Workload:
    """Return what Muon does in such a step, again and again with the same gradients."""
    shape, device = SIZES[size], torch.device("cpu")
    precision = choose_precision("auto", device)
    model = build_glm(shape).train()
    muon, _ = build_optimizers(model, OptimSettings(name="muon"), 4e-4, precision.dtype)
    with precision.autocast(device):
        loss = model(**glm_batch(shape)).loss
    loss.backward()

    def step() -> float:
        with fast_fp32_products(precision.dtype, device):
            muon.step()
        return shape.text_tokens

    return step


def training_step(
    model: torch.nn.Module,
    loss: Callable[[], torch.Tensor],
    size: Size,
    optim: OptimSettings | None = None,
) -> Workload:
    """Return a step as the command takes it on a CPU; unit: tokens of original text.

    Args:
        model: in training mode.
        loss: computes what is minimised.
        size: says how many tokens of text a step sees.
        optim: names the optimiser; None for AdamW.
    """
    device = torch.device("cpu")
    precision = choose_precision("auto", device)
    optimizers = build_optimizers(model, optim or OptimSettings(), 4e-4, precision.dtype)

    def step() -> float:
        with fast_fp32_products(precision.dtype, device):
            with precision.autocast(device):
                minimised = loss()
            minimised.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return size.text_tokens

    return step


def matrix_ceiling() -> Workload:
    """Return ten products of 2048 x 2048 matrices in the arithmetic of our training; unit: FLOP."""
    device = torch.device("cpu")
    precision = choose_precision("auto", device)
    dtype = torch.bfloat16 if precision.name == "bf16" else torch.float32
    matrix = torch.randn(_CEILING_WIDTH, _CEILING_WIDTH, dtype=dtype)

    def step() -> float:
        with fast_fp32_products(precision.dtype, device):
            for _ in range(_CEILING_PRODUCTS):
                matrix @ matrix
        return _CEILING_PRODUCTS * 2 * _CEILING_WIDTH**3

    return step
