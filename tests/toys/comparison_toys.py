"""A small comparison of two variants, in a working folder of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from unblank.cli import main


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A recipe whose files lie in the working folder, to be changed and then saved."""
    monkeypatch.chdir(tmp_path)
    text = "It rained all day, and the old dog slept near the warm stove. "
    Path("text.txt").write_text(text * 60, encoding="utf-8")
    moods = [{"sentence": text, "label": n % 2} for n in range(8)]
    Path("moods.jsonl").write_text("".join(json.dumps(m) + "\n" for m in moods), encoding="utf-8")
    return {
        "output_dir": "out",
        "seeds": [0, 1],
        "pretrain": {
            "model": {
                "preset": "tiny", "hidden_size": 32, "num_hidden_layers": 1,
                "num_attention_heads": 2,
            },
            "tokenizer": {"kind": "bpe", "vocab_size": 300, "num_sentinels": 20},
            "data": {"train": ["text.txt"], "max_length": 64},
            "train": {
                "max_steps": 2, "batch_size": 2, "micro_batch_size": 2, "validate_every": 0,
                "device": "cpu", "arrange_memory": False,
            },
        },
        "variants": {
            "GLM": None,
            "GPT": {
                "change": {"objective": {"token": 0, "causal": 1}},
                "measure": {"text": {"context": ["causal"]}},
                "without": ["mood"],
            },
        },
        "evaluate": {
            "text": {
                "suite": "perplexity", "file": ["text.txt"], "metrics": ["bits a byte"],
                "window": 32,
            }
        },
        "finetune": {
            "mood": {
                "task": "sst2",
                "data": {"train": ["moods.jsonl"], "validation": ["moods.jsonl"]},
                "train": {"max_steps": 2, "batch_size": 4, "validate_every": 1},
            }
        },
    }  # fmt: skip


def save(recipe: dict[str, Any]) -> Path:
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return Path("recipe.yaml")


def compare(*words: str) -> None:
    main(["compare", "recipe.yaml", "--no-arrange-memory", *words])


def refused(recipe: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is printed when the recipe is refused before anything runs."""
    save(recipe)
    with pytest.raises(SystemExit):
        compare("--plan")
    return capsys.readouterr().err
