"""A tiny random GLM with its tokenizer, in a folder, and a data folder in the usual layout."""

import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from evaluation_toys import write

from unblank.api import Unblank
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.tokenization import special_ids
from unblank.tokenization.train import train_tokenizer

WORDS = "the old grey cat sat on a warm mat and saw one small dog run to some far house"
CORPUS = [f"{WORDS}. {WORDS[start:]}" for start in range(40)]


@pytest.fixture(scope="session")
def tiny() -> Unblank:
    with warnings.catch_warnings(action="ignore"):  # the corpus is smaller than the vocabulary
        tokenizer = train_tokenizer(CORPUS, kind="bpe", vocab_size=320, show_progress=False)
    ids = asdict(special_ids(tokenizer))
    config = GlmInfillConfig(
        vocab_size=len(tokenizer) + 20,
        tokenizer_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.4,
        **{f"{role}_token_id": i for role, i in ids.items() if isinstance(i, int)},
    )
    torch.manual_seed(3)
    return Unblank(GlmInfillForConditionalGeneration(config), tokenizer)


@pytest.fixture(scope="session")
def model_folder(tiny, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data_folder(tmp_path) -> Path:
    """A little of everything that the suites look for."""
    texts = ["the old cat sat on a warm mat", "one small dog saw the far house", "a cat run"]
    write(tmp_path / "infill/lambada/dev_plain.jsonl", [{"text": text} for text in texts])
    write(tmp_path / "infill/yahoo/sentences.jsonl", [{"text": text} for text in texts])
    write(tmp_path / "text_en/novels.validation.jsonl", [{"text": WORDS}, {"text": WORDS[:40]}])
    return tmp_path
