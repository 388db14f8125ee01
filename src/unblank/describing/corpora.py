"""Prepared text: a corpus, its shards, and a folder that holds several."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unblank.describing.description import Description, Facts
from unblank.describing.weights import size_text
from unblank.integrity import MANIFEST_NAME
from unblank.untrusted.json_text import read_json_object

__all__ = ["corpora_in", "describe_corpus", "describe_prepared_text", "is_corpus"]


def describe_corpus(path: Path) -> Description:
    """Return what a prepared corpus holds."""
    manifest = read_json_object(path / MANIFEST_NAME)
    report = manifest.get("report")
    counts = report if isinstance(report, Mapping) else {}
    names = {
        "num_kept": "documents",
        "num_tokens": "tokens",
        "num_empty": "left out, empty",
        "num_short": "left out, too short",
    }
    facts = {shown: _number(counts[name]) for name, shown in names.items() if name in counts}
    unknown = counts.get("num_unknown")  # which earlier versions did not count
    facts["tokens unknown to the tokenizer"] = (
        "not counted" if unknown is None else _number(unknown)
    )
    if shards := _shards_of(path):
        facts["shards"] = f"{len(shards):,}, in folders beside this one"
    return Description(
        kind="prepared corpus", facts={"corpus": {**facts, "size on disk": size_text(path)}}
    )


def describe_prepared_text(path: Path, corpora: Sequence[Path]) -> Description:
    """Return what a `data.cache_dir` holds."""
    facts: Facts = {}
    for one in corpora:
        counts = describe_corpus(one).facts["corpus"]
        named = [f"{counts[name]} {name}" for name in ("documents", "tokens") if name in counts]
        facts[one.name] = ", ".join(named)
    return Description(
        kind="prepared text",
        facts={"corpora": facts},
        next_commands=[f"unblank pretrain --data.train FILES --data.cache-dir {path}"],
    )


def corpora_in(path: Path) -> list[Path]:
    """Return the prepared corpora in a `data.cache_dir`, without the shards that they name."""
    folders = [one for one in sorted(path.iterdir()) if one.is_dir()]
    found = [one for one in folders if is_corpus(one)]
    shards = {name for one in found for name in _shards_of(one) if name != one.name}
    return [one for one in found if one.name not in shards]


def is_corpus(path: Path) -> bool:
    """Whether a folder is a prepared corpus, or calls itself one."""
    return (path / "offsets.bin").is_file() or "shards" in _record_of_corpus(path)


def _shards_of(path: Path) -> list[str]:
    """Return the names of the shards of a prepared corpus that has several."""
    found = _record_of_corpus(path).get("shards")
    return list(map(str, found)) if isinstance(found, list) else []


def _record_of_corpus(path: Path) -> dict[str, Any]:
    record = path / MANIFEST_NAME
    return read_json_object(record) if record.is_file() else {}


def _number(value: object) -> str:
    """Return a count with thousands separated; what is none, as it is."""
    return f"{value:,}" if isinstance(value, int) else str(value)
