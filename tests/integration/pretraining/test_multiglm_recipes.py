"""MultiGLM's recipes: two steps of each, and what the published size comes to."""

import gzip
import json

import pytest
import torch
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from unblank.engine.memory_plan import ProcessLayout, count_sizes, plan_memory
from unblank.models import GlmInfillForConditionalGeneration
from unblank.models.glm import glm_config
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import PretrainSettings
from unblank.settings.recipes import from_mapping, merged_sections, read_mapping
from unblank.tokenization.train import train_tokenizer

WORDS = {
    "deu": "Am Anfang schuf Gott Himmel und Erde.",
    "eng": "In the beginning God created the heaven and the earth.",
    "tha": "\u0e43\u0e19\u0e40\u0e23\u0e34\u0e48\u0e21\u0e41\u0e23\u0e01",
}
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TWO_STEPS = {"max_steps": 2, "batch_size": 4, "micro_batch_size": 4, "save_every": 2}


def settings_of(recipe, **changes):
    mapping = merged_sections(read_mapping(f"recipe:{recipe}"), changes)
    return from_mapping(PretrainSettings, mapping)


def jsonl(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def test_the_small_recipe_reads_the_data_as_it_is(tmp_path, monkeypatch, capsys):
    root = tmp_path / "data"
    for code in ("deu", "tha"):
        (root / "parallel" / "bible").mkdir(parents=True, exist_ok=True)
        with gzip.open(root / "parallel" / "bible" / f"{code}.tsv.gz", "wt") as file:
            file.writelines(f"GEN 1:{n}\t{WORDS[code]} {n}\n" for n in range(1, 40))
    aligned = [{"id": n, "doc": "bbc", **WORDS} for n in range(40)]
    jsonl(root / "parallel" / "ntrex" / "dev.jsonl.gz", aligned)
    pairs = [{"lang": "swh", "text": f"Mvua {n}.", "eng": "Rain."} for n in range(40)]
    jsonl(root / "parallel" / "tatoeba" / "pairs.jsonl.gz", pairs)
    for code in ("fra", "rom"):
        texts = [{"doc": code, "text": f"Il pleut sur la ville {n}"} for n in range(40)]
        jsonl(root / "text_multi" / f"eltec.{code}.train.jsonl.gz", texts)
    monkeypatch.chdir(root)
    config = settings_of(
        "multiglm_cpu",
        model=SMALL,
        tokenizer={"vocab_size": 400, "num_characters": 3000},
        data={"hold_out": 0.2, "max_length": 64},
        train={
            **TWO_STEPS,
            "validate_every": 2,
            "validation_samples": 12,
            "output_dir": str(tmp_path / "run"),
        },
    )
    folder = run_pretrain(config)
    (line,) = map(json.loads, (folder / "validation.jsonl").read_text().splitlines())
    codes = {name.rpartition("_")[2] for name in line if name.startswith("bits_a_byte_on_")}
    assert {"de", "th", "en", "sw", "fr", "ro"} >= codes >= {"de", "th", "sw", "fr", "ro"}
    assert "languages" in capsys.readouterr().out


@pytest.fixture
def wide_tokenizer(tmp_path):
    """A unigram of 250,112 tokens, as many as the published model has rows."""
    known = train_tokenizer(
        [*WORDS.values()] * 3, kind="unigram", vocab_size=600, show_progress=False
    )
    content = json.loads(known.backend_tokenizer.to_str())
    pieces = content["model"]["vocab"]
    pieces += [[f"\ue000{number}", -30.0] for number in range(250_112 - len(pieces))]
    wide = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)))
    known._tokenizer = wide.backend_tokenizer
    known.save_pretrained(tmp_path / "wide")
    return tmp_path / "wide"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the text is too small")
def test_the_large_recipe_runs_with_all_rows_of_its_vocabulary(tmp_path, wide_tokenizer):
    (tmp_path / "text.txt").write_text("\n".join(f"{WORDS['eng']} {n}" for n in range(60)))
    config = settings_of(
        "multiglm_1b",
        model={**SMALL, "hidden_size": 16},
        tokenizer={"path": str(wide_tokenizer), "kind": None, "vocab_size": None},
        data={
            "train": [str(tmp_path / "text.txt")],
            "text_unit": "line",
            "max_length": 64,
            "num_workers": 0,
        },
        train={
            **TWO_STEPS,
            "parallel": "ddp",
            "validate_every": 0,
            "output_dir": str(tmp_path / "run"),
        },
    )
    folder = run_pretrain(config)
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == 250_112


def test_the_published_size_is_what_the_formula_gives():
    with torch.device("meta"):
        model = GlmInfillForConditionalGeneration(glm_config("multiglm-1b"))
    rows, width, layers, positions = 250_112, 1536, 24, 1025
    norms = 2 * width
    a_layer = 12 * width**2 + 13 * width  # attention, feed-forward, their biases, two LayerNorms
    by_hand = rows * width + 2 * positions * width + layers * a_layer + norms
    assert sum(parameter.numel() for parameter in model.parameters()) == by_hand
    sizes = count_sizes(
        model, saves_all=True, has_average=False, positions=10 * 512, scored=10 * 77,
        micro_batches=4, passes=1.0, activation_bytes=2, recomputes=False,
    )  # fmt: skip
    alone = plan_memory(sizes, ProcessLayout(parallel="ddp", size=1), on_cpu=True)
    held = sum(alone[name].num_bytes for name in ("weights", "gradients", "optimiser"))
    assert held == 16 * by_hand
    sharded = plan_memory(sizes, ProcessLayout(parallel="fsdp", size=64), on_cpu=True)
    assert sharded["optimiser"].num_bytes == 8 * by_hand / 64
