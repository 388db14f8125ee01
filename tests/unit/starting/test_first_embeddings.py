"""First embeddings from the training text: what they replace, and when they are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from unblank.data.in_memory import TokenLists
from unblank.families.settings import ModelSettings
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import (
    PretrainDataSettings,
    PretrainSettings,
    PretrainTrainSettings,
)
from unblank.starting import first_embeddings
from unblank.starting.first_embeddings import start_from_cooccurrence


def corpus(seed):
    rng = np.random.default_rng(seed)
    return TokenLists([rng.integers(0, 30, 20).tolist() for _ in range(10)])


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = GlmInfillConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    return GlmInfillForConditionalGeneration(config)


def test_only_the_embeddings_change_and_keep_their_size(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start_from_cooccurrence(model, [corpus(0), corpus(1)], seed=0)
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {name for name in before if before[name].shape == (32, 16)}
    table = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is table
    old = next(before[name] for name in changed)
    torch.testing.assert_close(table.square().mean().sqrt(), old.std(), rtol=0.01, atol=0)


def test_only_the_beginning_of_each_source_is_read(model, monkeypatch):
    monkeypatch.setattr(first_embeddings, "_MOST_TOKENS", 50)
    read = list(first_embeddings._beginnings([corpus(0), corpus(1)]))
    assert [len(part) for part in read] == [20, 5, 20, 5]


@pytest.mark.parametrize("start", ["init_from", "init_from_encoder"])
@pytest.mark.parametrize(
    "wanted", [{"first_embeddings": "cooccurrence"}, {"first_attention": "neighbours"}]
)
def test_a_model_that_has_weights_refuses_new_ones(tmp_path, start, wanted):
    settings = PretrainSettings(
        model=ModelSettings(**{start: Path("some_model")}),
        data=PretrainDataSettings(train=("text.txt",)),
        train=PretrainTrainSettings(output_dir=tmp_path, **wanted),
    )
    with pytest.raises(ValueError, match=rf"{next(iter(wanted))}.*some_model"):
        run_pretrain(settings)
