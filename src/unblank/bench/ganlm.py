"""A GanLM of a given size in the race: the step of its three losses, and of the T5 objective alone.

Both are the same encoder-decoder on the same batch, so that their ratio is what the discriminator
and the denoising cost.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from unblank.bench.corruption import FIRST_WORD, SPECIAL
from unblank.bench.models import training_step
from unblank.bench.sizes import SIZES, Size
from unblank.bench.worker import Workload
from unblank.data.length_groups import LengthGroup, collate_group
from unblank.examples import Seq2SeqBatch
from unblank.families.ganlm_unit import GanLMUnit
from unblank.families.settings import GanLMSettings
from unblank.models import GanLMConfig, GanLMForPreTraining
from unblank.objectives.seq2seq import build_seq2seq_objective
from unblank.objectives.seq2seq_settings import Seq2SeqSettings

__all__ = ["ganlm_training", "timed_ganlm_config"]

_NUM_SENTINELS = 100


def build_ganlm(size: Size) -> GanLMForPreTraining:
    """Return a GanLM without dropout and with random weights; the last ids are sentinels."""
    torch.manual_seed(0)
    config = timed_ganlm_config(
        size,
        discriminator_layers=size.discriminator_layers,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        first_special_id=size.vocabulary - _NUM_SENTINELS,
    )
    return GanLMForPreTraining(config)


def timed_ganlm_config(size: Size, **fields: Any) -> GanLMConfig:
    """Return the configuration of a GanLM of a size."""
    return GanLMConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        num_attention_heads=size.heads,
        **fields,
    )


def ganlm_batch(size: Size) -> Seq2SeqBatch:
    """Return texts of random tokens, corrupted as in pretraining."""
    special = replace(
        SPECIAL, sentinels=tuple(range(size.vocabulary - _NUM_SENTINELS, size.vocabulary))
    )
    objective = build_seq2seq_objective(
        Seq2SeqSettings(), special, np.zeros(size.vocabulary, dtype=np.bool_), size.text
    )
    rng = np.random.default_rng(0)
    words = rng.integers(FIRST_WORD, special.sentinels[0], (size.batch, size.text))
    examples = tuple(objective(text, rng) for text in words)
    return collate_group(LengthGroup(tuple(range(size.batch)), examples), special.pad)


def ganlm_training(size: str, is_t5: bool) -> Workload:
    """Return a training step as the command runs it; unit: tokens of original text.

    Args:
        size: a key of `SIZES`.
        is_t5: only the generator's loss, with the discriminator frozen: the T5 objective.
    """
    shape = SIZES[size]
    model = build_ganlm(shape).train()
    settings = GanLMSettings(denoising_weight=0.0, discriminator_weight=0.0)
    if is_t5:
        model.discriminator.requires_grad_(False)
    else:
        settings = GanLMSettings()
    unit, batch = GanLMUnit(model.config, settings, seed=0), ganlm_batch(shape)

    def weighted_loss() -> torch.Tensor:
        losses = unit(model, batch, torch.device("cpu"))
        terms = [
            loss.loss_sum * (unit.weights[name] / loss.num_scored) for name, loss in losses.items()
        ]
        return torch.stack(terms).sum()

    return training_step(model, weighted_loss, shape)
