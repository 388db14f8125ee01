"""Reading what the original programs recorded; what a folder lacks is skipped by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from unblank.conversion.fairseq import recorded_arguments
from unblank.conversion.source import open_source
from unblank.tokenization.special import SpecialIds

TRACKERS = ("latest_checkpointed_iteration.txt", "latest")
"""Files that name the folder of a GLM checkpoint."""


class Recorded(dict):
    """A part of a recording; asked for what it lacks, it skips the test and says what that is."""

    def __init__(self, content: dict[str, Any], path: Path) -> None:
        super().__init__(content)
        self.path = path

    def __missing__(self, name: str) -> Any:
        pytest.skip(f"{name} is not recorded in {self.path}")


def require(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} is not in this fixture folder")
    return path


def read_json(path: Path) -> Recorded:
    """Return the settings or numbers of a JSON file."""
    text = require(path).read_text(encoding="utf-8")
    return json.loads(text, object_hook=lambda content: Recorded(content, path))


def recorded(path: Path) -> Recorded:
    """Return the tensors of a safetensors file by case, then by name."""
    cases = Recorded({}, path)
    for key, tensor in load_file(require(path)).items():
        case, _, name = key.partition(".")
        cases.setdefault(case, Recorded({}, path))[name] = tensor
    return cases


def special_of(recorded_ids: dict[str, int]) -> SpecialIds:
    """Return the recorded special tokens; a model without task masks has [MASK] for all of them."""
    ids = {role.lower(): token_id for role, token_id in recorded_ids.items()}
    masks = dict.fromkeys(("smask", "gmask", "dblock"), ids["mask"])
    return SpecialIds(cls=ids.pop("enc"), **masks | ids)


def unrecorded_options(path: Path) -> dict[str, Any]:
    """Return what to tell the conversion of a fairseq checkpoint, from the JSON of its family.

    Bare state dicts do not say how many heads there are, and a dictionary may lie elsewhere.
    """
    family = next(folder for folder in path.parents if (folder / "outputs.json").is_file())
    source, options = open_source(path), {}
    if source.settings is None and not recorded_arguments(source.records):
        options["num_attention_heads"] = read_json(family / "config.json")["heads"]
    dictionaries = sorted(family.rglob("dict.txt"))
    is_trained = any(key.startswith("decoder.") for key in source.tensors)
    if is_trained and len(dictionaries) == 1 and not (source.folder / "dict.txt").is_file():
        options["tokenizer"] = dictionaries[0]
    return options
