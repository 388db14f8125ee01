"""A tiny GLM's folder, and a toy task whose label can be read off the text."""

import json
from pathlib import Path

import numpy as np
from tiny_glms import tiny_glm, write_folder

from unblank.api import Unblank

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
