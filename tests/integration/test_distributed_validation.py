"""Held-out rows that processes cannot share equally: runs end, with the loss of one process."""

import json
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from launched import run_command

from unblank.tokenization.train import train_tokenizer

SETTINGS = {
    "model.preset": "tiny",
    "model.num_hidden_layers": 1,
    "model.hidden_size": 32,
    "model.num_attention_heads": 2,
    "data.max_length": 64,
    "data.text_unit": "paragraph",
    "optim.clip_norm": 0.0,
    "train.max_steps": 2,
    "train.batch_size": 4,
    "train.micro_batch_size": 2,
    "train.validate_every": 1,
    "train.save_every": 2,
    "train.precision": "fp32",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held_out")
    texts = [text.replace("\n\n", "\n") for text in list(topics.values())[:6]]
    (folder / "train.txt").write_text("\n\n".join(texts), encoding="utf-8")
    (folder / "held_out.txt").write_text(texts[0], encoding="utf-8")
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=300, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def held_out_losses(folder: Path, name: str, num_processes: int, **changes: object) -> list[float]:
    where = {
        "data.train": folder / "train.txt",
        "data.validation": folder / "held_out.txt",
        "tokenizer.path": folder / "tokenizer",
        "train.output_dir": folder / name,
    }
    settings = {**SETTINGS, **where, **changes}
    run_command("pretrain", settings, num_processes=num_processes, timeout=120)
    lines = (folder / name / "validation.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("num_samples", [1, 9])
def test_processes_with_unequal_shares_of_held_out_rows_measure_what_one_does(
    folder: Path, num_samples: int
) -> None:
    # One sample is one row: nothing is left for the second process.
    chosen = {"train.validation_samples": num_samples}
    alone = held_out_losses(folder, f"alone-{num_samples}", 1, **chosen)
    assert len(alone) == 2
    for parallel in ("ddp", "fsdp"):
        name = f"{parallel}-{num_samples}"
        two = held_out_losses(folder, name, 2, **chosen, **{"train.parallel": parallel})
        assert two == pytest.approx(alone, rel=1e-4), parallel
