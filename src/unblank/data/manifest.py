"""What `manifest.json` says of a prepared corpus, or of one of its shards."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unblank.integrity import MANIFEST_NAME, read_record

__all__ = ["FORMAT_VERSION", "CorpusReport", "read_manifest", "require_name"]

FORMAT_VERSION = 1

_SHARD_NAME = re.compile("[0-9a-f]+")
_NO_TOKENS: np.dtype[Any] = np.dtype(np.uint32)
"""Of a corpus whose tokens are in its shards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusReport:
    """What became of the documents of a corpus.

    Attributes:
        num_read: documents found, empty ones included.
        num_empty: skipped because they hold nothing but white space.
        num_short: skipped because they have fewer tokens than `min_tokens`.
        num_kept: documents in the corpus.
        num_tokens: tokens of the kept documents.
        min_tokens: fewest tokens of a kept document.
        num_unknown: of the tokens, those that stand for text of which the tokenizer has no token;
            None if an older version prepared it, which did not count them.
    """

    num_read: int
    num_empty: int
    num_short: int
    num_kept: int
    num_tokens: int
    min_tokens: int
    num_unknown: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `manifest.json` says; older versions wrote no name, no hash of the tokens, no checks."""

    report: CorpusReport
    name: str | None
    shards: Sequence[str] = ()
    dtype: np.dtype[Any] = _NO_TOKENS
    offsets_checksum: str = ""
    tokens_sha256: str | None = None
    checks_checksum: str | None = None


def require_name(folder: Path, name: str | None) -> None:
    """Refuse a corpus in the place of another: its name stands for its text and tokenizer.

    Args:
        folder: of the corpus.
        name: that it was made under; None of older versions, which pass.

    Raises:
        ValueError: the names differ.
    """
    if name not in (None, folder.name):
        raise ValueError(
            f"{folder / MANIFEST_NAME} belongs to {name}: the folder is that of another text or "
            "tokenizer"
        )


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a corpus or of one of its shards.

    Raises:
        ValueError: it is missing, damaged, or of another format.
    """
    path = folder / MANIFEST_NAME
    try:
        content = read_record(path)
        version = content["format_version"]
        name = content.get("name")
        report = CorpusReport(**content["report"])
        if "shards" in content:
            manifest = Manifest(report, name, [str(shard) for shard in content["shards"]])
        else:
            manifest = Manifest(
                report,
                name,
                (),
                np.dtype(content["dtype"]),
                content["offsets_checksum"],
                content.get("tokens_sha256"),
                content.get("checks_sha256"),
            )
        counts = asdict(report)
        if report.num_unknown is None:
            del counts["num_unknown"]
        are_counts = all(type(count) is int and count >= 0 for count in counts.values())
        is_possible = are_counts and report.num_tokens >= report.num_kept
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is missing or damaged: {error}") from error
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format {version}, but this version reads format {FORMAT_VERSION}"
        )
    # A name leads nowhere but to a folder beside this one.
    are_names = all(map(_SHARD_NAME.fullmatch, manifest.shards)) and folder.name not in (
        manifest.shards
    )
    if not is_possible or manifest.dtype.kind != "u" or not are_names:
        raise ValueError(f"{path} is damaged: it describes no corpus")
    return manifest
