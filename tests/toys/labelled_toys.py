"""A tiny GLM's folder, and a toy task whose label can be read off the text."""

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.tokenization import special_ids
from unblank.tokenization.train import train_tokenizer

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
    glm, tokenizer = tiny_glm()
    glm.save_pretrained(paths["model"])
    tokenizer.save_pretrained(paths["model"])
    return paths


def record(rng: np.random.Generator) -> dict[str, str]:
    label = str(rng.choice(list(WORDS)))
    words = [str(word) for word in rng.choice(FILLER, size=4)]
    words.insert(int(rng.integers(5)), str(rng.choice(WORDS[label])))
    return {"text": " ".join(words), "label": label}


def tiny_glm():
    text = " ".join(
        [*FILLER, *WORDS["good"], *WORDS["bad"], "Was it liked? Yes No. In short: very"]
    )
    with warnings.catch_warnings(action="ignore"):  # the corpus is smaller than the vocabulary
        tokenizer = train_tokenizer(
            [text + "."] * 30, kind="wordpiece", vocab_size=400, show_progress=False
        )
    ids = asdict(special_ids(tokenizer))
    config = GlmInfillConfig(
        vocab_size=len(tokenizer),
        tokenizer_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=48,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **{
            f"{role}_token_id": token_id
            for role, token_id in ids.items()
            if role not in ("sentinels", "prompt")
        },
    )
    torch.manual_seed(0)
    return GlmInfillForConditionalGeneration(config), tokenizer
