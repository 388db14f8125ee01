"""Classifiers: what they read, and both branches of a GanLM."""

import json

import pytest
import torch
from labelled_toys import WORDS, labelled_glm, write_toys

from unblank.families.settings import ModelSettings
from unblank.families.table import FAMILIES
from unblank.finetuning.labels.classifier_rows import RowEncoder, pad_rows
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneOptimSettings,
    FinetuneSettings,
    FinetuneTrainSettings,
)
from unblank.models import GanLMConfig, GanLMForPreTraining
from unblank.prompting import load_task, make_examples
from unblank.tokenization.special import encoder_decoder_ids, special_ids


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
    with pytest.raises(ValueError, match="family glm, and this is a ganlm"):
        run_finetune(config_of(toys, tmp_path, method="full"))


@pytest.mark.parametrize("name", ["glm", "ganlm"])
def test_texts_stand_between_the_tokens_of_the_family(name):
    tokenizer = labelled_glm().tokenizer
    family = FAMILIES[name]
    ids = family.special_ids(tokenizer)
    task = load_task("copa")
    (example,) = make_examples(
        task,
        {"premise": "we saw a film", "question": "cause", "choice1": "fine", "choice2": "a song",
         "label": 0},
    )  # fmt: skip
    between = family.classifier.between(ids)
    encoder = RowEncoder(
        tokenizer=tokenizer, special=ids, task=task, max_length=40, between=between
    )
    assert encoder.is_by_candidate
    rows = encoder.rows(example)
    ends = [ids.sep] if name == "glm" else [ids.eos, ids.eos]
    first, second = (tokenizer.encode(t, add_special_tokens=False) for t in ("fine", "a song"))
    for row, choice in zip(rows, (first, second), strict=True):
        assert row.token_ids[0] == ids.cls
        assert list(row.token_ids[-len(choice) - 1 - len(ends) :]) == [*ends, *choice, ids.eos]
    inputs = pad_rows(rows, ids.pad)
    assert inputs["attention_mask"].sum(dim=1).tolist() == [len(row.token_ids) for row in rows]


def test_a_long_text_gives_way_where_the_task_says():
    tokenizer = labelled_glm().tokenizer
    task = load_task("rte")
    (example,) = make_examples(
        task,
        {"premise": "the film was " * 30, "hypothesis": "we saw a song", "label": "entailment"},
    )
    special = special_ids(tokenizer)
    encoder = RowEncoder(
        tokenizer=tokenizer, special=special, task=task, max_length=24, between=(special.sep,)
    )
    (row,) = encoder.rows(example)
    hypothesis = tokenizer.encode("we saw a song", add_special_tokens=False)
    assert len(row.token_ids) <= 24
    assert row.is_shortened
    assert list(row.token_ids[-len(hypothesis) - 1 : -1]) == hypothesis
