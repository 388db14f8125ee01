"""Two processes fine-tune a GanLM as one does: losses, held-out scores and the chosen weights."""

import json
from pathlib import Path

import pytest
import torch
from launched import run_command
from safetensors.torch import load_file

from unblank.tokenization.train import train_tokenizer

WORDS = "the red green old dog cat boy girl sees likes finds takes house tree book"
SETTINGS = {
    "model.preset": "ganlm-tiny",
    "model.hidden_dropout": 0.0,
    "model.attention_dropout": 0.0,
    "data.source": "source",
    "data.target": "target",
    "seq2seq.max_source_length": 32,
    "seq2seq.max_target_length": 32,
    "optim.clip_norm": 0.0,
    "train.max_steps": 6,
    "train.batch_tokens": 256,
    "train.micro_batch_tokens": 128,
    "train.validate_every": 3,
    "train.average_last": 2,
    "train.final": "average",
    "train.log_every": 1,
    "train.precision": "fp32",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    words = WORDS.split()
    texts = [
        " ".join(words[(number * 7 + place * (place + 3)) % 15] for place in range(3 + number % 6))
        for number in range(80)
    ]
    lines = [json.dumps({"source": text, "target": text.upper()}) for text in texts]
    (folder / "train.jsonl").write_text("\n".join(lines[:65]), encoding="utf-8")
    (folder / "held_out.jsonl").write_text("\n".join(lines[65:]), encoding="utf-8")
    tokenizer = train_tokenizer(
        [*texts, *map(str.upper, texts)], kind="bpe", vocab_size=400, show_progress=False
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def finetuned(data: Path, name: str, num_processes: int, **changes: object) -> Path:
    where = {
        "data.train": data / "train.jsonl",
        "data.validation": data / "held_out.jsonl",
        "tokenizer.path": data / "tokenizer",
        "train.output_dir": data / name,
    }
    settings = {**SETTINGS, **where, **changes}
    run_command("finetune", settings, num_processes=num_processes, timeout=400)
    return data / name


def lines(folder: Path, name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]


def same_run(one: Path, two: Path) -> None:
    for name in ("metrics.jsonl", "validation.jsonl"):
        for first, second in zip(lines(one, name), lines(two, name), strict=True):
            first.pop("tokens_per_second", None)
            second.pop("tokens_per_second", None)
            assert second == pytest.approx(first, rel=1e-4, abs=1e-5)
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, two))
    for name, tensor in weights.items():
        torch.testing.assert_close(others[name], tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_two_processes_fine_tune_as_one(data: Path) -> None:
    scored = {"train.metric": "chrf"}
    alone = finetuned(data, "alone", 1, **scored)
    same_run(alone, finetuned(data, "replicas", 2, **scored))
    same_answers = [
        (folder / "predictions" / "step-00000003.jsonl").read_text("utf-8")
        for folder in (alone, data / "replicas")
    ]
    assert same_answers[0] == same_answers[1]


@pytest.mark.slow
def test_two_shards_fine_tune_as_one_process(data: Path) -> None:
    alone = finetuned(data, "alone_by_loss", 1)
    same_run(alone, finetuned(data, "shards", 2, **{"train.parallel": "fsdp"}))
