"""A tiny GLM's folder, a toy task whose label can be read off the text, and a run on it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_glms import tiny_glm, write_folder

from unblank.api import Unblank
from unblank.families.settings import ModelSettings
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneOptimSettings,
    FinetuneSettings,
    FinetuneTrainSettings,
)

WORDS = {"good": ["fine", "great", "lovely"], "bad": ["poor", "awful", "dull"]}
FILLER = ["the", "play", "was", "film", "song", "a", "we", "saw"]
TASK = """
verbalizer: {good: Yes, bad: No}
patterns:
  - '{text} Was it liked? [MASK].'
  - pattern: '{text} In short: [MASK].'
    verbalizer: {good: [fine, great], bad: very poor indeed}
shorten: {text: end}
scoring: logit
metrics: [accuracy]
classifier: ['{text}']
"""


def write_toys(folder: Path, num_train: int = 64, num_validation: int = 32) -> dict[str, Path]:
    """Write a model, a task file and two files of examples; return where they are."""
    paths = {"model": folder / "model", "task": folder / "toy.yaml"}
    paths["task"].write_text(TASK, encoding="utf-8")
    rng = np.random.default_rng(0)
    for name, count in (("train", num_train), ("validation", num_validation)):
        paths[name] = folder / f"{name}.jsonl"
        paths[name].write_text("".join(json.dumps(record(rng)) + "\n" for _ in range(count)))
    write_folder(labelled_glm(), paths["model"])
    return paths


def record(rng: np.random.Generator) -> dict[str, str]:
    label = str(rng.choice(list(WORDS)))
    words = [str(word) for word in rng.choice(FILLER, size=4)]
    words.insert(int(rng.integers(5)), str(rng.choice(WORDS[label])))
    return {"text": " ".join(words), "label": label}


def labelled_glm() -> Unblank:
    """Return a GLM whose tokenizer knows the words of the task and of its examples."""
    text = " ".join(
        [*FILLER, *WORDS["good"], *WORDS["bad"], "Was it liked? Yes No. In short: very"]
    )
    return tiny_glm(
        [text + "."] * 30,
        kind="wordpiece",
        seed=0,
        num_attention_heads=2,
        max_position_embeddings=48,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of `write_toys`, not to be changed."""
    return write_toys(tmp_path_factory.mktemp("toys"))


def labelled_config(
    toys: Mapping[str, Path],
    output: Path,
    *,
    method: str = "full",
    train: Mapping[str, Any] | None = None,
    **sections: Any,
) -> FinetuneSettings:
    """Return a run of 60 steps on the toy task, with fields of `train` and sections changed."""
    usual = {"max_steps": 60, "batch_size": 16, "validate_every": 30, "precision": "fp32"}
    return FinetuneSettings(
        task=str(toys["task"]),
        method=method,
        model=ModelSettings(init_from=toys["model"]),
        data=FinetuneDataSettings(
            train=(str(toys["train"]),), validation=(str(toys["validation"]),)
        ),
        optim=FinetuneOptimSettings(learning_rate=3e-3),
        train=FinetuneTrainSettings(output_dir=output, **{**usual, **(train or {})}),
        **sections,
    )
