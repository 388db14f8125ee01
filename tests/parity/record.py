"""Make the committed set of recordings from the folder of all recordings.

    python tests/parity/record.py FIXTURES

Every reader of the repository can then compare with the original programs. Taken are the smallest
cases that reach every kind of test: one checkpoint a family with its outputs, in the published
layouts. Numbers, ids, names of settings and random weights are taken, no sentence: what came from
texts is there as ids only. What is written is read back and compared with its source.

GLM's weights serve its five layouts, MultiGLM's two and DeltaLM's two; the encoder that a DeltaLM
starts from, and outputs in half precision, are left to the full folder.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from recorded_set import COMMITTED, FILES, TORCH_SUFFIXES, TensorStore, packed, unpack
from safetensors.torch import load_file
from torch import Tensor

from unblank.conversion.torch_files import read_torch_file

CHECKPOINTS = (
    "glm/checkpoint/**/*.pt", "glm/checkpoint_deepspeed_fp16/**/*.pt", "glm/checkpoint_mp2/**/*.pt",
    "glm/checkpoint_classification/**/*.pt", "glm_hf/model/*.bin", "multiglm/**/*.pt",
    "deltalm/fairseq_checkpoint/*.pt", "deltalm/published_layout/*.pt",
    "ganlm/fairseq_checkpoint/*.pt",
)  # fmt: skip
"""In an order in which whole models come before their pieces."""
TEXTS = (
    "glm/**/latest*", "deltalm/**/dict.txt", "ganlm/**/dict.txt", "**/config.json",
    "glm/*.json", "glm_hf/outputs.json", "glm_tokenizers/*.json", "multiglm/**/latest*",
    "multiglm/outputs.json", "deltalm/outputs.json", "ganlm/outputs.json",
)  # fmt: skip
NOT_TAKEN = ("init_from_encoder", "state_dict_shapes.json")
OUTPUTS: dict[str, dict[str, int | None]] = {
    "glm/forward.safetensors": {
        "per_sample_sep": None, "lm_loss": None, "full_mask": 1, "memory_truncated": 1,
    },
    "glm/incremental.safetensors": dict.fromkeys(("context", "steps", "final", "one_shot"), 1),
    "glm/downstream.safetensors": dict.fromkeys(
        (
            "classification_rte", "multi_token_cloze", "multi_token_cloze_segmented",
            "multichoice_unidirectional", "single_token_cloze_rte",
        )
    ),
    "glm/lm_eval.safetensors": dict.fromkeys(("lambada", "lambada_uni", "lm", "lm_uni")),
    "glm/seq2seq_inputs.safetensors": dict.fromkeys(
        (
            "customization_mask_pad_test", "customization_mask_pad_train", "customization_test",
            "customization_train", "extraction_test", "extraction_train", "summarisation_test",
            "summarisation_train",
        )
    ),
    "glm_hf/outputs.safetensors": dict.fromkeys(
        (
            "per_sample_sep", "defaults", "classification", "left.generation", "left.tokenized",
            "left.incremental", "right.generation", "right.tokenized",
        )
    ) | {"per_sample_sep": 1},
    "multiglm/forward.safetensors": dict.fromkeys(
        (
            "per_sample_sep", "lm_loss", "mask_with_memory", "multi_token_cloze",
            "single_token_cloze", "seq2seq", "cache",
        )
    ),
    "deltalm/outputs.safetensors": {"left_padded": None, "incremental": 1},
    "ganlm/outputs.safetensors": dict.fromkeys(
        ("pretrain", "encoder", "generator", "finetune", "finetune_run0", "classification")
    ),
}  # fmt: skip
"""Cases, and how many rows of their batches if not all."""
SENTENCES = (
    "examples", "truncation_24.example", "source_texts", "target_texts", "extraction", "texts",
    "choices", "data", "comment", "vocabulary_files_sha256",
)  # fmt: skip
RANDOM_STATES = ("random_rng_state", "np_rng_state", "torch_rng_state", "cuda_rng_state",
                 "rng_tracker_states")  # fmt: skip


def record(source: Path, target: Path = COMMITTED) -> None:
    """Write the set, and check that it unpacks to what it was taken from."""
    store, files = TensorStore(), {}
    for pattern in CHECKPOINTS:
        for path in taken(source, pattern):
            files[str(path.relative_to(source))] = packed(checkpoint(path), store)
    for name, cases in OUTPUTS.items():
        tensors = cut_outputs(load_file(source / name), cases)
        files[name] = {key: store.add(tensor) for key, tensor in tensors.items()}
    for pattern in TEXTS:
        for path in taken(source, pattern):
            files[str(path.relative_to(source))] = text(path)
    target.mkdir(exist_ok=True)
    content = {"tensors": store.write(target), "files": files}
    lines = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    (target / FILES).write_text(lines + "\n", encoding="utf-8")
    check(source, target)


def taken(source: Path, pattern: str) -> list[Path]:
    found = sorted(path for path in source.glob(pattern) if path.is_file())
    return [path for path in found if not set(NOT_TAKEN) & set(path.parts)]


def checkpoint(path: Path) -> dict[str, Any]:
    """The content of a torch file; random states only where a file is not one of several pieces."""
    content = read_torch_file(path)
    if len(list(path.parent.glob("*.pt"))) > 1:
        return {key: value for key, value in content.items() if key not in RANDOM_STATES}
    return content


def cut_outputs(tensors: dict[str, Tensor], cases: dict[str, int | None]) -> dict[str, Tensor]:
    """The tensors of the chosen cases, with the chosen number of rows."""
    found = {}
    for key, tensor in tensors.items():
        case = next((case for case in cases if key == case or key.startswith(f"{case}.")), None)
        if case is not None:
            is_rows = ".head." not in key and tensor.dim() > 0
            found[key] = tensor[: cases[case]].clone() if is_rows else tensor
    return found


def text(path: Path) -> Any:
    """The content of a JSON or text file, without sentences and without runs that are not taken."""
    if path.suffix != ".json":
        return path.read_text(encoding="utf-8")
    content = without_sentences(json.loads(path.read_text(encoding="utf-8")))
    if path.parent.name == "ganlm" and "loss_runs" in content:
        taken_runs = OUTPUTS["ganlm/outputs.safetensors"]
        content["loss_runs"] = [run for run in content["loss_runs"] if run["name"] in taken_runs]
    return content


def without_sentences(value: Any) -> Any:
    if isinstance(value, list):
        return [without_sentences(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_sentences(item)
        for key, item in value.items()
        if key not in SENTENCES and not (key == "targets" and isinstance(item[0], str))
    }


def check(source: Path, target: Path) -> None:
    """Compare all that was taken with its source.

    Raises:
        ValueError: something differs.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = unpack(Path(place) / "unpacked", target)
        for path in sorted(file for file in folder.rglob("*") if file.is_file()):
            original = source / path.relative_to(folder)
            if path.suffix == ".safetensors":
                name = str(path.relative_to(folder))
                same = equal(load_file(path), cut_outputs(load_file(original), OUTPUTS[name]))
            elif path.suffix in TORCH_SUFFIXES:
                same = equal(read_torch_file(path), checkpoint(original))
            elif path.suffix == ".json":
                same = json.loads(path.read_text("utf-8")) == text(original)
            else:
                same = path.read_bytes() == original.read_bytes()
            if not same:
                raise ValueError(f"{path.relative_to(folder)} is not what it was taken from")


def is_source(whole: Path, committed: Path) -> bool:
    """Whether a folder of recordings is the one that the committed set was taken from."""
    name = "glm/forward.json"  # a loss of random weights, so no other folder has the same
    return (whole / name).is_file() and text(committed / name) == text(whole / name)


def equal(one: Any, other: Any) -> bool:
    """Whether two values of checkpoints are the same, tensors bit by bit."""
    if isinstance(one, dict) and isinstance(other, dict):  # ordered ones are written as plain ones
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


if __name__ == "__main__":
    record(Path(sys.argv[1]))
