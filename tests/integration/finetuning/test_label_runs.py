"""Whole runs on tasks with labels: both ways learn what can be learnt."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from labelled_toys import labelled_config

import unblank
from unblank.adapters.settings import LoraSettings
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.labels.steps import ExampleSteps
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneOptimSettings,
)
from unblank.models import GlmInfillForConditionalGeneration

BY_HEAD = {"method": "classifier"}


@pytest.mark.parametrize("method", ["none", "classifier"])
def test_each_file_gives_its_share_of_the_held_out_samples(toys, tmp_path, method):
    lines = toys["validation"].read_text().splitlines(keepends=True)
    files = [tmp_path / name for name in ("first.jsonl", "second.jsonl")]
    for file, part in zip(files, (lines[:12], lines[12:16]), strict=True):
        file.write_text("".join(part))
    config = labelled_config(toys, tmp_path / "run", method=method, train={"max_steps": 1})
    data = replace(config.data, validation=tuple(map(str, files)))
    train = replace(config.train, max_steps=1, validation_samples=4)
    run_finetune(replace(config, data=data, train=train))
    (shown, *_) = (tmp_path / "run" / "predictions").glob("*.jsonl")
    places = [json.loads(line)["place"] for line in shown.read_text().splitlines()]
    numbers = [
        [
            int(line)
            for path, line in (place.split(", line ") for place in places)
            if path == str(file)
        ]
        for file in files
    ]
    assert [len(own) for own in numbers] == [3, 1]
    assert all(own == sorted(set(own)) for own in numbers)


@pytest.mark.parametrize("method", ["full", "classifier"])
def test_held_out_texts_that_lose_their_end_are_counted(toys, tmp_path, method, capsys):
    long = {**toys, "validation": tmp_path / "long.jsonl"}
    records = [{"text": "we saw a film " * n, "label": "good"} for n in (1, 30)]
    long["validation"].write_text("".join(json.dumps(one) + "\n" for one in records))
    run_finetune(labelled_config(long, tmp_path / "run", method=method, train={"max_steps": 1}))
    said = capsys.readouterr().out
    assert "2 examples, 1 shortened" in said
    assert "validated at the end" in said
    *_, curves, after = said.splitlines()
    assert str(tmp_path / "run" / "loss.png") in curves
    assert f"unblank info {tmp_path / 'run'}" in after


@pytest.mark.parametrize("method", ["full", "classifier"])
def test_a_bar_is_shown_while_many_examples_are_encoded(
    toys, tmp_path, method, capsys, monkeypatch
):
    config = labelled_config(toys, tmp_path / "run", method=method, train={"max_steps": 1})
    run_finetune(config)
    assert "encoding" not in capsys.readouterr().err
    monkeypatch.setattr("unblank.finetuning.labels.reading._MANY", 40)
    monkeypatch.setattr("unblank.progress_bars._DELAY", 0.0)
    run_finetune(replace(config, train=replace(config.train, output_dir=tmp_path / "again")))
    shown = capsys.readouterr().err
    assert shown.count("encoding examples") == 1  # 64 to learn from, 32 held out
    assert "100%" in shown


@pytest.mark.parametrize("method", ["full", "classifier"])
def test_a_task_that_can_be_read_off_the_text_is_learnt(toys, tmp_path, method):
    run_finetune(labelled_config(toys, tmp_path / "run", method=method))
    lines = (tmp_path / "run" / "validation.jsonl").read_text().splitlines()
    assert max(json.loads(line)["accuracy"] for line in lines) > 85


def test_nothing_is_trained_without_a_method_and_a_classifier_keeps_its_head(toys, tmp_path):
    run_finetune(labelled_config(toys, tmp_path / "trained", method="classifier"))
    trained = {**toys, "model": tmp_path / "trained"}
    run_finetune(labelled_config(trained, tmp_path / "measured", method="none"))
    scores = [results_of(tmp_path / name)["accuracy"] for name in ("trained", "measured")]
    assert scores[0] == scores[1] > 85
    other = toys["task"].with_name("other.yaml")
    other.write_text(toys["task"].read_text().replace("good:", "fair:"), encoding="utf-8")
    others = {**trained, "task": other}
    for name in ("train", "validation"):
        others[name] = other.with_name(f"other.{name}.jsonl")
        others[name].write_text(toys[name].read_text().replace('"good"', '"fair"'))
    with pytest.raises(ValueError, match=r"'good', 'bad'.*'fair'"):
        run_finetune(labelled_config(others, tmp_path / "never", method="none"))


def test_the_usual_learning_rate_is_used_said_and_compared(toys, tmp_path, capsys):
    config = replace(
        labelled_config(toys, tmp_path, train={"max_steps": 2}), optim=FinetuneOptimSettings()
    )
    run_finetune(config)
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"learning rate 0\.0001 \([^)]*--method full\)", said)
    run_finetune(replace(config, optim=FinetuneOptimSettings(learning_rate=1e-4)))
    with pytest.raises(ValueError, match=r"optim\.learning_rate"):
        run_finetune(replace(config, optim=FinetuneOptimSettings(learning_rate=2e-4)))


def test_weights_in_half_are_trained_and_saved_as_float32_and_that_is_said(toys, tmp_path, capsys):
    half = shutil.copytree(toys["model"], tmp_path / "half")
    GlmInfillForConditionalGeneration.from_pretrained(half).half().save_pretrained(half)
    run_finetune(labelled_config({**toys, "model": half}, tmp_path / "run", train={"max_steps": 2}))
    assert re.search(r"float16.*float32", " ".join(capsys.readouterr().out.split()))
    assert unblank.load(tmp_path / "run").model.dtype == torch.float32


def test_a_run_chooses_by_what_it_holds_out(toys, tmp_path):
    data = FinetuneDataSettings(train=(str(toys["train"]),), hold_out=0.3)
    run_finetune(replace(labelled_config(toys, tmp_path, train={"max_steps": 2}), data=data))
    assert 0 <= results_of(tmp_path)["accuracy"] <= 100
    with pytest.raises(ValueError, match=r"validation\b.*hold_out"):
        replace(data, validation=("x",))


def test_a_run_is_the_same_whether_or_not_it_is_interrupted(toys, tmp_path):
    def run(name, steps):
        train = {"max_steps": 12, "validate_every": 4, "log_every": 1, "save_every": 4}
        config = labelled_config(
            toys, tmp_path / name, train=train, cloze=ClozeSettings(patterns=(0, 1))
        )
        if steps:
            with pytest.MonkeyPatch.context() as patch:
                stopped = ExampleSteps.samples

                def samples(self, step):
                    if step >= steps:
                        raise KeyboardInterrupt
                    return stopped(self, step)

                patch.setattr(ExampleSteps, "samples", samples)
                with pytest.raises(KeyboardInterrupt):
                    run_finetune(config)
        run_finetune(config)
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    assert run("whole", 0) == run("interrupted", 6)


def results_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["scores"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"metric": "f2"}}, r"train\.metric.*'f2'.*toy.*accuracy"),
        ({"train": {"batch_tokens": 5}}, r"train\.batch_tokens.*--task seq2seq"),
        ({"cloze": ClozeSettings(patterns=(5,))}, "'toy'.*0 to 1.* 5"),
        ({"lora": LoraSettings(rank=2)}, r"^lora\.rank.*--method full"),
        ({"cloze": ClozeSettings(pooled="end")}, r"cloze\.pooled.*classifier"),
        ({"cloze": ClozeSettings(scoring="sum"), **BY_HEAD}, r"cloze\.scoring.*classifier"),
        ({"cloze": ClozeSettings(loss="hinge"), **BY_HEAD}, r"cloze\.loss.*classifier"),
        ({"cloze": ClozeSettings(layout="masked"), **BY_HEAD}, r"cloze\.layout.*classifier"),
        ({"cloze": ClozeSettings(calibrate=True), **BY_HEAD}, r"cloze\.calibrate.*classifier"),
        ({"cloze": ClozeSettings(max_length=900)}, r"cloze\.max_length 900 .*\b48\b"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_training(toys, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run_finetune(labelled_config(toys, tmp_path, **changes))
