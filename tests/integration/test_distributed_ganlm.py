"""Two processes compute GanLM's three losses as one does, replicated (DDP) and sharded (FSDP)."""

import pytest
from launched import run_program

PROGRAM = """
import json, sys
from dataclasses import replace
import numpy as np
import torch
from training_toys import SPECIAL, VOCABULARY, ToyCorpus, toy_trainer
from unblank.data.loader import RowStream
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.models import GanLMConfig, GanLMForPreTraining
from unblank.objectives.seq2seq import build_seq2seq_objective
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.families.settings import GanLMSettings
from unblank.engine.settings import OptimSettings
from unblank.families.ganlm_unit import GanLMUnit
from unblank.engine.optimizers import build_optimizers
from unblank.engine.parallel import join_world, share_model
from unblank.engine.state import named_moments, named_weights, whole
from unblank.engine.units import UnitModule

special = replace(SPECIAL, eos=8, sentinels=tuple(range(50, 64)))
config = GanLMConfig(
    vocab_size=VOCABULARY, hidden_size=32, num_attention_heads=2, encoder_layers=2,
    decoder_layers=2, discriminator_layers=1, max_position_embeddings=32, pad_token_id=0,
    eos_token_id=8, decoder_start_token_id=7, hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0, first_special_id=50,
)
settings = GanLMSettings(discriminator_start_step=1, discriminator_warmup_steps=2)

def toy_steps(world):
    text = build_seq2seq_objective(
        Seq2SeqSettings(mask_ratio=0.3), special, np.arange(VOCABULARY) == 10, 32
    )
    sampler = Sampler([ToyCorpus()], text, special, SamplingSettings(max_length=32))
    return RowStream(sampler, row_length=160).micro_batches(
        batch_size=4, micro_batch_size=1, rank=world.rank, world_size=world.size
    )

class Losses:
    def __init__(self):
        self.lines = []
    def after_step(self, trainer):
        window = trainer.take_window()
        self.lines.append([*window.means().values(), *window.mean_shares().values()])
    def on_skipped(self, trainer, sample_numbers):
        raise AssertionError("a step was skipped")

results = {}
with join_world("cpu") as world:
    for parallel in sys.argv[1:]:
        torch.manual_seed(0)
        model = GanLMForPreTraining(config)
        unit = GanLMUnit(config, settings, seed=0)
        module = share_model(UnitModule(model, unit, world.device), world, parallel)
        optimizers = build_optimizers(model, OptimSettings(), learning_rate=4e-4)
        trainer = toy_trainer(
            model, world=world, module=module, unit=unit, optimizers=optimizers, clip_norm=0.0,
            hooks=Losses(), steps=toy_steps(world),
        )
        trainer.run()
        weights, moments = (
            {name: whole(value) for name, value in state.items()}
            for state in (named_weights(model), named_moments(model, optimizers))
        )
        results[parallel] = {
            "losses": trainer.hooks.lines,
            "weights": {name: float(value.double().norm()) for name, value in weights.items()},
            "moments": {name: float(value.double().norm()) for name, value in moments.items()},
        }
    if world.is_main:
        print("RESULT", json.dumps(results))
"""


@pytest.mark.slow
def test_two_processes_train_a_ganlm_as_one_does():
    one = run_program(PROGRAM, "ddp")["ddp"]
    two = run_program(PROGRAM, "ddp", "fsdp", num_processes=2)
    assert len(one["losses"]) == 4
    for parallel in ("ddp", "fsdp"):
        for part in ("weights", "moments"):
            # The bias of keys changes no attention: its gradient is rounding, below 1e-6.
            assert two[parallel][part] == pytest.approx(one[part], rel=1e-4, abs=1e-6), parallel
        for ours, theirs in zip(two[parallel]["losses"], one["losses"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-5), parallel
