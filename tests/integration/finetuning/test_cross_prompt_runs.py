"""Runs on a task in several languages, asked in the words that are chosen."""

import pytest
from cross_prompts import write_cross_toys
from labelled_toys import labelled_config

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
