"""Pretraining of encoder-decoders through the same door as GLM's."""

import json
from dataclasses import replace

import pytest
from transformers import (
    AutoModelForPreTraining,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
)

from unblank.engine.units import InfillUnit
from unblank.models import DeltaLMForConditionalGeneration, GanLMForPreTraining
from unblank.pretraining.run import run_pretrain
from unblank.tokenization.special import encoder_decoder_ids

DELTALM = {"model__preset": "deltalm-tiny", "model__num_hidden_layers": 2}


GANLM = {"model__preset": "ganlm-tiny"}


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if name != "tokens_per_second"}
        for line in lines
    ]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def pairs(text_folder):
    path = text_folder / "pairs.jsonl"
    words = [
        "the",
        "value",
        "of",
        "an",
        "expression",
        "is",
        "evaluated",
        "before",
        "its",
        "attribute",
        "is",
        "assigned",
    ]
    records = [
        {"a": " ".join(words[: 3 + place % 9]), "b": " ".join(words[place % 4 : 9 + place % 4])}
        for place in range(60)
    ]
    path.write_text("\n".join(map(json.dumps, records)))
    return (f"{path}:a:b",)


def test_pairs_stand_in_the_table_of_documents_and_in_the_header(
    make_config, pairs, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "400")
    mixed = {"seq2seq__span_corruption": 3.0, "seq2seq__mass": 1.0}
    run_pretrain(
        make_config(**{**DELTALM, **mixed}, data__pairs=pairs, data__validation_pairs=pairs)
    )
    table, _, header = capsys.readouterr().out.partition("unblank pretrain")
    rows = [line.split() for line in table.splitlines() if pairs[0] in line]
    assert [row[-6:-2] for row in rows] == [["60", "0", "0", "60"]] * 2
    assert ["(held" in row for row in rows] == [False, True]
    assert " and 60 pairs; " in header
    assert "span_corruption 0.75, mass 0.25, translation_span_corruption of pairs" in header


def test_a_deltalm_trains_on_texts_and_pairs_and_opens_with_transformers(make_config, pairs):
    folder = run_pretrain(make_config(**DELTALM, data__pairs=pairs, data__validation_pairs=pairs))
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(model, DeltaLMForConditionalGeneration)
    assert (model.config.encoder_layers, model.config.decoder_layers) == (2, 1)
    assert model.config.tokenizer_size == len(tokenizer)
    assert len(encoder_decoder_ids(tokenizer).sentinels) == 100
    assert model.config.pad_token_id != model.config.eos_token_id
    assert [line["step"] for line in metrics(folder)] == [1, 2, 3, 4]
    assert metrics(folder)[-1]["packing_efficiency"] > 0.9
    assert json.loads((folder / "provenance.json").read_text())["validation_loss"] > 0


def test_a_ganlm_logs_its_losses_and_shares(make_config):
    folder = run_pretrain(make_config(**GANLM))
    model = AutoModelForPreTraining.from_pretrained(folder)
    assert isinstance(model, GanLMForPreTraining)
    for line in metrics(folder):
        total = line["loss_generator"] + 10 * line["loss_discriminator"] + line["loss_denoising"]
        assert line["loss"] == pytest.approx(total)
        for name in ("replaced_rate", "replaced_accuracy", "original_accuracy"):
            assert 0 <= line[name] <= 1
        assert {"positive_inconsistency_rate", "negative_inconsistency_rate"} <= line.keys()
    sentinels = encoder_decoder_ids(AutoTokenizer.from_pretrained(folder)).sentinels
    assert set(sentinels) <= set(model.config.sentinel_token_ids)
    assert model.config.eos_token_id not in model.config.sentinel_token_ids


@pytest.mark.parametrize("family", [DELTALM, GANLM], ids=["deltalm", "ganlm"])
@pytest.mark.parametrize("objective", ["span_corruption", "mass"])
def test_held_out_samples_are_continued_now_and_then(
    make_config, text_folder, pairs, family, objective
):
    weights = {f"seq2seq__{objective}": 1.0}
    held_out = {"data__validation": (str(text_folder / "held_out.txt"),)}
    if objective == "mass":
        weights["seq2seq__span_corruption"] = 0.0
    else:
        held_out = {"data__pairs": pairs, "data__validation_pairs": pairs}
    folder = run_pretrain(
        make_config(**{**family, **weights, **held_out, "train__sample_every": 2})
    )
    fills = [json.loads(line) for line in (folder / "fills.jsonl").read_text().splitlines()]
    assert [line["step"] for line in fills] == [2, 2, 2, 4, 4, 4]
    assert [line["answer"] for line in fills[:3]] == [line["answer"] for line in fills[3:]]
    for line in fills:
        assert line["text"].count("[MASK]") == 1
        assert line["answer"]
        assert "[MASK" not in line["answer"] + line["fill"]


def test_a_ganlm_trains_with_a_discriminator_of_whole_sentences(make_config, pairs):
    folder = run_pretrain(
        make_config(**GANLM, ganlm__discriminator_reads="sentence", data__pairs=pairs)
    )
    assert 0 < metrics(folder)[-1]["loss_discriminator"] < 2


def test_without_its_discriminator_a_ganlm_trains_the_t5_objective(make_config):
    folder = run_pretrain(
        make_config(**GANLM, ganlm__discriminator_weight=0.0, ganlm__denoising_weight=0.0)
    )
    assert all("loss_discriminator" not in line for line in metrics(folder))
    assert metrics(folder)[-1]["loss"] < 7


def test_tags_of_languages_are_added_to_an_existing_vocabulary(make_config):
    folder = run_pretrain(
        make_config(
            **DELTALM,
            data__languages=("en",),
            tokenizer__extra_tokens=("__en__",),
            seq2seq__denoising=1.0,
            seq2seq__span_corruption=0.0,
        )
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tag = tokenizer.convert_tokens_to_ids("__en__")
    assert tag == len(tokenizer) - 1
    rows = DeltaLMForConditionalGeneration.from_pretrained(folder).get_input_embeddings().weight
    assert tag < len(rows)


def test_held_out_text_is_measured_in_the_form_with_tags_that_is_trained(
    make_config, text_folder, monkeypatch
):
    seen = []
    call = InfillUnit.__call__

    def watched(self, model, batch, device):
        seen.append((model.training, batch.decoder_input_ids[:, 0]))
        return call(self, model, batch, device)

    monkeypatch.setattr(InfillUnit, "__call__", watched)
    run = make_config(
        **DELTALM,
        tokenizer__extra_tokens=("__en__",),
        seq2seq__denoising=1.0,
        seq2seq__span_corruption=0.0,
        train__validate_every=2,
        train__validation_samples=4,
    )
    held_out = (str(text_folder / "train.txt"),)
    tagged = {"languages": ("en",), "validation": held_out, "validation_languages": ("en",)}
    folder = run_pretrain(replace(run, data=replace(run.data, **tagged)))
    tag = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("__en__")
    assert {is_training for is_training, _ in seen} == {True, False}
    assert all((starts == tag).all() for _, starts in seen)
    with pytest.raises(ValueError, match=r"\blanguages\b.*validation_languages"):
        replace(run.data, **{**tagged, "validation_languages": None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {**DELTALM, "data__languages": ("en",), "tokenizer__extra_tokens": ("__en__",)},
            r"data\.languages.*denoising.*MASS",
        ),
        (
            {**DELTALM, "objective__sentence": 1.0},
            r"objective\.sentence",
        ),
        ({"seq2seq__mass": 1.0}, r"seq2seq\.mass.*\bglm\b"),
        (
            {**DELTALM, "ganlm__denoising_weight": 2.0},
            r"ganlm\.denoising_weight",
        ),
        ({**DELTALM, "train__compile": True}, r"train\.compile"),
        (
            {"model__preset": "ganlm-tiny", "train__sampled_softmax": 64},
            r"train\.sampled_softmax",
        ),
        (
            {**DELTALM, "model__num_hidden_layers": 3, "data__train": ("nowhere.txt",)},
            "multiple of 2",
        ),
        (
            {
                **GANLM,
                "model__attention_implementation": "flex_attention",
                "model__attention_dropout": 0.2,
                "data__train": ("nowhere.txt",),
            },
            r"0\.2.*--model\.attention-dropout 0",
        ),
        (
            {**GANLM, "ganlm__discriminator_reads": "sentence", "seq2seq__mass": 1.0},
            r"discriminator_reads sentence.*seq2seq\.mass",
        ),
        ({"model__preset": "deltalm-tinny"}, "deltalm-tinny.*deltalm-tiny"),
        (
            {
                **DELTALM,
                "seq2seq__denoising": 1.0,
                "data__languages": ("xx",),
                "tokenizer__extra_tokens": ("__en__",),
            },
            r"'xx'.*'__xx__'.*__en__",
        ),
        ({**DELTALM, "tokenizer__num_sentinels": 2}, "9 hidden spans|2 sentinels"),
    ],
)
def test_settings_that_cannot_work_are_refused(make_config, changes, message):
    with pytest.raises(ValueError, match=message):
        run_pretrain(make_config(**changes))
