"""Weights that are not finite: never saved over good ones, never opened without a word."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

import unblank
from unblank.adapters.opening import require_undamaged
from unblank.adapters.record import AdapterRecord
from unblank.engine import trainer
from unblank.engine.trainer import NonFiniteError
from unblank.pretraining.run import run_pretrain
from unblank.trimming.trim import trim_model


def harm(folder, value):
    """Put a value into one weight, and let the folder be one that nobody has guarded."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if weights[name].dim() == 2 and "layers" in name)
    weights[name][1, 2] = value
    save_file(weights, path, metadata={"format": "pt"})
    (folder / "provenance.json").unlink()
    return name


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_model_that_is_not_finite_is_refused_and_its_tensor_named(finished, make_config, value):
    name = harm(finished, value)
    with pytest.raises(ValueError, match=rf"{name}\b.*NaN"):
        unblank.load(finished)
    config = make_config(
        model__preset="small",
        model__init_from=finished,
        model__hidden_size=None,
        model__num_hidden_layers=None,
        model__num_attention_heads=None,
        train__output_dir=finished.parent / "continued",
    )
    with pytest.raises(ValueError, match=rf"{name}\b.*NaN"):
        run_pretrain(config)


def test_an_encoder_and_a_model_to_trim_that_are_not_finite_are_refused(
    finished, make_config, tmp_path
):
    name = harm(finished, math.nan)
    shape = ("hidden_size", "num_hidden_layers", "num_attention_heads")
    config = make_config(
        **{f"model__{name}": None for name in shape},
        model__init_from_encoder=finished,
        model__decoder_start="vanilla",
        tokenizer__path=None,
        train__output_dir=tmp_path / "started",
    )
    with pytest.raises(ValueError, match="NaN"):
        run_pretrain(config)
    with pytest.raises(ValueError, match=rf"{name}\b.*NaN"):
        trim_model(finished, tmp_path / "trimmed", ["the name of a class"] * 9, coverage=1.0)
    assert not (tmp_path / "trimmed").exists()


def test_a_prompt_that_is_not_finite_is_refused(finished, tmp_path):
    save_file({"vectors": torch.full((2, 32), math.nan)}, tmp_path / "prompt.safetensors")
    AdapterRecord(
        kind="prompt", base_model=str(finished), base_fingerprint=None, num_parameters=64
    ).write(tmp_path)
    require_undamaged(tmp_path)
    with pytest.raises(ValueError, match=r"vectors.*NaN"):
        unblank.load(tmp_path)


def test_a_run_whose_weights_overflow_saves_nothing(make_config, tmp_path):
    config = make_config(optim__learning_rate=1e39, optim__warmup_steps=0)
    with pytest.raises(NonFiniteError, match=r"step 2: \S+ is not finite.*learning_rate"):
        run_pretrain(config)
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_weights_that_are_not_finite_leave_the_good_checkpoint(make_config, tmp_path, monkeypatch):
    advance = trainer.Trainer._advance

    def spoilt(self, step, update):
        advance(self, step, update)
        if update == 3:
            next(self.module.parameters()).data[0] = math.nan

    monkeypatch.setattr(trainer.Trainer, "_advance", spoilt)
    with pytest.raises(NonFiniteError, match="step 4"):
        run_pretrain(make_config())
    (kept,) = (tmp_path / "run" / "checkpoints").iterdir()
    assert kept.name == "step-00000002"
    unblank.load(kept)
    monkeypatch.undo()
    run_pretrain(make_config())
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]
