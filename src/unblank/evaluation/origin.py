"""How a model was pretrained, as the provenance in its folder says; nothing else knows it."""

from pathlib import Path
from typing import Any

from unblank.data.shards import SHARDS_NAME
from unblank.integrity import PROVENANCE_NAME
from unblank.untrusted.json_text import read_json_object

__all__ = ["pretraining_settings", "training_corpora"]


def pretraining_settings(folder: Path, section: str) -> dict[str, Any]:
    """Return a section of the settings of the run that made a folder; empty if none is recorded."""
    found: dict[str, Any] = _record(folder).get("settings", {}).get(section, {})
    return found


def training_corpora(folder: Path) -> list[Path]:
    """Return the folders of the tokenized text that a model was pretrained on, if all are there."""
    record = _record(folder)
    if not record.get("data"):
        return []
    cache_dir = record["settings"]["data"]["cache_dir"]
    shards = Path(cache_dir) if cache_dir else folder.resolve().parent / SHARDS_NAME
    found = [shards / name for name in record["data"]]
    return found if all(path.is_dir() for path in found) else []


def _record(folder: Path) -> dict[str, Any]:
    path = folder / PROVENANCE_NAME
    if not path.is_file():
        return {}
    record = read_json_object(path)
    return record if str(record.get("made_by", "")).endswith(" pretrain") else {}
