"""A tiny random GLM with its tokenizer in a folder, and small data, for tests of evaluation."""

import json
from pathlib import Path

import pytest
from tiny_glms import tiny_glm, write_folder

from unblank.api import Unblank

WORDS = "the old grey cat sat on a warm mat and saw one small dog run to some far house"
CORPUS = [f"{WORDS}. {WORDS[start:]}" for start in range(40)]


def write(path: Path, records: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def few_draws(monkeypatch) -> None:
    """Estimate standard errors from few draws; their size is for the tests of metrics."""
    monkeypatch.setattr("unblank.metrics.spread.NUM_DRAWS", 10)
    monkeypatch.setattr("unblank.metrics.text._NUM_DRAWS", 10)


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    return tiny_glm(
        CORPUS, vocab_size=320, num_unused=20, max_position_embeddings=64, initializer_range=0.4
    )


@pytest.fixture(scope="session")
def model_folder(tiny, tmp_path_factory) -> Path:
    return write_folder(tiny, tmp_path_factory.mktemp("model"))


@pytest.fixture
def data_folder(tmp_path) -> Path:
    """A little of everything that the suites look for."""
    texts = ["the old cat sat on a warm mat", "one small dog saw the far house", "a cat run"]
    write(tmp_path / "infill/lambada/dev_plain.jsonl", [{"text": text} for text in texts])
    write(tmp_path / "infill/yahoo/sentences.jsonl", [{"text": text} for text in texts])
    write(tmp_path / "text_en/novels.validation.jsonl", [{"text": WORDS}, {"text": WORDS[:40]}])
    return tmp_path
