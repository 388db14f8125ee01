"""The folder of a run: whose it is, and what is said of a finished model that is damaged."""

import os
import shutil
import sys

import pytest
from launched import run_program

import unblank.models
from unblank.engine.folder_lock import lock_folder
from unblank.pretraining.prepare import run_prepare
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import read_settings, to_yaml


def test_a_folder_that_holds_another_run_is_refused(make_config, finished):
    with pytest.raises(ValueError, match=r"train\.output_dir.*run\.yaml.*--train\.resume"):
        run_pretrain(make_config(train__resume="never"))


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked on Windows")
def test_a_folder_that_a_live_run_writes_to_is_refused(make_config, monkeypatch):
    config = make_config()
    monkeypatch.setattr("unblank.engine.folder_lock._PATIENCE", 0.1)
    with (
        lock_folder(config.train.output_dir),
        pytest.raises(ValueError, match=r"train\.output_dir"),
    ):
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


def test_settings_are_replaced_at_once(make_config, finished, monkeypatch):
    before = read_settings(PretrainSettings, finished / "run.yaml")

    def die(*_):
        raise OSError("killed")

    monkeypatch.setattr(os, "fsync", die)
    with pytest.raises(OSError, match="killed"):
        run_pretrain(make_config(train__log_every=2))
    assert read_settings(PretrainSettings, finished / "run.yaml") == before


def test_an_output_folder_that_is_a_file_is_refused_before_work_is_done(make_config, tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ValueError, match=r"\brun\b"):
        run_pretrain(make_config(tokenizer__path=None))


def test_a_folder_that_holds_a_model_is_refused_even_without_a_run(make_config, finished):
    shutil.rmtree(finished / "checkpoints")
    (finished / "run.yaml").unlink()
    with pytest.raises(ValueError, match=r"train\.output_dir.*model\.safetensors"):
        run_pretrain(make_config())


def damage(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [damage, lambda folder: flip_a_byte(folder / "model.safetensors")])
def test_a_finished_model_that_is_damaged_is_named_and_a_good_checkpoint_offered(
    make_config, finished, harm
):
    folder = finished
    unblank.load(folder)
    harm(folder)
    flip_a_byte(folder / "checkpoints" / "step-00000004" / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors.*step-00000002") as error:
        unblank.load(folder)
    unblank.load(str(error.value).rpartition(" ")[2])
    (folder / "checkpoints" / "step-00000004").rename(folder / "moved")
    run_pretrain(make_config())
    unblank.load(folder)


def test_a_model_whose_provenance_does_not_name_its_files_is_opened(finished):
    (finished / "provenance.json").write_text('{"steps": 4}')
    unblank.load(finished)


@pytest.mark.parametrize(
    "mistake", [{"model__num_attention_heads": 5}, {"data__train": ("nowhere.txt",)}]
)
def test_a_start_that_failed_does_not_claim_the_folder(make_config, mistake):
    with pytest.raises((ValueError, FileNotFoundError)):
        run_pretrain(make_config(**mistake))
    run_pretrain(make_config())


@pytest.mark.parametrize("command", [run_pretrain, run_prepare])
def test_a_refused_command_leaves_no_folder_for_text_behind(command, make_config, tmp_path):
    before = set(tmp_path.iterdir())
    data = {"data__train": (str(tmp_path / "none.txt"),), "data__hold_out": 0.2}
    cache = tmp_path / "deep" / "cache"
    config = make_config(**data, data__validation=(), data__cache_dir=cache, tokenizer__path=None)
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        command(config)
    assert set(tmp_path.iterdir()) == before


TOGETHER = """
import json, sys, time
from pathlib import Path
from unblank import cli
from unblank.data import shards

words, folder, slow = sys.argv[1].split(), Path(sys.argv[2]), sys.argv[3]
usual = shards.CorpusCache.__init__


def opened(cache, *given, processes, **named):
    time.sleep(0.3 * (processes.rank == int(slow)))
    usual(cache, *given, processes=processes, **named)


shards.CorpusCache.__init__ = opened
cli.leave = sys.exit
try:
    cli.main([*words, "--train.output-dir", str(folder / "deep" / "run")])
except SystemExit as end:
    assert end.code == 2
from unblank.process import is_main_process
if is_main_process():
    print("RESULT", json.dumps(0))
"""


@pytest.mark.parametrize("slow", [0, 1])
def test_a_run_that_all_processes_refuse_leaves_no_folder_for_text_behind(slow, tmp_path):
    (tmp_path / "text.txt").write_text("A cat sat.")
    words = f"pretrain --model.preset tiny --data.train {tmp_path / 'text.txt'}"
    words += " --train.final best --train.device cpu"
    run_program(TOGETHER, words, str(tmp_path), str(slow), num_processes=2)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
