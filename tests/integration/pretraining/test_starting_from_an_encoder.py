"""A DeltaLM starts from the encoder of another model, and an ELECTRA that can be one is trained."""

import json
import re
from dataclasses import replace

import pytest
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    BertModel,
)

from unblank.models import DeltaLMForConditionalGeneration
from unblank.pretraining.run import run_pretrain


def metrics(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if name != "tokens_per_second"}
        for line in lines
    ]


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
        (2, 641, r"\b641\b.*tokenizer"),
        (3, 600, r"\b3\b.*model\.decoder_start vanilla"),
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
    assert "embeddings for" not in capsys.readouterr().out  # added sentinels have their own note


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
    assert re.search(rf"{len(tokenizer)} tokens.*bert has embeddings for 400\b", printed)
    assert "same id" not in printed
    path = tmp_path / "bert" / "tokenizer.json"
    backend = json.loads((text_folder / "tokenizer" / "tokenizer.json").read_text())
    ids = backend["model"]["vocab"]
    ids["the"], ids["a"] = ids["a"], ids["the"]
    path.write_text(json.dumps(backend))
    run_pretrain(replace(run, train=replace(run.train, output_dir=tmp_path / "again")))
    assert f"note: 2 of the {len(tokenizer)} tokens" in capsys.readouterr().out


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


def test_an_encoder_with_too_few_positions_is_refused_by_settings_that_there_are(
    make_config, tmp_path
):
    folder = tmp_path / "bert"
    BertModel(
        BertConfig(
            vocab_size=620, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=64, max_position_embeddings=40,
        )
    ).save_pretrained(folder)  # fmt: skip
    config = make_config(
        model__num_hidden_layers=None,
        model__hidden_size=None,
        model__num_attention_heads=None,
        model__init_from_encoder=folder,
    )
    with pytest.raises(ValueError, match=r"64 positions.*data\.max_length.*seq2seq\.max_source"):
        run_pretrain(config)
