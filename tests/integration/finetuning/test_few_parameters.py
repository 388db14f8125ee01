"""`unblank finetune --method ...`: whole runs that train few parameters of a GLM."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import unblank
from unblank.adapters.settings import LoraSettings, PromptSettings
from unblank.engine.checkpoint import list_checkpoints
from unblank.evaluation.options import PerplexityOptions
from unblank.evaluation.run import evaluate
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.finetuning.run import run_finetune
from unblank.finetuning.settings import (
    FinetuneDataSettings,
    FinetuneOptimSettings,
    FinetuneSettings,
    FinetuneTrainSettings,
    PairSettings,
)

SUBJECTS = ("the cat", "the dog", "a mat", "it")
SETTINGS = {
    "lora": {"lora": LoraSettings(rank=4)},
    "prompt": {"prompt": PromptSettings(length=4, encoder="lstm")},
    "deep-prompt": {"prompt": PromptSettings(length=4)},
}
RATES = {"lora": 0.02, "prompt": 0.05, "deep-prompt": 0.3}


@pytest.fixture(scope="module")
def base(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    lines = [{"source": f"{subject} sat", "target": f"so {subject} ran"} for subject in SUBJECTS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def config_of(method: str, base: Path, pairs: Path, output: Path, **train) -> FinetuneSettings:
    return FinetuneSettings(
        method=method,
        model=ModelSettings(init_from=base),
        data=FinetuneDataSettings(train=(str(pairs),), validation=(str(pairs),)),
        seq2seq=PairSettings(max_source_length=32, max_target_length=24, label_smoothing=0.0),
        optim=FinetuneOptimSettings(learning_rate=RATES.get(method, 0.01), schedule="constant"),
        train=FinetuneTrainSettings(
            output_dir=output, batch_tokens=512, validate_every=2, precision="fp32",
            device="cpu", final="last", **train,
        ),
        **SETTINGS.get(method, {}),
    )  # fmt: skip


def losses_of(folder: Path) -> list[float]:
    lines = (folder / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def held_out_loss_of(folder: Path) -> float:
    """Return the loss per token of the pairs, by scoring them with the opened folder."""
    tuned = unblank.load(folder, dtype="fp32")
    found = [
        tuned.score(f"{subject} sat [sMASK]", [f"so {subject} ran"]).candidates[0]
        for subject in SUBJECTS
    ]
    return -sum(one.score for one in found) / sum(len(one.token_ids) + 1 for one in found)


@pytest.mark.parametrize("method", SETTINGS)
def test_a_run_learns_resumes_bit_exactly_and_leaves_a_small_folder(method, base, pairs, tmp_path):
    untouched = load_file(base / "model.safetensors")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_finetune(config_of(method, base, pairs, whole, max_steps=4))
    losses = losses_of(whole)
    assert losses[-1] < 0.98 * losses[0]
    run_finetune(config_of(method, base, pairs, parts, max_steps=2))
    checkpoint = list_checkpoints(parts / "checkpoints")[0]
    assert not (checkpoint / "model.safetensors").exists(), "checkpoints hold what is trained"
    run_finetune(config_of(method, base, pairs, parts, max_steps=4))
    assert losses_of(parts) == losses
    name = "adapter_model.safetensors" if method == "lora" else "prompt.safetensors"
    first, second = (load_file(folder / name) for folder in (whole, parts))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    written = sum(path.stat().st_size for path in whole.glob("*.safetensors"))
    numbers = json.loads((whole / "adapter.json").read_text(encoding="utf-8"))["num_parameters"]
    assert written < 4 * numbers + 16_000, "no encoder, no model: only what is used"
    assert held_out_loss_of(whole) == pytest.approx(losses[-1], rel=1e-4)
    again = load_file(base / "model.safetensors")
    assert all(torch.equal(again[key], value) for key, value in untouched.items())


def test_what_an_evaluation_depends_on_includes_the_base_model(base, pairs, tmp_path):
    folder = run_finetune(config_of("lora", base, pairs, tmp_path / "run", max_steps=1))
    text = tmp_path / "text.txt"
    text.write_text(f"{SUBJECTS[0]} sat", encoding="utf-8")
    config = PerplexityOptions(model=str(folder), file=(str(text),), output=tmp_path / "out.json")
    evaluate(config)
    files = json.loads(config.output.read_text(encoding="utf-8"))["model"]["files"]
    assert files.keys() == {"adapter_model.safetensors", str(base / "model.safetensors")}


def test_new_tokens_are_refused_where_no_row_is_trained(base, pairs, tmp_path):
    config = config_of("lora", base, pairs, tmp_path, max_steps=3)
    config = replace(config, tokenizer=TokenizerSettings(extra_tokens=("__de__",)))
    with pytest.raises(ValueError, match=r"extra_tokens.*--method full"):
        run_finetune(config)
