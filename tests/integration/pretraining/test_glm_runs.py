"""Whole pretraining runs of a GLM: what they write and print, and what they refuse."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import unblank.models
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import read_settings
from unblank.tokenization.train import train_tokenizer

RECIPES = sorted((Path(__file__).parents[3] / "recipes" / "pretrain").glob("*.yaml"))
LIKE_OTHERS = {
    *("baseline_mbart_base", "cpu_half_hour", "cpu_hours"),
    *("deltalm_large", "ganlm_large", "glm_large"),
}
"""Recipes that differ in sizes and numbers from another one, which is run."""


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return [(line["step"], line["loss"]) for line in metrics(folder)]


def test_the_finished_folder_opens_with_transformers_and_says_where_it_comes_from(
    make_config, text_folder, pictures
):
    held_out = (str(text_folder / "held_out.txt"),)
    folder = run_pretrain(make_config(data__validation=held_out, train__sample_every=4))
    model = AutoModelForSeq2SeqLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(model, unblank.models.GlmInfillForConditionalGeneration)
    assert model.config.tokenizer_size == len(tokenizer)
    assert model.config.mask_token_id == tokenizer.mask_token_id
    assert model.config.max_position_embeddings == 64
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())

    needed = {"step", "loss", "learning_rate", "tokens_per_second", "samples", "gradient_norm"}
    assert [line["step"] for line in metrics(folder)] == [1, 2, 3, 4]
    assert all(needed | {"packing_efficiency"} <= line.keys() for line in metrics(folder))
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["steps"] == 4
    assert provenance["loss"] == metrics(folder)[-1]["loss"]
    assert provenance["validation_loss"] > 0
    assert provenance["versions"]["torch"] == version("torch")
    assert read_settings(PretrainSettings, folder / "run.yaml").train.max_steps == 4
    fills = [json.loads(line) for line in (folder / "fills.jsonl").read_text().splitlines()]
    assert all("[MASK]" in line["text"] and line["answer"] for line in fills)
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob("*.tmp"))


def test_without_a_tokenizer_one_is_trained_and_kept(make_config):
    config = make_config(tokenizer__path=None, tokenizer__vocab_size=300)
    folder = run_pretrain(config)
    assert len(AutoTokenizer.from_pretrained(folder)) == 300


def test_what_became_of_the_documents_is_shown_before_the_header(
    make_config, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "400")
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text('{"text": "Some words to hold out."}\n{"text": " "}\n{"text": "a"}\n')
    run_pretrain(make_config(data__validation=(str(held_out),)))
    table, header, _ = capsys.readouterr().out.partition("unblank pretrain")
    assert header
    (row,) = [line for line in table.splitlines() if "held out" in line]
    assert row.split()[-6:-1] == ["3", "1", "1", "1", "0"]


def test_the_header_names_every_objective_that_is_drawn(make_config, capsys):
    config = make_config(objective__single_span_probability=1.0)
    run_pretrain(config)
    assert "objective single_span 1 " in " ".join(capsys.readouterr().out.split())


def test_settings_of_a_new_tokenizer_beside_a_given_one_are_named(make_config, capsys):
    run_pretrain(make_config(tokenizer__vocab_size=900, tokenizer__num_sentinels=8))
    said = " ".join(capsys.readouterr().out.split())
    assert "tokenizer.vocab_size, tokenizer.num_sentinels" in said


def test_a_text_without_words_is_named_before_a_tokenizer_is_trained(make_config, tmp_path):
    blank = tmp_path / "blank.txt"
    blank.write_text(" \n\n \n")
    with pytest.raises(ValueError, match=r"blank\.txt"):
        run_pretrain(make_config(tokenizer__path=None, data__train=(str(blank),)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\u200b\u200b\n" * 9, r"no document.*odd\.txt"),
        ("\U0001f600 \U0001f603\n" * 9, "knows no word of the training text"),
    ],
    ids=["nothing visible", "nothing known"],
)
def test_text_of_which_nothing_survives_the_tokenizer_is_named(
    make_config, tmp_path, monkeypatch, text, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        run_pretrain(make_config(data__train=("odd.txt",), data__text_unit="line"))


def test_continued_pretraining_starts_from_the_given_weights(make_config, tmp_path):
    start = run_pretrain(make_config(train__max_steps=8))
    plain = make_config(
        model__num_hidden_layers=None, model__hidden_size=None, model__num_attention_heads=None
    )
    model = replace(plain.model, init_from=start)
    train = replace(plain.train, output_dir=tmp_path / "continued")
    folder = run_pretrain(replace(plain, model=model, train=train))
    assert losses(folder)[0][1] < losses(start)[0][1]
    with pytest.raises(ValueError, match=r"model\.hidden_size.*init_from"):
        run_pretrain(make_config(model__init_from=start, train__output_dir=tmp_path / "x"))


def test_continuing_from_cut_weights_names_the_file(make_config, finished, tmp_path):
    path = finished / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    plain = make_config(
        model__num_hidden_layers=None, model__hidden_size=None, model__num_attention_heads=None
    )
    model = replace(plain.model, init_from=finished)
    train = replace(plain.train, output_dir=tmp_path / "continued")
    with pytest.raises(ValueError, match=r"model\.safetensors.*\d+ bytes"):
        run_pretrain(replace(plain, model=model, train=train))


def test_a_vocabulary_that_does_not_fit_the_weights_is_refused(
    make_config, finished_once, tmp_path
):
    tokenizer = train_tokenizer(["some words " * 50], kind="bpe", vocab_size=280)
    tokenizer.save_pretrained(tmp_path / "other")
    plain = make_config(
        model__num_hidden_layers=None, model__hidden_size=None, model__num_attention_heads=None
    )
    config = replace(
        plain,
        model=replace(plain.model, init_from=finished_once),
        tokenizer=replace(plain.tokenizer, path=tmp_path / "other"),
        train=replace(plain.train, output_dir=tmp_path / "continued"),
    )
    with pytest.raises(ValueError, match=r"tokenizer.*\d+.*\b500\b"):
        run_pretrain(config)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"data__train": ()}, ValueError, "--data.train"),
        ({"data__train": ("nowhere.txt",)}, FileNotFoundError, "nowhere.txt"),
        ({"model__preset": "smaal"}, ValueError, "small"),
        ({"model__num_attention_heads": 5}, ValueError, r"\b32\b.*num_attention_heads"),
        ({"train__device": "cuda:7"}, ValueError, r"cuda:7.*--train\.device cpu"),
        ({"train__device": "gpu"}, ValueError, r"train\.device.*'gpu'.*auto.*cpu.*cuda"),
        ({"train__resume": "nowhere"}, FileNotFoundError, r"train\.resume.*nowhere"),
        ({"tokenizer__path": Path("nowhere")}, FileNotFoundError, r"tokenizer\.json.*nowhere"),
        ({"model__init_from": Path("nowhere")}, FileNotFoundError, "nowhere"),
        (
            {"model__attention_implementation": "flex_attention", "data__train": ("nowhere.txt",)},
            ValueError,
            r"0\.1.*--model\.attention-dropout 0",
        ),
        ({"train__sample_every": 2}, ValueError, "data.validation"),
    ],
)
def test_what_cannot_be_done_is_said(make_config, change, error, named):
    if "model__init_from" in change:
        change |= {"model__hidden_size": None, "model__num_hidden_layers": None}
        change |= {"model__num_attention_heads": None}
    with pytest.raises(error, match=named):
        run_pretrain(make_config(**change))


@pytest.fixture(scope="module")
def short_text(text_folder, tmp_path_factory):
    """A page to train on and a paragraph to measure, which each recipe reads in its own way."""
    folder = tmp_path_factory.mktemp("short")
    for name, length in (("train.txt", 12_000), ("held_out.txt", 1_000)):
        text = (text_folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text[:length], encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in LIKE_OTHERS))
        for path in RECIPES
    ],
)
def test_every_recipe_runs_two_steps_with_a_small_model(path, make_config, short_text):
    recipe, small = read_settings(PretrainSettings, path), make_config()
    train = replace(
        recipe.train,
        output_dir=small.train.output_dir,
        max_steps=2,
        batch_size=4,
        micro_batch_size=2,
    )
    shape = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2}
    config = replace(
        recipe,
        model=replace(recipe.model, **shape, init_from_encoder=None),
        tokenizer=replace(recipe.tokenizer, vocab_size=700),
        data=replace(
            recipe.data,
            train=(str(short_text / "train.txt"),),
            validation=(str(short_text / "held_out.txt"),),
            text_unit="paragraph",
            max_length=64,
            row_length=64,
            num_workers=0,
        ),
        train=train,
    )
    folder = run_pretrain(config)
    assert metrics(folder)[-1]["step"] == 2
