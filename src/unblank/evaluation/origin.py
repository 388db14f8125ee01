"""How a model was pretrained, as the provenance in its folder says; nothing else knows it.

A model that was tuned, merged or trimmed names the one that it was made of, which may say more.
What a record names may be anything; a name that no file can have is of a file that is not there.
"""

from collections.abc import Mapping
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

from unblank.adapters.record import AdapterRecord, has_adapter
from unblank.data.shards import SHARDS_NAME
from unblank.integrity import PROVENANCE_NAME
from unblank.untrusted.json_text import read_json_object

__all__ = ["pretraining_settings", "training_corpora"]

_MOST_STEPS = 20
"""Models that were made of each other; more are a circle."""


def pretraining_settings(folder: Path, section: str) -> dict[str, Any]:
    """Return a section of the settings of the pretraining of a model; empty if none is recorded."""
    record, steps = _record(folder), 0
    while record and not _is_by(record, "pretrain") and steps < _MOST_STEPS:
        record, steps = _record_before(record), steps + 1
    found = _held(record, "settings", section) if _is_by(record, "pretrain") else {}
    return dict(found) if isinstance(found, Mapping) else {}


def training_corpora(folder: Path) -> list[Path]:
    """Return the folders of the tokenized text that a model was pretrained on, if all are there.

    Of a model that was made of another one there is none: its vocabulary may be its own.
    """
    record = _record(folder)
    names, cache_dir = record.get("data"), _held(record, "settings", "data", "cache_dir")
    if not _is_by(record, "pretrain") or not isinstance(names, list):
        return []
    beside = folder.resolve().parent / SHARDS_NAME
    shards = Path(cache_dir) if isinstance(cache_dir, str) and cache_dir else beside
    found = [shards / str(name) for name in names]
    return found if all(map(isdir, found)) else []


def _record(folder: Path) -> dict[str, Any]:
    """Return what a folder says of itself; of an adapter, what its base model does."""
    if has_adapter(folder):
        folder = Path(AdapterRecord.read(folder).base_model)
    path = folder / PROVENANCE_NAME
    return read_json_object(path) if isfile(path) else {}


def _record_before(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of the model that one was made of; empty if that is not known."""
    if isinstance(before := _held(record, "source", "provenance"), Mapping):  # of a trimmed one
        return dict(before)
    place = ("base_model", "folder") if _is_by(record, "merge") else ("settings", "model")
    folder = _held(record, *place)
    if isinstance(folder, Mapping):
        folder = folder.get("init_from")
    return _record(Path(folder)) if isinstance(folder, str) else {}


def _is_by(record: Mapping[str, Any], command: str) -> bool:
    return str(record.get("made_by", "")).endswith(f" {command}")


def _held(record: Mapping[str, Any], *names: str) -> Any:
    """Return what lies in sections inside each other; None where one is missing."""
    value: Any = record
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
