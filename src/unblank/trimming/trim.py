"""Trimming: a model folder in, a smaller one out, proven equal on what it keeps."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from unblank.atomic_folders import new_folder, require_new
from unblank.conversion.provenance import PACKAGES, write_provenance
from unblank.families.loading import require_whole_weights
from unblank.installed import installed_versions
from unblank.integrity import PROVENANCE_NAME, file_facts, weights_files
from unblank.settings.ranges import check_count
from unblank.tokenization.encoding import encode_texts, text_encoder
from unblank.tokenization.vocabulary import padded_vocab_size
from unblank.training_record import training_settings
from unblank.trimming.equality import NUM_COMPARED, largest_difference, require_same_tokens
from unblank.trimming.folder import row_order, trimmed_config, write_tokenizer, write_weights
from unblank.trimming.selection import (
    CorpusCounts,
    choose_by_coverage,
    choose_by_number,
    count_tokens,
)
from unblank.trimming.vocabulary import (
    fallback_ids,
    merges_of,
    token_ids,
    unknown_id,
    without_tokens,
)
from unblank.untrusted.folder import require_safe_model_folder
from unblank.untrusted.json_text import read_json_object
from unblank.untrusted.opening import tokenizer_in
from unblank.untrusted.weight_files import opened_weights
from unblank.version import __version__

__all__ = ["TrimReport", "trim_model"]

_CONFIGS = ("config.json", "generation_config.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimReport:
    """What trimming changed.

    Attributes:
        tokens: number of tokens, before and after.
        rows: rows of the embedding table, before and after.
        parameters: distinct numbers in the weights, before and after.
        bytes: size of the weights in memory, before and after.
        documents: documents counted.
        corpus_tokens: tokens counted.
        coverage: share of the corpus that is kept tokens.
        passages: short passages of the corpus that were cut into tokens by both.
        passages_changed: those that are cut otherwise now.
        passage_tokens: tokens of all passages, before and after.
        passage_unknown: unknown tokens among them, before and after.
        texts_compared: texts of kept tokens whose outputs were compared.
        numbers_compared: numbers in those outputs.
        largest_difference: the largest difference between two of them, float32.
    """

    tokens: tuple[int, int]
    rows: tuple[int, int]
    parameters: tuple[int, int]
    bytes: tuple[int, int]
    documents: int
    corpus_tokens: int
    coverage: float
    passages: int
    passages_changed: int
    passage_tokens: tuple[int, int]
    passage_unknown: tuple[int, int]
    texts_compared: int
    numbers_compared: int
    largest_difference: float


def trim_model(
    model: Path | str,
    output: Path | str,
    texts: Iterable[str],
    *,
    keep: int | None = None,
    coverage: float | None = None,
    show_progress: bool = False,
) -> TrimReport:
    """Write a model without the tokens that `texts` do not need, and return what changed.

    Args:
        model: folder of a model with its tokenizer.
        output: new folder.
        texts: documents like those that the model will read.
        keep: number of tokens to keep; or
        coverage: share of the tokens of `texts` to keep, in (0, 1].
        show_progress: show a bar on the error stream.

    Raises:
        FileNotFoundError: no model or tokenizer there.
        FileExistsError: `output` exists.
        ValueError: a damaged folder, a tokenizer that cannot be trimmed or does not fit the
            weights, no text, `keep` too small, or outputs that differ.
    """
    source, output = Path(model), Path(output)
    if (keep is None) == (coverage is None):
        raise ValueError(
            "give either keep (number of tokens) or coverage (a share, such as 0.9999)"
        )
    if keep is not None:
        keep = check_count(keep, "keep")
    if coverage is not None and not 0 < coverage <= 1:
        raise ValueError(f"coverage is {coverage}: it must be above 0 and at most 1")
    settings, tokenizer = _open(source)
    require_new(output)
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    size, vocab_size = max(token_ids(content).values()) + 1, settings["vocab_size"]
    if size > vocab_size:
        raise ValueError(
            f"{source}: the tokenizer has {size} tokens, but the model has only {vocab_size} rows"
        )
    counted = count_tokens(texts, text_encoder(tokenizer), size, show_progress=show_progress)
    always, merges = fallback_ids(content) | set(tokenizer.all_special_ids), merges_of(content)
    if keep is not None:
        kept = choose_by_number(counted.counts, always, merges, keep)
    else:
        assert coverage is not None
        kept = choose_by_coverage(counted.counts, always, merges, coverage)
    new_ids = {old: new for new, old in enumerate(sorted(kept))}
    order = row_order(list(new_ids), size, vocab_size, padded_vocab_size(len(new_ids)))
    with new_folder(output) as staging:
        for name in _CONFIGS:
            if (source / name).is_file():
                old = read_json_object(source / name)
                new = trimmed_config(old, new_ids, len(order))
                (staging / name).write_text(json.dumps(new, indent=2), encoding="utf-8")
        write_tokenizer(tokenizer, without_tokens(content, kept), staging)
        write_weights(source, staging, order, vocab_size)
        report = _report(source, staging, tokenizer, counted, new_ids, (size, vocab_size))
        _write_record(source, staging, report, keep, coverage)
    return report


def _open(source: Path) -> tuple[dict[str, Any], PreTrainedTokenizerFast]:
    """Return the settings and the tokenizer of a model folder."""
    for name in ("config.json", "tokenizer.json"):
        if not (source / name).is_file():
            raise FileNotFoundError(
                f"{source} is not a model folder with a tokenizer: it has no {name}"
            )
    require_whole_weights(source)
    return require_safe_model_folder(source), tokenizer_in(source)


def _report(
    source: Path,
    staging: Path,
    tokenizer: PreTrainedTokenizerFast,
    counted: CorpusCounts,
    new_ids: dict[int, int],
    size: tuple[int, int],
) -> TrimReport:
    """Compare the two folders; raise ValueError where they are not the same model."""
    after = tokenizer_in(staging)
    passages = counted.passages
    same = require_same_tokens(passages, tokenizer, after, new_ids)
    if not same:  # nothing is made of kept tokens only: compare on what is left of the passages
        encoded = encode_texts(tokenizer, passages, warn_on_unknown=False)
        left = [[token_id for token_id in ids if token_id in new_ids] for ids in encoded]
        same = [ids for ids in left if ids]
    same = same[:NUM_COMPARED]
    difference, num_compared = largest_difference(source, staging, same, new_ids)
    old_ids, now_ids = (
        encode_texts(one, passages, warn_on_unknown=False) for one in (tokenizer, after)
    )
    mapped = [[new_ids.get(token_id, -1) for token_id in ids] for ids in old_ids]
    rows = read_json_object(staging / "config.json")["vocab_size"]
    (old_numbers, old_bytes), (numbers, num_bytes) = _weights(source), _weights(staging)
    total = int(counted.counts.sum())
    return TrimReport(
        tokens=(size[0], len(new_ids)),
        rows=(size[1], rows),
        parameters=(old_numbers, numbers),
        bytes=(old_bytes, num_bytes),
        documents=counted.num_documents,
        corpus_tokens=total,
        coverage=int(counted.counts[list(new_ids)].sum()) / total,
        passages=len(passages),
        passages_changed=sum(old != new for old, new in zip(mapped, now_ids, strict=True)),
        passage_tokens=(sum(map(len, old_ids)), sum(map(len, now_ids))),
        passage_unknown=(_count_unknown(tokenizer, old_ids), _count_unknown(after, now_ids)),
        texts_compared=len(same),
        numbers_compared=num_compared,
        largest_difference=difference,
    )


def _count_unknown(tokenizer: PreTrainedTokenizerFast, texts: list[list[int]]) -> int:
    unknown = unknown_id(json.loads(tokenizer.backend_tokenizer.to_str()))
    return sum(token_id == unknown for ids in texts for token_id in ids)


def _weights(folder: Path) -> tuple[int, int]:
    """Return the numbers and the bytes of the tensors in a folder, one at a time."""
    numbers = num_bytes = 0
    for path in weights_files(folder):
        with opened_weights(path) as file:
            for name in file.keys():  # noqa: SIM118
                tensor = file.get_tensor(name)
                numbers += tensor.numel()
                num_bytes += tensor.nbytes
    return numbers, num_bytes


def _write_record(
    source: Path, staging: Path, report: TrimReport, keep: int | None, coverage: float | None
) -> None:
    origin = source / PROVENANCE_NAME
    record = {
        "program": f"unblank trim {__version__}",
        "source": {
            "path": str(source),
            "files": {path.name: file_facts(path) for path in weights_files(source)},
            "provenance": read_json_object(origin) if origin.is_file() else None,
        },
        "kept": {"keep": keep, "coverage": coverage},
        "settings": training_settings(source),
        "report": asdict(report),
        "versions": installed_versions(PACKAGES),
    }
    write_provenance(staging, record)
