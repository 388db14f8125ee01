"""What a folder was trained on or made of, by its provenance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unblank.describing.description import Facts
from unblank.integrity import PROVENANCE_NAME
from unblank.untrusted.json_text import read_json_object

__all__ = ["provenance_facts"]


def provenance_facts(path: Path) -> Facts:
    """Return what a folder was trained on or made of."""
    file = path / PROVENANCE_NAME
    if not file.is_file():
        return {}
    record = read_json_object(file)
    facts: Facts = {}
    for name, shown in (("made_by", "by"), ("program", "by"), ("finished", "finished")):
        if isinstance(record.get(name), str):
            facts[shown] = record[name]
    source = record.get("source")
    if isinstance(source, Mapping) and "path" in source:
        facts["from"] = str(source["path"])
    for name in ("steps", "samples", "tokens"):
        if isinstance(record.get(name), int):
            facts[name] = f"{record[name]:,}"
    for name in ("loss", "validation_loss"):
        if isinstance(record.get(name), float):
            facts[name.replace("_", " ")] = f"{record[name]:.4f}"
    settings = record.get("settings")
    if isinstance(settings, Mapping):
        facts |= _setting_facts(settings)
    scores = record.get("scores")
    if isinstance(scores, Mapping):
        facts["held out"] = ", ".join(
            f"{name} {value:.4g}" for name, value in scores.items() if isinstance(value, float)
        )
    return facts


def _setting_facts(settings: Mapping[str, Any]) -> Facts:
    facts: Facts = {}
    for name in ("task", "method"):
        if isinstance(settings.get(name), str):
            facts[name] = settings[name]
    data = settings.get("data")
    if isinstance(data, Mapping) and data.get("train"):
        train = data["train"]
        facts["trained on"] = ", ".join(map(str, train)) if isinstance(train, list) else str(train)
    model = settings.get("model")
    if isinstance(model, Mapping) and model.get("init_from"):
        facts["started from"] = str(model["init_from"])
    objective = settings.get("objective")
    if isinstance(objective, Mapping) and "task" not in settings:
        facts["blanks learned"] = _objectives(objective)
    return facts


def _objectives(objective: Mapping[str, Any]) -> str:
    """Return which blanks a pretraining filled, by the weights of its objectives."""
    masks = {
        "token": "words ([MASK])",
        "sentence": "sentences ([sMASK])",
        "document": "long passages ([gMASK])",
        "masked": "single tokens in place, as BERT",
        "causal": "left to right, as GPT",
    }
    found = [shown for name, shown in masks.items() if objective.get(name)]
    shown = ", ".join(found) or "none"
    return shown if objective.get("task_masks", True) else f"{shown}; all as [MASK]"
