"""Small pairs on disk, their tokenizer, and a run on them that takes a second."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from unblank.finetuning.settings import FinetuneSettings
from unblank.settings.recipes import from_mapping, to_mapping
from unblank.tokenization.train import train_tokenizer

WORDS = "the a red green small old dog cat boy girl sees likes finds takes house tree book car"
OTHER = (
    "der ein rot lila klein alt hund katze junge frau sieht mag findet nimmt haus baum buch auto"
)


def sentence(number: int) -> list[int]:
    """Return the words of a sentence by number."""
    return [(number * 7 + place * (place + number % 5 + 3)) % 18 for place in range(3 + number % 5)]


def write_pairs(path: Path, count: int, first: int = 0) -> None:
    """Write pairs whose target is the source word by word."""
    words, other = WORDS.split(), OTHER.split()
    lines = [
        {
            "en": " ".join(words[word] for word in sentence(number)),
            "de": " ".join(other[word] for word in sentence(number)),
        }
        for number in range(first, first + count)
    ]
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "utf-8")


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder / "train.jsonl", 60)
    write_pairs(folder / "held_out.jsonl", 12, first=1000)
    text = [WORDS, OTHER] * 20
    (folder / "plain.txt").write_text("\n".join(text), encoding="utf-8")
    with pytest.warns(UserWarning, match="the text is too small"):
        tokenizer = train_tokenizer(
            text, kind="wordpiece", vocab_size=330, num_sentinels=20, show_progress=False
        )
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture
def pairs_config(pair_folder: Path, tmp_path: Path) -> Callable[..., FinetuneSettings]:
    small = {
        "model": {"preset": "deltalm-tiny", "num_hidden_layers": 2, "hidden_size": 32}
        | {"num_attention_heads": 2},
        "tokenizer": {"path": str(pair_folder / "tokenizer"), "num_sentinels": 20},
        "data": {
            "train": [str(pair_folder / "train.jsonl")],
            "validation": [str(pair_folder / "held_out.jsonl")],
            "source": "en",
            "target": "de",
        },
        "seq2seq": {"max_source_length": 32, "max_target_length": 32},
        "train": {
            "output_dir": str(tmp_path / "run"),
            "max_steps": 4,
            "batch_tokens": 128,
            "validate_every": 2,
            "log_every": 1,
            "precision": "fp32",
        },
    }

    def make(**changes: object) -> FinetuneSettings:
        """Return the configuration with fields changed, written as section__field."""
        config = from_mapping(FinetuneSettings, small)
        for name, value in changes.items():
            section, _, field = name.partition("__")
            if not field:
                config = replace(config, **{section: value})
                continue
            changed = replace(getattr(config, section), **{field: value})
            config = replace(config, **{section: changed})
        assert from_mapping(FinetuneSettings, to_mapping(config)) == config
        return config

    return make
