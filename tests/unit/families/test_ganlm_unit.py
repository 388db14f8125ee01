"""GanLM's training unit: the weights of its losses, and what they count."""

import torch

from unblank.engine.units import sampling_generator
from unblank.examples import IGNORE_INDEX, Seq2SeqBatch
from unblank.families.ganlm_unit import GanLMUnit
from unblank.families.settings import GanLMSettings
from unblank.models import GanLMConfig, GanLMForPreTraining


def test_the_weights_of_ganlm_s_losses_grow_as_published():
    config = GanLMConfig(vocab_size=64, hidden_size=32, num_attention_heads=2)
    settings = GanLMSettings(
        discriminator_start_step=2, discriminator_warmup_steps=4, denoising_start_step=3
    )
    unit = GanLMUnit(config, settings, seed=0)
    seen = []
    for update in range(1, 9):
        unit.start_step(update)
        seen.append((unit.weights["discriminator"], unit.weights["denoising"]))
    grown = [0, 0, 0, 2.5, 5.0, 7.5, 10.0, 10.0]
    assert seen == list(zip(grown, [0, 0, 0, 1, 1, 1, 1, 1], strict=True))
    assert unit.weights["generator"] == 1.0


def test_counts_are_those_of_the_model_s_own_losses():
    torch.manual_seed(0)
    config = GanLMConfig(
        vocab_size=64, hidden_size=32, num_attention_heads=2, encoder_layers=1, decoder_layers=1,
        discriminator_layers=1, max_position_embeddings=16, first_special_id=60,
        sentinel_token_ids=[50, 51],
    )  # fmt: skip
    model = GanLMForPreTraining(config).eval()
    labels = torch.randint(4, 64, (3, 8))
    labels[0, 5:] = IGNORE_INDEX
    labels[1, 2] = 50
    source = torch.randint(4, 50, (3, 6))
    decoder_ids = torch.randint(4, 50, (3, 8))
    batch = Seq2SeqBatch(source, source > 0, decoder_ids, labels, [7, 8, 9], ["x"] * 3)
    unit = GanLMUnit(config, GanLMSettings(), seed=0)
    losses = unit(model, batch, torch.device("cpu"))
    generator = sampling_generator(0, batch, torch.device("cpu"))
    again = model(**batch.model_inputs(), generator=generator)
    for name, (loss_sum, count) in again.losses.items():
        assert losses[name].num_scored == int(count)
        assert torch.equal(losses[name].loss_sum, loss_sum)
    torch.manual_seed(5)  # samples do not depend on torch's own generator
    repeated = unit(model, batch, torch.device("cpu"))
    assert torch.equal(repeated["denoising"].loss_sum, losses["denoising"].loss_sum)
