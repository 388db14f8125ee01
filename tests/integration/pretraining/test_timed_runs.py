"""Runs of some minutes: as many steps as fit, fixed before the first one, in every training."""

import json
import shutil

import pytest
from labelled_toys import labelled_config, toys

from unblank.cli import main
from unblank.engine import minutes as engine_minutes
from unblank.engine import run as engine_run
from unblank.engine.minutes import FittedSteps, fit_steps
from unblank.finetuning.run import run_finetune
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import read_settings

__all__ = ["toys"]

NUM_STEPS = 4


@pytest.fixture
def fitted(monkeypatch):
    """Times steps, whatever comes out, and then lets four fit."""
    calls = []

    def fit(trainer, minutes, spent):
        calls.append(fit_steps(trainer, minutes, spent))
        return FittedSteps(NUM_STEPS, 0.5, 2)

    monkeypatch.setattr(engine_run, "fit_steps", fit)
    monkeypatch.setattr(engine_minutes, "_TIMED_SHARE", 0.0)  # four steps are enough
    return calls


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["learning_rate"]) for line in lines]


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_a_timed_run_is_one_of_so_many_steps_and_is_continued_as_such(
    make_config, finished, fitted, tmp_path, capsys
):
    # Dropout and the samples would show if timing left a trace.
    timed = make_config(
        train__output_dir=tmp_path / "timed", train__max_steps=None, train__minutes=9.0
    )
    folder = run_pretrain(timed)
    assert fitted[0].count > NUM_STEPS
    assert f"{NUM_STEPS}, chosen for 9 min by 0.5 s" in " ".join(capsys.readouterr().out.split())
    assert losses(folder) == losses(finished)
    assert weights(folder) == weights(finished)
    recorded = read_settings(PretrainSettings, folder / "run.yaml").train
    assert (recorded.max_steps, recorded.minutes) == (NUM_STEPS, 9.0)

    shutil.rmtree(folder / "checkpoints" / "step-00000004")
    (folder / "model.safetensors").unlink()
    run_pretrain(timed)
    assert len(fitted) == 1
    assert f"{NUM_STEPS}, chosen for 9 min" in " ".join(capsys.readouterr().out.split())
    assert losses(folder) == losses(finished)
    assert weights(folder) == weights(finished)


def test_a_run_of_which_only_the_text_is_given_is_chosen_once(
    text_folder, fitted, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    words = ["pretrain", "--data.train", str(text_folder / "train.txt"), "--train.minutes", "6"]
    words += ["--train.output-dir", str(tmp_path / "run"), "--train.no-arrange-memory"]
    main(words)
    printed = capsys.readouterr()
    assert "--data.text-unit paragraph" in printed.err
    begun = read_settings(PretrainSettings, tmp_path / "run" / "run.yaml")
    assert begun.optim.name == "muon"
    assert begun.train.max_steps == NUM_STEPS
    before = losses(tmp_path / "run")
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")  # for which it would be a larger model
    main(words)
    printed = capsys.readouterr()
    assert "as the run in" in printed.err
    assert "from step 4" in " ".join(printed.out.split())
    assert read_settings(PretrainSettings, tmp_path / "run" / "run.yaml") == begun
    assert losses(tmp_path / "run") == before


def test_fine_tuning_too(toys, fitted, tmp_path):
    timed = labelled_config(toys, tmp_path / "run", train={"max_steps": None, "minutes": 9.0})
    folder = run_finetune(timed)
    assert [step for step, *_ in losses(folder)][-1] == NUM_STEPS
    assert len(fitted) == 1


def test_a_time_too_short_leaves_no_run(make_config, tmp_path):
    short = make_config(train__max_steps=None, train__minutes=1e-9)
    with pytest.raises(ValueError, match=r"train\.minutes is 1e-09"):
        run_pretrain(short)
    assert not (tmp_path / "run" / "run.yaml").exists()


def test_a_short_run_is_validated_and_saved_five_times(make_config, text_folder):
    config = make_config(
        data__validation=(str(text_folder / "train.txt"),),
        train__max_steps=10,
        train__save_every=None,
        train__keep_checkpoints=9,
        train__validation_samples=2,
    )
    folder = run_pretrain(config)
    lines = [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10]
    saved = sorted(int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoints/step-*"))
    assert saved == [2, 4, 6, 8, 10]
