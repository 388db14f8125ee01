"""A small text on disk, its tokenizer, and a configuration that trains on it in a second."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
from small_windows import pack_few

from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import from_mapping, to_mapping
from unblank.tokenization.train import train_tokenizer


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    texts = [text.replace("\n\n", "\n") for text in list(topics.values())[:12]]
    (folder / "train.txt").write_text("\n\n".join(texts[:10]), encoding="utf-8")
    (folder / "held_out.txt").write_text("\n\n".join(texts[10:]), encoding="utf-8")
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=500, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def small_settings(text_folder: Path, output_dir: Path) -> dict[str, Any]:
    """Return a run of four steps, in which each is logged and every other one is saved."""
    return {
        "model": {
            "preset": "tiny",
            "num_hidden_layers": 1,
            "hidden_size": 32,
            "num_attention_heads": 2,
        },
        "tokenizer": {"path": str(text_folder / "tokenizer")},
        "data": {
            "train": [str(text_folder / "train.txt")],
            "text_unit": "paragraph",
            "max_length": 64,
            "cache_dir": str(text_folder / "shards"),
        },
        "train": {
            "output_dir": str(output_dir),
            "max_steps": 4,
            "batch_size": 4,
            "micro_batch_size": 2,
            "save_every": 2,
            "log_every": 1,
            "precision": "fp32",
        },
    }


@pytest.fixture
def make_config(text_folder: Path, tmp_path: Path) -> Callable[..., PretrainSettings]:
    small = small_settings(text_folder, tmp_path / "run")

    def make(**changes: object) -> PretrainSettings:
        """Return the configuration with fields changed, written as section__field."""
        config = from_mapping(PretrainSettings, small)
        for name, value in changes.items():
            section, field = name.split("__")
            changed = replace(getattr(config, section), **{field: value})
            config = replace(config, **{section: changed})
        assert from_mapping(PretrainSettings, to_mapping(config)) == config
        return config

    return make


@pytest.fixture(scope="session")
def finished_once(text_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of `make_config()`, not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("unblank.engine.saving.draw_losses", lambda folder: None)
        pack_few(patch)
        return run_pretrain(from_mapping(PretrainSettings, small_settings(text_folder, folder)))


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, where `make_config()` would have written it."""
    return shutil.copytree(finished_once, tmp_path / "run")
