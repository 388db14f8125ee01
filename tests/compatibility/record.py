"""Makes `recorded/`: folders as version 0.1.0 left them, for the tests that open them today.

Run once, by that version:

    git worktree add /tmp/old aa03e57
    PYTHONPATH=/tmp/old/src python tests/compatibility/record.py

It is kept to say what the folders hold, not to be run again: a folder that is recorded anew by a
later version shows nothing. `expected.json` is what the old code itself made of the folders.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

RECORDED = Path(__file__).resolve().parent / "recorded"
VERSION = "0.1.0"
PLACE = Path("/tmp/unblank-0.1.0")
"""Where it is recorded: adapters name the folder of their base model from the root."""
STOP_AFTER = 8
"""Runs save at step 6, 12 and 18 and are killed once step 8 is logged."""

SUBJECTS = ["the cat", "a dog", "my aunt", "the old baker", "our teacher", "a small bird"]
VERBS = ["saw", "liked", "found", "painted", "carried", "lost"]
OBJECTS = ["a red boat", "the garden", "two apples", "her letter", "the long road", "a warm coat"]
PLACES = ["near the river", "in the morning", "at school", "behind the house", "before supper"]
PRAISE = ["great", "lovely", "warm"]
BLAME = ["awful", "dull", "cold"]
TASK = """\
verbalizer: {good: great, bad: awful}
patterns: ['{text} It was [MASK].']
scoring: sum
metrics: [accuracy]
"""

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
DROPOUT = {"hidden_dropout": 0.1, "attention_dropout": 0.1}
RUN = {
    "max_steps": 18,
    "log_every": 1,
    "save_every": 6,
    "keep_checkpoints": 1,
    "validate_every": 6,
    "precision": "fp32",
    "device": "cpu",
    "arrange_memory": False,
}
TEXT = {
    "train": ["text.txt"],
    "validation": ["held_out.txt"],
    "text_unit": "paragraph",
    "max_length": 48,
    "cache_dir": "shards",
}
OPTIM = {"learning_rate": 1e-2, "warmup_steps": 3}
LABELS = {"train": ["labels.jsonl"], "validation": ["labels_held_out.jsonl"]}
PAIRS = {"train": ["pairs.jsonl"], "validation": ["pairs_held_out.jsonl"]}
ROWS = {"batch_size": 8, "micro_batch_size": 4}
TUNED = {"task": "task.yaml", "model": {"init_from": "model"}, "data": LABELS}

PRETRAINING = {
    "model": {"preset": "tiny", **SHAPE, **DROPOUT},
    "tokenizer": {"path": "tokenizer"},
    "data": TEXT,
    "objective": {"token": 0.5, "sentence": 0.25, "document": 0.25},
    "optim": OPTIM,
    "train": {**RUN, **ROWS, "output_dir": "pretraining", "sample_every": 6},
}
TRANSLATION = {
    "model": {"preset": "deltalm-tiny", **SHAPE, **DROPOUT},
    "tokenizer": {"path": "tokenizer", "num_sentinels": 20},
    "data": {**TEXT, "validation": [], "pairs": ["pairs.jsonl:source:target"]},
    "optim": OPTIM,
    "train": {**RUN, **ROWS, "output_dir": "translation", "max_steps": 4},
}
LABELS_LORA = {
    **TUNED,
    "method": "lora",
    "model": {"init_from": "model", **DROPOUT},
    "lora": {"rank": 2, "dropout": 0.1},
    "optim": {"learning_rate": 1e-2},
    "train": {**RUN, **ROWS, "output_dir": "labels_lora"},
}
PAIRS_FULL = {
    "task": "seq2seq",
    "model": {"preset": "deltalm-tiny", **SHAPE, **DROPOUT},
    "tokenizer": {"path": "tokenizer", "num_sentinels": 20},
    "data": PAIRS,
    "seq2seq": {"max_source_length": 32, "max_target_length": 32},
    "optim": {"learning_rate": 1e-2},
    "train": {**RUN, "output_dir": "pairs_full", "batch_tokens": 384, "micro_batch_tokens": 192},
}
ADAPTERS = {
    "lora": {"lora": {"rank": 2}, "optim": {"learning_rate": 0.1}},
    "prompt": {"prompt": {"length": 4, "encoder": "mlp"}, "optim": {"learning_rate": 0.3}},
    "deep-prompt": {"prompt": {"length": 4}, "optim": {"learning_rate": 1.0}},
}
SCORED = {
    "texts": ["The cat saw the garden. It was [MASK].", "My aunt lost two apples. It was [MASK]."],
    "candidates": ["great", "awful", "a red boat"],
}


def write_data() -> None:
    draw = random.Random(0)

    def sentence() -> str:
        words = [draw.choice(part) for part in (SUBJECTS, VERBS, OBJECTS, PLACES)]
        return " ".join(words).capitalize() + "."

    def lines(count: int, make: object) -> str:
        return "".join(json.dumps(make()) + "\n" for _ in range(count))

    def labelled() -> dict[str, str]:
        label = draw.choice(["good", "bad"])
        word = draw.choice(PRAISE if label == "good" else BLAME)
        return {"text": f"{sentence()} How {word}!", "label": label}

    def pair() -> dict[str, str]:
        text = sentence()
        return {"source": text, "target": " ".join(reversed(text.lower()[:-1].split()))}

    for name, count in (("text.txt", 80), ("held_out.txt", 12)):
        paragraphs = [" ".join(sentence() for _ in range(6)) for _ in range(count)]
        Path(name).write_text("\n\n".join(paragraphs) + "\n")
    for name, count, make in (
        ("labels.jsonl", 48, labelled),
        ("labels_held_out.jsonl", 12, labelled),
        ("pairs.jsonl", 48, pair),
        ("pairs_held_out.jsonl", 8, pair),
    ):
        Path(name).write_text(lines(count, make))
    Path("task.yaml").write_text(TASK)


def command(name: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "unblank", name, *words]


def recipe(settings: dict[str, object]) -> str:
    """Write a recipe where the run is not looked for, and return its path."""
    path = Path("recipe.yaml")
    path.write_text(yaml.safe_dump(settings))
    return str(path)


def kill_in_the_middle(name: str, settings: dict[str, object], output: str) -> None:
    """Leave a run as a kill leaves it, with step 6 as its last checkpoint."""
    folder = Path(output)
    while True:
        process = subprocess.Popen(command(name, recipe(settings)), stdout=subprocess.DEVNULL)
        metrics = folder / "metrics.jsonl"
        while process.poll() is None:
            if metrics.is_file() and metrics.read_text().count("\n") >= STOP_AFTER:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.0005)
        process.wait()
        checkpoints = sorted(path.name for path in (folder / "checkpoints").iterdir())
        if checkpoints == ["step-00000006"] and not list(folder.rglob("*.tmp*")):
            return
        shutil.rmtree(folder)


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def continued(name: str, output: str) -> dict[str, object]:
    """Return what the run writes when it is continued to its end, in a copy of all."""
    copy = PLACE / "continued"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(".", copy)
    subprocess.run(command(name, f"{output}/run.yaml"), cwd=copy, check=True)
    return {
        file: read_lines(copy / output / f"{file}.jsonl")
        for file in ("metrics", "validation", "fills")
    }


def finished_model(settings: dict[str, object], folder: str, kind: str) -> None:
    """Train to the end and keep the files of the finished model."""
    subprocess.run(command(kind, recipe(settings)), check=True)
    for path in Path(folder).iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name in ("metrics.jsonl", "validation.jsonl"):
            path.unlink()


def scores(folder: str) -> list[list[float]]:
    import unblank

    model = unblank.load(folder, device="cpu")
    found = [model.score(text, SCORED["candidates"]) for text in SCORED["texts"]]
    return [[candidate.score for candidate in one.candidates] for one in found]


def main() -> None:
    import unblank

    assert unblank.__version__ == VERSION, unblank.__version__
    os.environ["OMP_NUM_THREADS"] = "1"
    shutil.rmtree(PLACE, ignore_errors=True)
    work = PLACE / "recorded"
    work.mkdir(parents=True)
    os.chdir(work)
    write_data()
    flags = ["--train", "text.txt", "--output", "tokenizer", "--vocab-size", "300", "--lowercase"]
    subprocess.run(command("tokenize", *flags), check=True)

    expected: dict[str, object] = {"scored": SCORED, "scores": {}}
    quiet = {"validate_every": 0, "save_every": 1000}
    base = {**PRETRAINING, "train": {**RUN, **ROWS, **quiet, "output_dir": "model"}}
    finished_model(base, "model", "pretrain")
    for method, settings in ADAPTERS.items():
        folder = f"adapter_{method}"
        train = {**RUN, **ROWS, **quiet, "output_dir": folder}
        settings = {**TUNED, **settings, "method": method, "train": train}
        finished_model(settings, folder, "finetune")
        expected["scores"][method] = scores(folder)
    expected["scores"]["none"] = scores("model")

    subprocess.run(command("pretrain", recipe(TRANSLATION)), check=True)
    expected["translation"] = {"metrics": read_lines(Path("translation/metrics.jsonl"))}
    for path in Path("translation").iterdir():
        if path.name != "run.yaml":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, settings, output in (
        ("pretrain", PRETRAINING, "pretraining"),
        ("finetune", LABELS_LORA, "labels_lora"),
        ("finetune", PAIRS_FULL, "pairs_full"),
    ):
        kill_in_the_middle(name, settings, output)
        expected[output] = continued(name, output)
    Path("recipe.yaml").unlink()
    for path in (*Path().glob("*/loss.png"), *Path().glob("*/.lock")):
        path.unlink()
    Path("expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    shutil.rmtree(RECORDED, ignore_errors=True)
    shutil.copytree(work, RECORDED)


if __name__ == "__main__":
    main()
