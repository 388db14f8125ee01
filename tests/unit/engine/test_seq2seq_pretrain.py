"""Pretraining of encoder-decoders through the same door as GLM's."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForPreTraining,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    BertModel,
)

from unblank.engine.units import InfillUnit, sampling_generator
from unblank.examples import IGNORE_INDEX, Seq2SeqBatch, Seq2SeqExample
from unblank.families.ganlm_unit import GanLMUnit
from unblank.families.settings import GanLMSettings
from unblank.models import DeltaLMForConditionalGeneration, GanLMConfig, GanLMForPreTraining
from unblank.pretraining.fills import held_out_target
from unblank.pretraining.run import run_pretrain
from unblank.tokenization.special import add_sentinels, encoder_decoder_ids

DELTALM = {"model__preset": "deltalm-tiny", "model__num_hidden_layers": 2}
GANLM = {"model__preset": "ganlm-tiny"}
DROPOUT = {"model__hidden_dropout": 0.1, "model__attention_dropout": 0.1}


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


def test_the_shown_answer_is_what_fills_the_first_blank_of_the_shown_text(text_folder):
    tokenizer = AutoTokenizer.from_pretrained(text_folder / "tokenizer")
    add_sentinels(tokenizer, 4)
    special = encoder_decoder_ids(tokenizer)
    words = tokenizer("the value of an attribute is assigned", add_special_tokens=False).input_ids
    first, second = special.sentinels[:2]
    source = np.array([special.cls, *words[:2], first, *words[4:5], second, special.eos])
    target = [first, *words[2:4], second, *words[5:]]
    for start in ([], [special.sop]):
        inputs = np.array([*start, *target[: len(target) - 1]])
        labels = np.array(target if start else target[1:])
        example = Seq2SeqExample(source, inputs[: len(labels)], labels, "span_corruption")
        shown = held_out_target(example, tokenizer, special)
        before, between = tokenizer.decode(words[:2]), tokenizer.decode(words[4:5])
        assert shown.text == f"{before} [MASK] {between} ..."
        assert shown.answer == tokenizer.decode(words[2:4])
        assert shown.start_ids == (*start, first)


@pytest.mark.parametrize("family", [DELTALM, GANLM], ids=["deltalm", "ganlm"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(make_config, tmp_path, family):
    settings = {**family, **DROPOUT, "optim__schedule": "constant"}
    run_pretrain(make_config(**settings, train__max_steps=2))
    resumed = run_pretrain(make_config(**settings))
    whole = run_pretrain(make_config(**settings, train__output_dir=tmp_path / "whole"))
    assert metrics(resumed) == metrics(whole)
    assert weights(resumed) == weights(whole)


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


@pytest.mark.parametrize("start", ["interleaved", "vanilla", "random"])
def test_a_deltalm_starts_from_an_encoder_of_this_library(make_config, tmp_path, start):
    masked = {"objective__masked": 1.0, "objective__token": 0.0}
    encoder = run_pretrain(
        make_config(**masked, model__num_hidden_layers=2, train__output_dir=tmp_path / "encoder")
    )
    config = make_config(
        tokenizer__path=None,
        model__num_hidden_layers=None,
        model__hidden_size=None,
        model__num_attention_heads=None,
        model__init_from_encoder=encoder,
        model__decoder_start=start,
        train__max_steps=1,
        train__save_every=1,
        optim__learning_rate=1e-12,
        optim__warmup_steps=0,
    )
    folder = run_pretrain(config)
    model = DeltaLMForConditionalGeneration.from_pretrained(folder)
    glm = AutoModelForSeq2SeqLM.from_pretrained(encoder)
    layers = model.model.decoder.layers
    assert len(layers) == (2 if start == "vanilla" else 1)
    query, _, _ = glm.model.layers[0].self_attn.qkv_proj.weight.chunk(3)
    difference = (layers[0].self_attn.q_proj.weight - query).abs().max()
    assert (difference < 1e-6) == (start != "random")


@pytest.mark.parametrize(
    ("layers", "rows", "message"),
    [
        (2, 620, None),
        (2, 641, "has 641 tokens, the tokenizer 6"),
        (3, 600, "the encoder has 3, an odd number: .*--model.decoder_start vanilla"),
    ],
)
def test_an_encoder_may_have_padding_rows_but_no_odd_number_of_layers(
    make_config, text_folder, tmp_path, capsys, monkeypatch, layers, rows, message
):
    monkeypatch.setenv("COLUMNS", "400")
    folder = tmp_path / "bert"
    heads = {"num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(vocab_size=rows, hidden_size=32, num_hidden_layers=layers, **heads)
    encoder = BertModel(config)
    embeddings = encoder.get_input_embeddings().weight
    encoder.save_pretrained(folder)
    run = make_config(
        tokenizer__path=text_folder / "tokenizer",
        model__num_hidden_layers=None,
        model__hidden_size=None,
        model__num_attention_heads=None,
        model__init_from_encoder=folder,
        train__max_steps=1,
    )
    if message is not None:
        with pytest.raises(ValueError, match=message):
            run_pretrain(run)
        return
    model = DeltaLMForConditionalGeneration.from_pretrained(run_pretrain(run))
    assert (model.get_input_embeddings().weight[:rows] - embeddings).abs().max() < 0.01
    assert "start random" not in capsys.readouterr().out  # added sentinels have their own note


def test_tokens_without_their_own_embedding_of_the_encoder_are_counted(
    make_config, text_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "400")
    heads = {"num_attention_heads": 2, "intermediate_size": 64}
    encoder = BertConfig(vocab_size=400, hidden_size=32, num_hidden_layers=2, **heads)
    BertModel(encoder).save_pretrained(tmp_path / "bert")
    run = make_config(
        tokenizer__path=text_folder / "tokenizer",
        model__num_hidden_layers=None,
        model__hidden_size=None,
        model__num_attention_heads=None,
        model__init_from_encoder=tmp_path / "bert",
        train__max_steps=1,
    )
    run_pretrain(run)
    tokenizer = AutoTokenizer.from_pretrained(text_folder / "tokenizer")
    printed = capsys.readouterr().out
    assert f"embeddings of 400: {len(tokenizer) - 400} start random" in printed
    assert "same id" not in printed
    path = tmp_path / "bert" / "tokenizer.json"
    backend = json.loads((text_folder / "tokenizer" / "tokenizer.json").read_text())
    ids = backend["model"]["vocab"]
    ids["the"], ids["a"] = ids["a"], ids["the"]
    path.write_text(json.dumps(backend))
    run_pretrain(replace(run, train=replace(run.train, output_dir=tmp_path / "again")))
    assert f"note: 2 of the {len(tokenizer)} tokens" in capsys.readouterr().out


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
    with pytest.raises(ValueError, match="languages and validation_languages go together"):
        replace(run.data, **{**tagged, "validation_languages": None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {**DELTALM, "data__languages": ("en",), "tokenizer__extra_tokens": ("__en__",)},
            r"data\.languages is for denoising and MASS",
        ),
        (
            {**DELTALM, "objective__sentence": 1.0},
            r"objective\.sentence is given, but",
        ),
        ({"seq2seq__mass": 1.0}, r"seq2seq\.mass is given, but .* glm does not use it"),
        (
            {**DELTALM, "ganlm__denoising_weight": 2.0},
            r"ganlm\.denoising_weight is given, but",
        ),
        ({**DELTALM, "train__compile": True}, r"train\.compile is given, but"),
        (
            {"model__preset": "ganlm-tiny", "train__sampled_softmax": 64},
            r"train\.sampled_softmax is given, but",
        ),
        (
            {**DELTALM, "model__num_hidden_layers": 3, "data__train": ("nowhere.txt",)},
            "give a multiple of 2",
        ),
        (
            {
                **GANLM,
                "model__attention_implementation": "flex_attention",
                "model__attention_dropout": 0.2,
                "data__train": ("nowhere.txt",),
            },
            "no attention dropout, which is 0.2 here: set --model.attention_dropout 0",
        ),
        (
            {**GANLM, "ganlm__discriminator_reads": "sentence", "seq2seq__mass": 1.0},
            r"discriminator_reads sentence and seq2seq\.mass exclude one another",
        ),
        ({"model__preset": "deltalm-tinny"}, "did you mean deltalm-tiny"),
        (
            {
                **DELTALM,
                "seq2seq__denoising": 1.0,
                "data__languages": ("xx",),
                "tokenizer__extra_tokens": ("__en__",),
            },
            r"language 'xx': .* no token '__xx__'.* did you mean __en__\? \(add it",
        ),
        ({**DELTALM, "tokenizer__num_sentinels": 2}, "9 hidden spans|2 sentinels"),
    ],
)
def test_settings_that_cannot_work_are_refused(make_config, changes, message):
    with pytest.raises(ValueError, match=message):
        run_pretrain(make_config(**changes))


def test_other_groups_than_the_checkpoint_s_are_refused(make_config):
    run_pretrain(make_config(**DELTALM))
    with pytest.raises(ValueError, match=r"micro_batch_size \(of an encoder-decoder\) was 2"):
        run_pretrain(make_config(**DELTALM, train__micro_batch_size=4))


def test_an_electra_is_a_rival_in_the_same_stack_and_an_encoder_for_deltalm(make_config, tmp_path):
    electra = {"model__preset": "electra-tiny", "model__num_hidden_layers": 2}
    with pytest.raises(ValueError, match=r"--objective\.masked 1"):
        run_pretrain(make_config(**electra))
    masked = {"objective__masked": 1.0, "objective__token": 0.0}
    encoder = run_pretrain(make_config(**electra, **masked, train__output_dir=tmp_path / "e"))
    for line in metrics(encoder):
        total = line["loss_generator"] + 50 * line["loss_discriminator"]
        assert line["loss"] == pytest.approx(total)
        assert 0 < line["replaced_rate"] < 0.2
    free = {f"model__{name}": None for name in ("hidden_size", "num_attention_heads")}
    (checkpoint,) = (encoder / "checkpoints").glob("step-*4")
    for folder in (encoder, checkpoint):  # the latter holds the optimiser's state too
        config = make_config(
            **free,
            model__num_hidden_layers=None,
            model__init_from_encoder=folder,
            tokenizer__path=None,
            train__max_steps=1,
            train__output_dir=tmp_path / f"from-{folder.name}",
        )
        assert DeltaLMForConditionalGeneration.from_pretrained(run_pretrain(config)) is not None
