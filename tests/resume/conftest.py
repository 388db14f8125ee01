"""A small text, its tokenizer, and runs on a tiny model: in this process or as one of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from forked import start_command
from launched import Run, run_together
from pictures import no_pictures
from pretraining_toys import finished, finished_once, make_config, text_folder
from small_windows import small_windows

from unblank.tokenization.train import train_tokenizer

__all__ = [
    "finished",
    "finished_once",
    "make_config",
    "no_pictures",
    "small_windows",
    "text_folder",
]

SMALL_MODEL = {
    "model.preset": "tiny",
    "model.num_hidden_layers": 2,
    "model.hidden_size": 64,
    "model.num_attention_heads": 2,
    "data.max_length": 64,
    "data.text_unit": "paragraph",
    "optim.warmup_steps": 4,
    "train.max_steps": 12,
    "train.batch_size": 8,
    "train.micro_batch_size": 4,
    "train.log_every": 1,
    "train.save_every": 3,
    "train.precision": "fp32",
}
TIMED_FIELDS = {"tokens_per_second"}


class Training:
    """Runs `unblank pretrain`, or another training command, in processes of their own."""

    def __init__(self, folder: Path, settings: dict[str, object], name: str = "pretrain") -> None:
        self.folder = folder
        self.settings = settings
        self.name = name

    def words(self, output: str, **changes: object) -> list[str]:
        settings = {**self.settings, "train.output_dir": self.folder / output, **changes}
        flags = [[f"--{name}", str(value)] for name, value in settings.items()]
        return [self.name, *(word for flag in flags for word in flag)]

    def command(self, output: str, num_processes: int = 1, **changes: object) -> list[str]:
        launcher = [
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={num_processes}",
        ]
        words = [sys.executable, *(launcher if num_processes > 1 else []), "-m", "unblank"]
        return [*words, *self.words(output, **changes)]

    def start(self, output: str, num_processes: int = 1, **changes: object) -> "Run":
        log = self.folder / f"{output}.printed"
        if num_processes == 1:
            return Run(start_command(self.words(output, **changes), log), log)
        with log.open("w") as file:
            process = subprocess.Popen(
                self.command(output, num_processes, **changes),
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "UNBLANK_TRACEBACK": ""},
                start_new_session=True,
            )
        return Run(process, log)

    def run(self, output: str, **options: object) -> str:
        return self.start(output, **options).finish()

    def run_together(self, output: str, num_processes: int, **changes: object) -> str:
        """Run in processes that start at once, without torchrun; what the main one prints."""
        printed = self.folder / f"{output}-printed"
        printed.mkdir(exist_ok=True)
        return run_together(self.words(output, **changes), printed, num_processes)

    def metrics(self, output: str, name: str = "metrics.jsonl") -> list[dict[str, object]]:
        path = self.folder / output / name
        text = path.read_text() if path.exists() else ""
        lines = [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]
        return [{k: v for k, v in line.items() if k not in TIMED_FIELDS} for line in lines]

    def weights(self, output: str) -> bytes:
        return (self.folder / output / "model.safetensors").read_bytes()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    texts = [text.replace("\n\n", "\n") for text in list(topics.values())[:20]]
    (folder / "train.txt").write_text("\n\n".join(texts), encoding="utf-8")
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=600, show_progress=False)
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="session")
def pretraining_in(corpus: Path) -> Callable[[Path], Training]:
    """Return what makes a training of a folder."""
    where = {
        "data.train": corpus / "train.txt",
        "data.cache_dir": corpus / "shards",
        "tokenizer.path": corpus / "tokenizer",
    }
    return lambda folder: Training(folder, {**SMALL_MODEL, **where})


@pytest.fixture
def pretraining(pretraining_in: Callable[[Path], Training], tmp_path: Path) -> Training:
    return pretraining_in(tmp_path)


SMALL_FINETUNING = {
    "model.preset": "ganlm-tiny",
    "model.num_hidden_layers": 1,
    "model.hidden_size": 32,
    "model.num_attention_heads": 2,
    "data.source": "source",
    "data.target": "target",
    "seq2seq.max_source_length": 64,
    "seq2seq.max_target_length": 64,
    "train.max_steps": 14,
    "train.batch_tokens": 512,
    "train.micro_batch_tokens": 256,
    "train.validate_every": 3,
    "train.average_last": 2,
    "train.log_every": 2,
    "train.save_every": 4,
    "train.precision": "fp32",
}


@pytest.fixture
def finetuning(corpus: Path, tmp_path: Path) -> Training:
    lines = [
        line for line in (corpus / "train.txt").read_text("utf-8").splitlines() if line.strip()
    ]
    pairs = [{"source": line, "target": line[::-1]} for line in lines[:120]]
    for name, part in (("train", pairs[:90]), ("held_out", pairs[90:])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)), "utf-8")
    where = {
        "data.train": tmp_path / "train.jsonl",
        "data.validation": tmp_path / "held_out.jsonl",
        "tokenizer.path": corpus / "tokenizer",
    }
    return Training(tmp_path, {**SMALL_FINETUNING, **where}, "finetune")
