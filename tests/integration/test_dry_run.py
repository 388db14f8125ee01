"""`--dry-run`: what a run would take, measured, with nothing written anywhere."""

import json
import re
from dataclasses import replace

import pytest
from labelled_toys import labelled_config, toys
from pretraining_toys import make_config, text_folder

from unblank.families.settings import ModelSettings
from unblank.finetuning.labels.settings import GridSettings
from unblank.finetuning.run import dry_run_finetune
from unblank.pretraining.prepare import run_prepare
from unblank.pretraining.run import dry_run_pretrain, run_pretrain

__all__ = ["make_config", "text_folder", "toys"]


def everything_in(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_nothing_is_written_and_the_whole_run_is_told(make_config, text_folder, tmp_path, capsys):
    validation = (str(text_folder / "held_out.txt"),)
    config = make_config(
        train__max_steps=1000, data__validation=validation, train__save_every=1,
        train__validate_every=1, train__log_every=1, data__cache_dir=tmp_path / "shards",
    )  # fmt: skip
    before = everything_in(tmp_path)
    dry_run_pretrain(config)
    assert everything_in(tmp_path) == before
    assert not list(tmp_path.iterdir())
    printed = " ".join(capsys.readouterr().out.split())
    assert "nothing was written" in printed
    assert str(config.train.output_dir) in printed.replace(" ", "")  # lines may break in a path
    assert "1,000" in printed
    per_step = float(re.search(r"speed ([\d.]+) s a step", printed)[1])
    hours, minutes, seconds = map(int, re.search(r"about (\d+):(\d+):(\d+)", printed).groups())
    assert (hours * 60 + minutes) * 60 + seconds == pytest.approx(1000 * per_step, abs=6)


def test_what_was_prepared_before_is_named_where_it_lies(make_config, tmp_path, capsys):
    config = make_config(
        train__max_steps=2, data__cache_dir=tmp_path / "shards",
        tokenizer__path=None, tokenizer__kind="bpe", tokenizer__vocab_size=300,
    )  # fmt: skip
    run_prepare(config)
    capsys.readouterr()
    dry_run_pretrain(config)
    printed = "".join(capsys.readouterr().out.split())
    assert "trainedonthistextbefore" in printed
    assert "unblank-dry-run" not in printed


def test_it_tells_the_tokens_that_a_run_sees(make_config, capsys, tmp_path):
    config = make_config(train__max_steps=3)
    dry_run_pretrain(config)
    told = re.search(r"tokens about ([\d,]+)", " ".join(capsys.readouterr().out.split()))[1]
    folder = run_pretrain(config)
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert int(told.replace(",", "")) == last["tokens"]
    before = everything_in(folder)
    capsys.readouterr()
    dry_run_pretrain(make_config(train__max_steps=9))
    assert everything_in(folder) == before
    assert "step-00000003" in "".join(capsys.readouterr().out.split())


def test_fine_tuning_too(toys, tmp_path, capsys):
    config = labelled_config(toys, tmp_path / "run", train={"max_steps": None, "epochs": 2.0})
    dry_run_finetune(config)
    printed = " ".join(capsys.readouterr().out.split())
    assert "8 (2.0 epochs)" in printed
    assert not list(tmp_path.iterdir())
    seeds = labelled_config(toys, tmp_path / "run", train={"seeds": (1, 2, 3)})
    dry_run_finetune(seeds)
    assert "3 like this one" in " ".join(capsys.readouterr().out.split())
    grid = labelled_config(toys, tmp_path / "run", grid=GridSettings(batch_sizes=(4, 8)))
    with pytest.raises(ValueError, match="--dry-run"):
        dry_run_finetune(grid)


@pytest.mark.parametrize("world", [None, 2])
def test_adapters_are_written_without_their_model(toys, tmp_path, capsys, world):
    train = {"max_steps": 2, "parallel": "fsdp"}
    config = labelled_config(toys, tmp_path / "run", method="lora", train=train)
    dry_run_finetune(config, world=world)
    printed = " ".join(capsys.readouterr().out.split())
    assert "what is trained beside a model" in printed
    if world:
        assert re.search(r"checkpoint [\d.]+ MB = 4 P \+ \(8 P\) / 2 (?!/)", printed)


def test_processes_that_could_not_run_are_not_planned(make_config, tmp_path):
    config = make_config(train__batch_size=4, train__parallel="fsdp", train__shard_group=3)
    with pytest.raises(ValueError, match="batch_size"):
        dry_run_pretrain(config, world=3)
    with pytest.raises(ValueError, match="shard_group is 3"):
        dry_run_pretrain(config, world=4)
    grouped = make_config(
        model__preset="deltalm-tiny", train__batch_size=4, train__micro_batch_size=2
    )
    with pytest.raises(ValueError, match=r"batch_size \(4\) .*micro_batch_size \(2\)"):
        dry_run_pretrain(grouped, world=4)
    assert not list(tmp_path.iterdir())


def test_first_weights_that_the_text_gives_are_planned_too(make_config, capsys):
    first = {"train__first_embeddings": "cooccurrence", "train__first_attention": "neighbours"}
    config = make_config(**first)
    dry_run_pretrain(config, world=2)
    assert "2 processes" in " ".join(capsys.readouterr().out.split())


def test_any_number_of_processes_is_planned_without_them(make_config, capsys, tmp_path):
    changes = {"train__parallel": "fsdp", "train__shard_group": 8, "train__batch_size": 64}
    config = replace(make_config(**changes), model=ModelSettings(preset="10b"))
    dry_run_pretrain(config, world=64)
    printed = " ".join(capsys.readouterr().out.split())
    assert "64 processes (fsdp, 8 to a group)" in printed
    found = {name: re.search(rf"{name} ([\d,]+)", printed)[1] for name in "FPRL"}
    numbers = {name: int(number.rstrip(",").replace(",", "")) for name, number in found.items()}
    assert numbers["F"] == numbers["P"] == numbers["R"] + 48 * numbers["L"]
    # Two moments of 9.7 billion numbers, an eighth of them in each process.
    told = float(re.search(r"optimiser ([\d.]+) GB", printed)[1])
    assert told == pytest.approx(8 * numbers["P"] / 8 / 1e9, abs=0.06)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("changes", [{"optim__name": "muon"}, {"train__ema_decay": 0.9}])
def test_checkpoints_are_as_large_as_told(make_config, capsys, changes):
    config = make_config(train__max_steps=1, train__save_every=1, train__batch_size=2, **changes)
    config = replace(config, model=ModelSettings(preset="tiny"))
    dry_run_pretrain(config)
    printed = " ".join(capsys.readouterr().out.split())
    told = float(re.search(r"checkpoints of about ([\d,]+) MB", printed)[1].replace(",", ""))
    (checkpoint,) = (run_pretrain(config) / "checkpoints").iterdir()
    size = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    assert told == pytest.approx(size / 1e6, abs=0.6)
