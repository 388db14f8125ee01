"""Pretraining goes on from a checkpoint with the same numbers, or says why it cannot."""

import json
import re
from dataclasses import replace

import pytest
from transformers.utils import logging as transformers_logging

from unblank.data.settings import MIXTURE
from unblank.engine import state
from unblank.engine.checkpoint import CheckpointError, list_checkpoints
from unblank.integrity import facts_of_files, seal
from unblank.pretraining.run import run_pretrain


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return [(line["step"], line["loss"]) for line in metrics(folder)]


def test_loading_weights_draws_no_bar_beside_the_runs_own(make_config, finished, capsys):
    run_pretrain(make_config())
    assert "Loading weights" not in capsys.readouterr().err
    assert transformers_logging.is_progress_bar_enabled()


def test_the_start_is_that_of_the_seed(make_config, finished_once, tmp_path):
    again = run_pretrain(make_config(train__output_dir=tmp_path / "b"))
    other = run_pretrain(make_config(train__output_dir=tmp_path / "c", train__seed=1))
    assert losses(again) == losses(finished_once)
    assert losses(other) != losses(finished_once)


def test_a_longer_run_of_a_constant_rate_continues_a_shorter_one(make_config, tmp_path):
    constant = {"optim__schedule": "constant"}
    config = make_config(**constant)
    run_pretrain(config)
    longer = replace(config, train=replace(config.train, max_steps=6))
    whole = make_config(**constant, train__max_steps=6, train__output_dir=tmp_path / "whole")
    assert losses(run_pretrain(longer)) == losses(run_pretrain(whole))


def test_a_run_that_mixed_by_samples_is_not_continued_by_tokens(make_config, text_folder, tmp_path):
    both = tuple(str(text_folder / name) for name in ("train.txt", "held_out.txt"))
    config = make_config(data__train=both, data__alpha=0.5)
    checkpoint, *_ = list_checkpoints(run_pretrain(config) / "checkpoints")
    assert losses(run_pretrain(config))[-1][0] == 4
    # As older versions wrote it.
    trainer = json.loads((checkpoint / "trainer.json").read_text())
    assert trainer["settings"].pop(MIXTURE) == "by tokens"
    (checkpoint / "trainer.json").write_text(json.dumps(trainer))
    (checkpoint / "manifest.json").write_text(seal({"files": facts_of_files(checkpoint)}))
    with pytest.raises(ValueError, match=r"mixed by samples .*--model\.init-from"):
        run_pretrain(config)


def test_a_finished_run_started_again_stays_finished(make_config, finished):
    before = losses(finished)
    assert losses(run_pretrain(make_config())) == before


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
def test_resuming_with_other_settings_is_refused_by_name(make_config, finished, change, named):
    with pytest.raises(ValueError, match="other settings") as refused:
        run_pretrain(make_config(**change))
    assert named in str(refused.value)
    assert str(refused.value).count(" was ") == 1


def test_changing_the_length_alone_is_refused_with_the_setting_that_allows_it(
    make_config, finished
):
    longer = make_config(train__max_steps=6)
    with pytest.raises(ValueError, match=r"optim\.decay_steps is .*--optim\.decay-steps 4\b"):
        run_pretrain(longer)
    longer = replace(longer, optim=replace(longer.optim, decay_steps=4))
    assert len(metrics(run_pretrain(longer))) == 6


def test_resuming_on_other_text_is_refused(make_config, finished, text_folder):
    with pytest.raises(ValueError, match="other text"):
        run_pretrain(make_config(data__train=(str(text_folder / "held_out.txt"),)))


def test_another_layout_of_the_same_work_resumes_with_a_notice(make_config, capsys):
    run_pretrain(make_config(optim__schedule="constant"))
    layout = {"train__micro_batch_size": 4, "train__log_every": 2, "train__max_steps": 6}
    folder = run_pretrain(make_config(optim__schedule="constant", **layout))
    assert "train.micro_batch_size was 2, now 4" in capsys.readouterr().out
    assert [line["step"] for line in metrics(folder)] == [1, 2, 3, 4, 6]


def damage(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(make_config, finished, capsys):
    before = losses(finished)
    damage(finished / "checkpoints" / "step-00000004")
    assert losses(run_pretrain(make_config())) == before
    printed = capsys.readouterr().out
    assert re.search(r"step-00000004.*model\.safetensors", " ".join(printed.split()))
    assert "from step 2" in printed


def test_naming_a_damaged_checkpoint_is_an_error_that_offers_the_one_before(make_config, finished):
    checkpoint = finished / "checkpoints" / "step-00000004"
    damage(checkpoint)
    named = make_config(train__resume=str(checkpoint))
    with pytest.raises(ValueError, match=r"damaged .*--train.resume .*step-00000002"):
        run_pretrain(named)


def test_only_damaged_checkpoints_are_an_error_not_a_silent_restart(make_config, finished):
    for checkpoint in (finished / "checkpoints").iterdir():
        damage(checkpoint)
    with pytest.raises(ValueError, match=r"(?s)step-00000004.*step-00000002.*train\.output_dir"):
        run_pretrain(make_config())


def test_a_named_checkpoint_is_continued_elsewhere(make_config, finished_once, tmp_path):
    checkpoint = finished_once / "checkpoints" / "step-00000002"
    elsewhere = make_config(train__resume=str(checkpoint), train__output_dir=tmp_path / "other")
    assert losses(run_pretrain(elsewhere)) == losses(finished_once)[2:]


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
    with pytest.raises(CheckpointError, match=r"No space left.*step-00000002"):
        run_pretrain(config)
    (kept,) = list_checkpoints(config.train.output_dir / "checkpoints")
    assert kept.name == "step-00000002"
    assert [path.name for path in kept.parent.iterdir()] == ["step-00000002"]
    monkeypatch.undo()
    assert [step for step, _ in losses(run_pretrain(config))] == [1, 2, 3, 4]
