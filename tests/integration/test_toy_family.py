"""A family is one value and one line of the table: a toy one is added here, trained and opened.

The toy guesses each token of a blank from the token before it alone, so it has no attention, no
positions and no cache: nothing that a GLM has, but for the contract of its `forward`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

import unblank
from unblank.engine.units import InfillUnit
from unblank.examples import IGNORE_INDEX
from unblank.families.decoding import GLM_STOPPING
from unblank.families.family import Family, UsualVocabulary
from unblank.families.infilling import infilling_objective, infilling_shares
from unblank.families.rows import PACKED
from unblank.families.table import FAMILIES, family_in, family_of_model, family_of_preset
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import from_mapping
from unblank.tokenization.special import special_ids
from unblank.tokenization.train import train_tokenizer

SENTENCE = "the cat sat on the mat . a dog lay on a rug . "


@strict
class BigramConfig(PreTrainedConfig):
    model_type = "bigram"

    vocab_size: int = 100
    tokenizer_size: int | None = None
    hidden_size: int = 16
    num_hidden_layers: int = 1
    max_position_embeddings: int = 64
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02


@dataclass
class BigramOutput(ModelOutput):
    logits: Tensor | None = None
    loss_sum: Tensor | None = None


class BigramForPreTraining(PreTrainedModel):
    config: BigramConfig
    _supports_sdpa = True

    def __init__(self, config):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed_tokens

    def forward(self, input_ids, labels=None, **layout):
        logits = self.head(self.embed_tokens(input_ids))
        if labels is None:
            return BigramOutput(logits=logits[:, -1:])
        losses = functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX, reduction="sum"
        )
        return BigramOutput(loss_sum=losses)


def bigram_unit(model, sections, *, seed, label_smoothing=0.0, sampled_softmax=0):
    return InfillUnit(label_smoothing, sampled_softmax)


def bigram_fields(tokenizer, sections):
    ids = special_ids(tokenizer)
    roles = {"pad_token_id": ids.pad, "eos_token_id": ids.eos}
    return {"vocab_size": len(tokenizer), "tokenizer_size": len(tokenizer), **roles}


BIGRAM = Family(
    name="bigram",
    presets={"bigram-tiny": {"hidden_size": 16}, "bigram-small": {"hidden_size": 64}},
    pretraining_class=BigramForPreTraining,
    generating_class=BigramForPreTraining,
    writes="blanks",
    stopping=GLM_STOPPING,
    special_ids=special_ids,
    vocabulary=UsualVocabulary(kind="wordpiece"),
    applies=frozenset({"objective", "train.sample_every"}),
    text_objective=infilling_objective,
    objective_shares=infilling_shares,
    rows=PACKED,
    unit=bigram_unit,
    new_fields=bigram_fields,
)


@pytest.fixture
def bigram(monkeypatch: pytest.MonkeyPatch) -> Family:
    """Add the family as CONTRIBUTING says: one line of the table, beside its registration."""
    AutoConfig.register("bigram", BigramConfig, exist_ok=True)
    monkeypatch.setitem(FAMILIES, "bigram", BIGRAM)
    return BIGRAM


@pytest.fixture
def settings(tmp_path: Path) -> dict:
    texts = [SENTENCE * 8] * 12
    train_tokenizer(texts, kind="wordpiece", vocab_size=280, show_progress=False).save_pretrained(
        tmp_path / "tokenizer"
    )
    (tmp_path / "train.txt").write_text("\n\n".join(texts), encoding="utf-8")
    return {
        "model": {"preset": "bigram-small"},
        "tokenizer": {"path": str(tmp_path / "tokenizer")},
        "data": {
            "train": [str(tmp_path / "train.txt")],
            "validation": [str(tmp_path / "train.txt")],
            "text_unit": "paragraph",
            "max_length": 64,
        },
        "optim": {"learning_rate": 0.03, "warmup_steps": 2},
        "train": {
            "output_dir": str(tmp_path / "run"),
            "max_steps": 30,
            "batch_size": 4,
            "micro_batch_size": 2,
            "log_every": 1,
            "sample_every": 30,
            "precision": "fp32",
        },
    }


def test_a_toy_family_is_pretrained_fills_blanks_is_saved_and_loaded(bigram, settings):
    folder = run_pretrain(from_mapping(PretrainSettings, settings))
    losses = [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").open()]
    assert losses[-1] < 0.7 * losses[0]
    (shown, *_) = [json.loads(line) for line in (folder / "fills.jsonl").open()]
    assert "[MASK]" in shown["text"]

    assert family_in(folder) is bigram
    opened = unblank.load(folder, device="cpu")
    assert type(opened.model) is BigramForPreTraining
    assert family_of_model(opened.model) is bigram
    filled = opened.fill("the cat [MASK] the mat .", min_tokens=1, max_tokens=4)
    assert filled.blanks[0].text

    opened.model.save_pretrained(folder / "again")
    opened.tokenizer.save_pretrained(folder / "again")
    again = unblank.load(folder / "again", device="cpu")
    assert again.fill("the cat [MASK] the mat .", min_tokens=1, max_tokens=4) == filled
    assert all(map(torch.equal, again.model.parameters(), opened.model.parameters()))


def test_a_toy_family_is_continued_and_extended(bigram, settings, tmp_path):
    first = run_pretrain(from_mapping(PretrainSettings, settings))
    settings["model"] = {"init_from": str(first)}
    settings["train"] |= {"output_dir": str(tmp_path / "second"), "max_steps": 2}
    settings["tokenizer"] = {}
    second = run_pretrain(from_mapping(PretrainSettings, settings))
    assert family_in(second) is bigram
    assert len(AutoTokenizer.from_pretrained(second)) == len(AutoTokenizer.from_pretrained(first))


def test_what_a_toy_family_lacks_is_refused(bigram, settings):
    assert family_of_preset("BIGRAM-tiny") is bigram
    settings["ganlm"] = {"denoising_weight": 2.0}
    with pytest.raises(ValueError, match=r"ganlm\.denoising_weight.*bigram"):
        run_pretrain(from_mapping(PretrainSettings, settings))
    with pytest.raises(ValueError, match="bigram-small"):
        family_of_preset("bigram-smal")
