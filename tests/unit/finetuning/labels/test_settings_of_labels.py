"""Settings and recipes of tasks with labels."""

from dataclasses import replace
from pathlib import Path

import pytest

from unblank.adapters.settings import PromptSettings
from unblank.commands import finetune
from unblank.finetuning.settings import (
    FinetuneOptimSettings,
    FinetuneSettings,
)
from unblank.prompting import load_task


@pytest.mark.parametrize(
    ("method", "prompt", "rate"),
    [
        ("full", {}, 1e-4),
        ("lora", {}, 5e-4),
        ("prompt", {}, 3e-2),
        ("prompt", {"encoder": "lstm"}, 5e-4),
        ("deep-prompt", {}, 1e-2),
    ],
)
def test_the_learning_rate_is_that_of_the_method_unless_set(method, prompt, rate):
    config = FinetuneSettings(method=method, prompt=PromptSettings(**prompt))
    assert config.learning_rate == rate
    assert replace(config, optim=FinetuneOptimSettings(learning_rate=0.5)).learning_rate == 0.5


RECIPES = Path(__file__).parents[4] / "recipes" / "finetune"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*glue_*.yaml")), ids=lambda path: path.stem)
def test_recipes_of_tasks_with_labels_are_whole(path):
    config = finetune.parse([str(path)]).settings
    task = load_task(config.task)
    assert all(task.pattern(number) for number in config.cloze.patterns)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
