"""Pretraining goes on from a checkpoint with the same numbers, or says why it cannot."""

import json
import re
from dataclasses import replace
from functools import partial

import pytest
import torch
from safetensors.torch import load_file
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


WSD = {"optim__schedule": "wsd", "optim__warmup_steps": 2}


def test_a_run_is_continued_from_its_stable_part_with_another_length(make_config, tmp_path):
    short = run_pretrain(make_config(**WSD, train__max_steps=5, train__keep_checkpoints=1))
    kept = sorted(folder.name for folder in (short / "checkpoints").iterdir())
    assert kept == ["step-00000004", "step-00000005"]  # the last stable step, and the end
    longer = {**WSD, "train__max_steps": 8, "optim__decay_ratio": 0.25}
    whole = run_pretrain(make_config(**longer, train__output_dir=tmp_path / "whole"))
    stable = str(short / "checkpoints" / "step-00000004")
    elsewhere = {"train__resume": stable, "train__output_dir": tmp_path / "other"}
    assert losses(run_pretrain(make_config(**longer, **elsewhere))) == losses(whole)[4:]
    assert [line["learning_rate"] / 4e-4 for line in metrics(whole)][:6] == [0.5, *[1.0] * 5]


@pytest.mark.parametrize("killed_at", [2, 4, 5])
def test_a_run_killed_before_or_in_its_decay_resumes_with_the_same_losses(
    make_config, tmp_path, killed_at
):
    decaying = {**WSD, "optim__decay_ratio": 0.5, "train__max_steps": 6}
    config = make_config(**decaying, train__save_every=1, train__keep_checkpoints=9)
    whole = run_pretrain(config)
    checkpoint = whole / "checkpoints" / f"step-{killed_at:08d}"
    elsewhere = {"train__resume": str(checkpoint), "train__output_dir": tmp_path / "other"}
    assert losses(run_pretrain(make_config(**decaying, **elsewhere))) == losses(whole)[killed_at:]


def test_a_continued_run_writes_checkpoints_after_the_one_it_came_from_is_gone(make_config):
    config = make_config(train__save_every=1, train__keep_checkpoints=1)
    folder = run_pretrain(config)
    longer = replace(config, optim=replace(config.optim, decay_steps=4))
    longer = replace(longer, train=replace(longer.train, max_steps=6))
    assert len(metrics(run_pretrain(longer))) == 6
    assert [one.name for one in (folder / "checkpoints").iterdir()] == ["step-00000006"]


def test_another_length_in_the_decay_is_refused_with_what_to_do(make_config):
    run_pretrain(make_config(**WSD, train__max_steps=5))
    with pytest.raises(ValueError, match=r"schedule wsd was 'from step 5 to 5'.*--train\.res"):
        run_pretrain(make_config(**WSD, train__max_steps=9))


def test_a_length_whose_decay_would_have_begun_is_refused(make_config, tmp_path):
    short = run_pretrain(make_config(**WSD, train__max_steps=5))
    named = {"train__resume": str(short / "checkpoints" / "step-00000004")}
    with pytest.raises(ValueError, match=r"'not begun'.*'from step 3 to 4'"):
        run_pretrain(make_config(**WSD, **named, train__max_steps=4, optim__decay_ratio=0.5))


@pytest.fixture
def averaging(make_config, text_folder):
    """Make a run of six steps with both averages, validated at every other step."""
    held_out = {
        "data__validation": (str(text_folder / "held_out.txt"),),
        "train__validate_every": 2,
        "train__max_steps": 6,
        "train__ema_decay": 0.8,
        "train__average_last": 2,
        "optim__learning_rate": 5e-3,
    }
    return partial(make_config, **held_out)


def validation(folder):
    return [json.loads(line) for line in (folder / "validation.jsonl").read_text().splitlines()]


def test_averages_are_measured_and_the_best_weights_become_the_model(averaging):
    folder = run_pretrain(averaging())
    results = json.loads((folder / "results.json").read_text())
    candidates = results["candidates"]
    assert candidates["average"]["steps"] == [4, 6]
    assert set(candidates) == {"last", "best", "average", "ema"}
    last = validation(folder)[-1]
    assert candidates["ema"]["scores"] == {"loss": last["ema_loss"]}
    losses_of = {name: one["scores"]["loss"] for name, one in candidates.items()}
    assert losses_of[results["chosen"]] == min(losses_of.values())
    assert len(set(losses_of.values())) >= 3
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["validation_loss"] == min(losses_of.values())


@pytest.mark.parametrize("final", ["ema", "average", "last"])
def test_the_weights_that_are_asked_for_become_the_model(averaging, final):
    folder = run_pretrain(averaging(train__final=final))
    checkpoint = folder / "checkpoints" / "step-00000006"
    snapshots = [folder / "snapshots" / f"step-{step:08d}/weights.safetensors" for step in (4, 6)]
    kept = load_file(folder / "model.safetensors")
    wanted = {
        "ema": lambda: load_file(checkpoint / "average.safetensors"),
        "last": lambda: load_file(checkpoint / "model.safetensors"),
        "average": lambda: average_of(*map(load_file, snapshots)),
    }[final]()
    assert all(torch.equal(kept[name], wanted[name]) for name in kept if name in wanted)
    assert set(wanted) <= {*kept, "lm_head.weight"}
    assert len(set(wanted) & set(kept)) > 10


def average_of(one, other):
    return {name: ((one[name].double() + other[name].double()) / 2).float() for name in one}


def test_averages_go_on_from_a_checkpoint_with_the_same_numbers(averaging, tmp_path):
    whole = run_pretrain(averaging(train__final="ema", train__keep_checkpoints=9))
    named = {"train__resume": str(whole / "checkpoints" / "step-00000002")}
    resumed = run_pretrain(
        averaging(train__final="ema", **named, train__output_dir=tmp_path / "other")
    )
    assert validation(resumed) == validation(whole)[1:]
    weights = [load_file(folder / "model.safetensors") for folder in (whole, resumed)]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.parametrize(
    "change", [{"train__average_last": 2}, {"train__final": "best"}, {"train__sample_every": 2}]
)
def test_what_needs_held_out_text_is_refused_without_it(make_config, change):
    name = next(iter(change)).replace("__", ".")
    with pytest.raises(ValueError, match=rf"{name}.*--data\.validation"):
        run_pretrain(make_config(**change))


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
    with pytest.raises(ValueError, match=named) as refused:
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
    with pytest.raises(ValueError, match=r"train\.output_dir"):
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
    with pytest.raises(ValueError, match=r"--train.resume .*step-00000002"):
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


def test_first_weights_are_made_once_and_not_again_by_a_run_that_goes_on(make_config, tmp_path):
    wanted = {"train__first_embeddings": "cooccurrence", "train__first_attention": "neighbours"}
    config = make_config(**wanted)
    whole, drawn = run_pretrain(config), make_config(train__output_dir=tmp_path / "drawn")
    assert losses(whole) != losses(run_pretrain(drawn))
    checkpoint = config.train.output_dir / "checkpoints" / "step-00000002"
    elsewhere = make_config(
        **wanted, train__resume=str(checkpoint), train__output_dir=tmp_path / "other"
    )
    assert losses(run_pretrain(elsewhere)) == losses(whole)[2:]


def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(make_config, monkeypatch):
    config = make_config()
    write = state.write_tensors

    def full_at_step_four(path, tensors, values):
        if "step-00000004" in str(path):
            raise OSError(28, "No space left on device")
        write(path, tensors, values)

    monkeypatch.setattr(state, "write_tensors", full_at_step_four)
    with pytest.raises(CheckpointError, match=r"No space left.*step-00000002"):
        run_pretrain(config)
    (kept,) = list_checkpoints(config.train.output_dir / "checkpoints")
    assert kept.name == "step-00000002"
    assert [path.name for path in kept.parent.iterdir()] == ["step-00000002"]
    monkeypatch.undo()
    assert [step for step, _ in losses(run_pretrain(config))] == [1, 2, 3, 4]
