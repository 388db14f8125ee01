"""Both branches of a GanLM as classifiers."""

import json

import pytest
import torch
from labelled_toys import WORDS, labelled_glm, write_toys

from unblank.families.settings import ModelSettings
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneOptimSettings,
    FinetuneSettings,
    FinetuneTrainSettings,
)
from unblank.models import GanLMConfig, GanLMForPreTraining
from unblank.tokenization.special import encoder_decoder_ids


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    paths = write_toys(tmp_path_factory.mktemp("toys"))
    tokenizer = labelled_glm().tokenizer
    ids = encoder_decoder_ids(tokenizer)
    torch.manual_seed(0)
    model = GanLMForPreTraining(
        GanLMConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            decoder_layers=2,
            discriminator_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            bos_token_id=ids.cls,
            pad_token_id=ids.pad,
            eos_token_id=ids.eos,
            mask_token_id=ids.mask,
            decoder_start_token_id=ids.sop,
        )
    )
    paths["ganlm"] = paths["model"].with_name("ganlm")
    model.save_pretrained(paths["ganlm"])
    tokenizer.save_pretrained(paths["ganlm"])
    return paths


def config_of(toys, output, **changes):
    return FinetuneSettings(
        task=str(toys["task"]),
        method=changes.get("method", "classifier"),
        model=ModelSettings(init_from=toys["ganlm"]),
        data=FinetuneDataSettings(
            train=(str(toys["train"]),), validation=(str(toys["validation"]),)
        ),
        cloze=ClozeSettings(branch=changes.get("branch", "discriminator")),
        optim=FinetuneOptimSettings(learning_rate=5e-3),
        train=FinetuneTrainSettings(
            output_dir=output, max_steps=40, batch_size=16, validate_every=20, precision="fp32"
        ),
    )


@pytest.mark.parametrize("branch", ["generator", "discriminator"])
def test_either_branch_of_a_ganlm_learns_to_classify(toys, tmp_path, branch):
    run_finetune(config_of(toys, tmp_path, branch=branch))
    scores = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["scores"]
    assert scores["accuracy"] > 75
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config["classifier_branch"] == branch
    assert list(config["id2label"].values()) == list(WORDS)


def test_cloze_questions_on_a_ganlm_are_refused(toys, tmp_path):
    with pytest.raises(ValueError, match=r"\bglm\b.*\bganlm\b"):
        run_finetune(config_of(toys, tmp_path, method="full"))
