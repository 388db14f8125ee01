import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

import unblank.models
from unblank.engine import state
from unblank.engine.checkpoint import CheckpointError, list_checkpoints
from unblank.engine.folder_lock import lock_folder
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import read_settings, to_yaml
from unblank.tokenization.train import train_tokenizer

RECIPES = sorted((Path(__file__).parents[3] / "recipes" / "pretrain").glob("*.yaml"))


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return [(line["step"], line["loss"]) for line in metrics(folder)]


def test_the_finished_folder_opens_with_transformers_and_says_where_it_comes_from(
    make_config, text_folder
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
    assert provenance["versions"]["torch"] == torch.__version__
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
    assert "has its tokenizer: tokenizer.vocab_size, tokenizer.num_sentinels not obeyed" in said


def test_loading_weights_draws_no_bar_beside_the_runs_own(make_config, capsys):
    config = make_config()
    run_pretrain(config)
    capsys.readouterr()
    run_pretrain(config)
    assert "Loading weights" not in capsys.readouterr().err
    assert transformers_logging.is_progress_bar_enabled()


def test_a_text_without_words_is_named_before_a_tokenizer_is_trained(make_config, tmp_path):
    blank = tmp_path / "blank.txt"
    blank.write_text(" \n\n \n")
    with pytest.raises(ValueError, match=r"no text to train a tokenizer on in .*blank\.txt"):
        run_pretrain(make_config(tokenizer__path=None, data__train=(str(blank),)))


def test_the_start_is_that_of_the_seed(make_config, tmp_path):
    first = run_pretrain(make_config(train__output_dir=tmp_path / "a"))
    again = run_pretrain(make_config(train__output_dir=tmp_path / "b"))
    other = run_pretrain(make_config(train__output_dir=tmp_path / "c", train__seed=1))
    assert losses(first) == losses(again)
    assert losses(first) != losses(other)


def test_a_longer_run_of_a_constant_rate_continues_a_shorter_one(make_config, tmp_path):
    constant = {"optim__schedule": "constant"}
    config = make_config(**constant)
    run_pretrain(config)
    longer = replace(config, train=replace(config.train, max_steps=6))
    whole = make_config(**constant, train__max_steps=6, train__output_dir=tmp_path / "whole")
    assert losses(run_pretrain(longer)) == losses(run_pretrain(whole))


def test_a_finished_run_started_again_stays_finished(make_config, capsys):
    config = make_config()
    before = losses(run_pretrain(config))
    assert losses(run_pretrain(config)) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"optim__learning_rate": 1e-5}, "optim.learning_rate was 0.0004, now 1e-05"),
        ({"train__batch_size": 8}, "train.batch_size was 4, now 8"),
        ({"train__seed": 5}, "train.seed was 0, now 5"),
        ({"train__max_steps": 9}, "optim.decay_steps was 4, now 9"),
        ({"model__num_hidden_layers": 2}, "model.num_hidden_layers was 1, now 2"),
        ({"data__max_length": 40}, "data.max_length was 64, now 40"),
    ],
)
def test_resuming_with_other_settings_is_refused_by_name(make_config, change, named):
    run_pretrain(make_config(train__max_steps=4))
    with pytest.raises(ValueError, match="other settings") as refused:
        run_pretrain(make_config(**change))
    assert named in str(refused.value)
    assert str(refused.value).count(" was ") == 1


def test_changing_the_length_alone_is_refused_with_the_setting_that_allows_it(make_config):
    run_pretrain(make_config())
    longer = make_config(train__max_steps=6)
    with pytest.raises(ValueError, match=r"keep the schedule by --optim\.decay_steps 4\)"):
        run_pretrain(longer)
    longer = replace(longer, optim=replace(longer.optim, decay_steps=4))
    assert len(metrics(run_pretrain(longer))) == 6


def test_resuming_on_other_text_is_refused(make_config, text_folder):
    run_pretrain(make_config())
    with pytest.raises(ValueError, match="trained on other text"):
        run_pretrain(make_config(data__train=(str(text_folder / "held_out.txt"),)))


def test_another_layout_of_the_same_work_resumes_with_a_notice(make_config, capsys):
    run_pretrain(make_config(optim__schedule="constant"))
    layout = {"train__micro_batch_size": 4, "train__log_every": 2, "train__max_steps": 6}
    folder = run_pretrain(make_config(optim__schedule="constant", **layout))
    assert "train.micro_batch_size was 2, now 4" in capsys.readouterr().out
    assert [line["step"] for line in metrics(folder)] == [1, 2, 3, 4, 6]


def test_a_folder_that_holds_another_run_is_refused(make_config):
    config = make_config(train__resume="never")
    run_pretrain(config)
    with pytest.raises(ValueError, match=r"already holds a run.*Choose another folder"):
        run_pretrain(config)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked on Windows")
def test_a_folder_that_a_live_run_writes_to_is_refused(make_config):
    config = make_config()
    with lock_folder(config.train.output_dir), pytest.raises(ValueError, match="another run"):
        run_pretrain(config)
    run_pretrain(config)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_cut_settings_of_a_run_without_a_checkpoint_do_not_block_a_restart(make_config, share):
    config = make_config(optim__learning_rate=1e-3)
    path = config.train.output_dir / "run.yaml"
    path.parent.mkdir()
    whole = to_yaml(config)
    path.write_text(whole[: int(len(whole) * share)])
    run_pretrain(config)
    assert read_settings(PretrainSettings, path) == config


def test_settings_are_replaced_at_once(make_config, monkeypatch):
    config = make_config()
    folder = run_pretrain(config)

    def die(*_):
        raise OSError("killed")

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(OSError, match="killed"):
        run_pretrain(make_config(train__log_every=2))
    assert read_settings(PretrainSettings, folder / "run.yaml") == config


def test_an_output_folder_that_is_a_file_is_refused_before_work_is_done(make_config, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ValueError, match="run is a file: name a folder"):
        run_pretrain(make_config(tokenizer__path=None))


def test_a_folder_that_holds_a_model_is_refused_even_without_a_run(make_config):
    config = make_config()
    run_pretrain(config)
    folder = config.train.output_dir
    shutil.rmtree(folder / "checkpoints")
    (folder / "run.yaml").unlink()
    with pytest.raises(ValueError, match="already holds a run or a model"):
        run_pretrain(config)


def damage(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(make_config, capsys):
    config = make_config()
    before = losses(run_pretrain(config))
    checkpoints = config.train.output_dir / "checkpoints"
    damage(checkpoints / "step-00000004")
    assert losses(run_pretrain(config)) == before
    printed = capsys.readouterr().out
    assert "step-00000004 is damaged: model.safetensors has" in printed
    assert "from step 2" in printed


def test_naming_a_damaged_checkpoint_is_an_error_that_offers_the_one_before(make_config):
    config = make_config()
    run_pretrain(config)
    checkpoints = config.train.output_dir / "checkpoints"
    damage(checkpoints / "step-00000004")
    named = make_config(train__resume=str(checkpoints / "step-00000004"))
    with pytest.raises(ValueError, match=r"damaged: .*--train.resume .*step-00000002"):
        run_pretrain(named)


def test_only_damaged_checkpoints_are_an_error_not_a_silent_restart(make_config):
    config = make_config(train__keep_checkpoints=1)
    run_pretrain(config)
    damage(config.train.output_dir / "checkpoints" / "step-00000004")
    with pytest.raises(ValueError, match="None is left"):
        run_pretrain(config)


def test_a_named_checkpoint_is_continued_elsewhere(make_config, tmp_path):
    config = make_config()
    whole = losses(run_pretrain(config))
    checkpoint = config.train.output_dir / "checkpoints" / "step-00000002"
    elsewhere = make_config(train__resume=str(checkpoint), train__output_dir=tmp_path / "other")
    assert losses(run_pretrain(elsewhere)) == whole[2:]


def test_a_sampled_softmax_learns_measures_exactly_and_resumes(make_config, text_folder, tmp_path):
    held_out = {
        "data__validation": (str(text_folder / "held_out.txt"),),
        "train__validate_every": 2,
    }
    exact = run_pretrain(make_config(**held_out, train__output_dir=tmp_path / "exact"))
    config = make_config(**held_out, train__sampled_softmax=200)
    sampled = run_pretrain(config)
    assert losses(sampled) != losses(exact)
    assert dict(losses(sampled)) == pytest.approx(dict(losses(exact)), rel=0.05)
    checkpoint = config.train.output_dir / "checkpoints" / "step-00000002"
    elsewhere = make_config(
        **held_out,
        train__sampled_softmax=200,
        train__resume=str(checkpoint),
        train__output_dir=tmp_path / "other",
    )
    assert losses(run_pretrain(elsewhere)) == losses(sampled)[2:]


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(make_config, monkeypatch):
    config = make_config()
    save = state.save_file

    def full_at_step_four(tensors, path):
        if "step-00000004" in str(path):
            raise OSError(28, "No space left on device")
        save(tensors, path)

    monkeypatch.setattr(state, "save_file", full_at_step_four)
    with pytest.raises(CheckpointError, match=r"No space left.*step-00000002.*run the same"):
        run_pretrain(config)
    (kept,) = list_checkpoints(config.train.output_dir / "checkpoints")
    assert kept.name == "step-00000002"
    assert [path.name for path in kept.parent.iterdir()] == ["step-00000002"]
    monkeypatch.undo()
    assert [step for step, _ in losses(run_pretrain(config))] == [1, 2, 3, 4]


def test_continued_pretraining_starts_from_the_given_weights(make_config, tmp_path):
    start = run_pretrain(make_config(train__max_steps=8))
    plain = make_config(
        model__num_hidden_layers=None, model__hidden_size=None, model__num_attention_heads=None
    )
    model = replace(plain.model, init_from=start)
    train = replace(plain.train, output_dir=tmp_path / "continued")
    folder = run_pretrain(replace(plain, model=model, train=train))
    assert losses(folder)[0][1] < losses(start)[0][1]
    with pytest.raises(ValueError, match=r"model\.hidden_size is set together with"):
        run_pretrain(make_config(model__init_from=start, train__output_dir=tmp_path / "x"))


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [damage, lambda folder: flip_a_byte(folder / "model.safetensors")])
def test_a_finished_model_that_is_damaged_is_named_and_a_good_checkpoint_offered(make_config, harm):
    config = make_config()
    folder = run_pretrain(config)
    unblank.load(folder)
    harm(folder)
    flip_a_byte(folder / "checkpoints" / "step-00000004" / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"is damaged: model\.safetensors ha.*step-00000002"
    ) as error:
        unblank.load(folder)
    unblank.load(str(error.value).rpartition(" ")[2])
    (folder / "checkpoints" / "step-00000004").rename(folder / "moved")
    run_pretrain(config)
    unblank.load(folder)


def test_a_model_whose_provenance_does_not_name_its_files_is_opened(make_config):
    folder = run_pretrain(make_config())
    (folder / "provenance.json").write_text('{"steps": 4}')
    unblank.load(folder)


def test_continuing_from_cut_weights_names_the_file(make_config, tmp_path):
    start = run_pretrain(make_config())
    path = start / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    plain = make_config(
        model__num_hidden_layers=None, model__hidden_size=None, model__num_attention_heads=None
    )
    model = replace(plain.model, init_from=start)
    train = replace(plain.train, output_dir=tmp_path / "continued")
    with pytest.raises(ValueError, match=r"model\.safetensors has \d+ bytes instead of"):
        run_pretrain(replace(plain, model=model, train=train))


def test_a_vocabulary_that_does_not_fit_the_weights_is_refused(make_config, tmp_path):
    start = run_pretrain(make_config())
    tokenizer = train_tokenizer(["some words " * 50], kind="bpe", vocab_size=280)
    tokenizer.save_pretrained(tmp_path / "other")
    plain = make_config(
        model__num_hidden_layers=None, model__hidden_size=None, model__num_attention_heads=None
    )
    config = replace(
        plain,
        model=replace(plain.model, init_from=start),
        tokenizer=replace(plain.tokenizer, path=tmp_path / "other"),
        train=replace(plain.train, output_dir=tmp_path / "continued"),
    )
    with pytest.raises(ValueError, match=r"the tokenizer has \d+ tokens, the model in .* 500"):
        run_pretrain(config)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"data__train": ()}, ValueError, "--data.train"),
        ({"data__train": ("nowhere.txt",)}, FileNotFoundError, "nowhere.txt"),
        ({"model__preset": "smaal"}, ValueError, "small"),
        ({"model__num_attention_heads": 5}, ValueError, "32 is not a multiple of num_attention"),
        ({"train__device": "cuda:7"}, ValueError, "this machine shows"),
        ({"train__device": "gpu"}, ValueError, "use auto, cpu, cuda"),
        ({"train__resume": "nowhere"}, FileNotFoundError, "no such folder"),
        ({"tokenizer__path": Path("nowhere")}, FileNotFoundError, "no tokenizer.json"),
        ({"model__init_from": Path("nowhere")}, FileNotFoundError, "there is no folder nowhere"),
        (
            {"model__attention_implementation": "flex_attention", "data__train": ("nowhere.txt",)},
            ValueError,
            "no attention dropout, which is 0.1 here: set --model.attention_dropout 0",
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


@pytest.mark.parametrize(
    "mistake", [{"model__num_attention_heads": 5}, {"data__train": ("nowhere.txt",)}]
)
def test_a_start_that_failed_does_not_claim_the_folder(make_config, mistake):
    with pytest.raises((ValueError, FileNotFoundError)):
        run_pretrain(make_config(**mistake))
    run_pretrain(make_config())


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_runs_two_steps_with_a_small_model(path, make_config, text_folder):
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
            train=small.data.train,
            validation=(str(text_folder / "held_out.txt"),),
            text_unit="paragraph",
            max_length=64,
            row_length=64,
            num_workers=0,
        ),
        train=train,
    )
    folder = run_pretrain(config)
    assert metrics(folder)[-1]["step"] == 2
