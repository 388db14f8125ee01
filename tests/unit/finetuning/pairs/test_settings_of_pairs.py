"""Settings of fine-tuning on pairs: what excludes what, and what a run goes on with."""

import pytest

from unblank.finetuning.run import effective_finetune_settings
from unblank.finetuning.settings import FinetuneGanLMSettings


def test_one_branch_has_no_losses_of_the_other():
    with pytest.raises(ValueError, match="branch generator"):
        FinetuneGanLMSettings(branch="generator", discriminator_weight=3.0)
    with pytest.raises(ValueError, match="branch both"):
        FinetuneGanLMSettings(branch="discriminator", keep_discriminator=True)


def test_other_groups_of_pairs_are_never_continued_on(pairs_config):
    config = pairs_config()
    alone, shared = (
        effective_finetune_settings(config, None, num_processes) for num_processes in (1, 2)
    )
    assert alone["train.micro_batch_tokens"] == 2 * shared["train.micro_batch_tokens"]
    given = pairs_config(train__micro_batch_tokens=64)
    one, other = (
        effective_finetune_settings(given, None, num_processes) for num_processes in (1, 2)
    )
    assert one["train.micro_batch_tokens"] == other["train.micro_batch_tokens"] == 64
