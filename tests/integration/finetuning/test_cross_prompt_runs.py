"""Runs on a task in several languages, asked in the words that are chosen."""

import json
from itertools import cycle

import pytest
from cross_prompts import write_cross_toys
from labelled_toys import labelled_config

import unblank
from unblank.finetuning.labels.settings import ClozeSettings
from unblank.finetuning.run import run_finetune


@pytest.mark.parametrize("prompts", ["english", "cross", "universal"])
def test_a_run_in_other_words_is_measured(tmp_path, prompts):
    toys = write_cross_toys(tmp_path)
    cloze = ClozeSettings(prompts=prompts, words="english", calibrate=prompts == "universal")
    short = {"max_steps": 4, "validate_every": 2}
    config = labelled_config(toys, tmp_path / "run", cloze=cloze, train=short)
    folder = run_finetune(config)
    lines = (folder / "validation.jsonl").read_text().splitlines()
    assert len(lines) == 2


@pytest.mark.parametrize(
    "cloze", [{"prompts": "cross", "test_prompts": "translated"}, {"words": "all"}]
)
def test_a_model_predicts_in_the_words_in_which_it_was_measured(tmp_path, cloze):
    toys = write_cross_toys(tmp_path)
    for name in ("train", "validation"):
        records = [json.loads(line) for line in toys[name].read_text().splitlines()]
        spoken = [one | {"lang": code} for one, code in zip(records, cycle(("de", "fr", "en")))]
        toys[name].write_text("".join(f"{json.dumps(one)}\n" for one in spoken))
    short = {"max_steps": 2, "validate_every": 2, "final": "last"}
    config = labelled_config(toys, tmp_path / "run", cloze=ClozeSettings(**cloze), train=short)
    folder = run_finetune(config)
    lines = (folder / "predictions" / "step-00000002.jsonl").read_text().splitlines()
    found = unblank.predict_file(folder, toys["validation"], tmp_path / "out.jsonl")
    for answer, measured in zip(found, map(json.loads, lines), strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(
            measured["probabilities"], abs=1e-4
        )
