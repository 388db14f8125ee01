"""What the rows of an embedding table stand for, and the tokenizer and ids that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerFast

from unblank.conversion.fairseq_tokenizer import (
    MASK,
    TokenRows,
    build_tokenizer,
    find_vocabulary_files,
    name_rows,
)
from unblank.conversion.options import ConvertOptions
from unblank.conversion.source import Source
from unblank.plurals import counted, numbered

__all__ = ["fit_rows"]

_PUBLISHED_TOKENS = 250001
"""Size of XLM-R's dictionary, which the published multilingual models share."""
_PUBLISHED_ROWS = 250104
"""Rows of those models, which add `<mask>`, 100 sentinels and two fillers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedRows:
    """What a family needs to know of the vocabulary.

    Attributes:
        num_rows: rows of the table to keep.
        num_new: rows to add after them.
        fields: of the model's configuration.
        tokenizer: None without a file that cuts text.
        facts: for the report.
        traps: lines for the user.
        evidence: lines for the user.
    """

    num_rows: int
    num_new: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    tokenizer: PreTrainedTokenizerFast | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    traps: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


def fit_rows(
    source: Source,
    options: ConvertOptions,
    num_rows: int,
    *,
    arguments: Mapping[str, Any] | None = None,
    has_mask: bool = False,
) -> FittedRows:
    """Return what the rows of a checkpoint's table stand for.

    Args:
        source: vocabulary files are looked for beside it.
        options: of the user.
        num_rows: of the stored table.
        arguments: recorded ones, which may name languages.
        has_mask: a mask comes alone after the dictionary, as in RoBERTa.

    Raises:
        FileNotFoundError: no vocabulary where the user said.
        ValueError: damaged files, or files that do not belong to these weights.
    """
    num_rows = num_rows if options.vocab_size is None else options.vocab_size
    files = find_vocabulary_files(options.tokenizer, source.folder)
    tokens = files.tokens()
    if tokens is None:
        return _without_files(num_rows, options.language_tags)
    tags = options.language_tags or _recorded_tags(arguments or {}, num_rows - len(tokens))
    rows = name_rows(tokens, num_rows, tags=tags, has_mask=has_mask)
    fields = {
        "vocab_size": num_rows + rows.num_new,
        "tokenizer_size": len(rows.names),
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "unk_token_id": 3,
        "decoder_start_token_id": rows.ids["</s>"],
        "mask_token_id": rows.ids.get(MASK),
    }
    traps = [_about_tags(rows)] if rows.tags else []
    if files.pieces is None and files.ready is None:
        traps.append(
            f"{files.dictionary.name if files.dictionary else 'dict.txt'} numbers tokens but "
            "cannot split text into them: give --tokenizer a folder that also has the "
            "SentencePiece model (spm.model, sentencepiece.bpe.model)"
        )
        return FittedRows(
            num_rows=num_rows, num_new=rows.num_new, fields=fields,
            facts={"kind": "none: there is only a dictionary", "rows": list(rows.evidence)},
            traps=tuple(traps), evidence=rows.evidence,
        )  # fmt: skip
    tokenizer, facts = build_tokenizer(files, rows)
    return FittedRows(
        num_rows=num_rows, num_new=rows.num_new, fields=fields, tokenizer=tokenizer, facts=facts,
        traps=tuple(traps), evidence=rows.evidence,
    )  # fmt: skip


def _without_files(num_rows: int, language_tags: tuple[str, ...]) -> FittedRows:
    if language_tags:
        raise ValueError(
            "language tags come after all other tokens, whose number is unknown without dict.txt "
            "or a tokenizer: give --tokenizer"
        )
    fields: dict[str, Any] = {"vocab_size": num_rows}
    evidence: tuple[str, ...] = ()
    if num_rows == _PUBLISHED_ROWS:
        fields["mask_token_id"] = _PUBLISHED_TOKENS
        evidence = (f"{num_rows} rows, as published: {MASK} is row {_PUBLISHED_TOKENS}",)
    return FittedRows(num_rows=num_rows, fields=fields, evidence=evidence)


def _recorded_tags(arguments: Mapping[str, Any], num_left: int) -> tuple[str, ...]:
    """Return the language tags that fairseq's multilingual tasks appended to the dictionary."""
    languages = arguments.get("langs")
    if isinstance(languages, str):
        languages = languages.split(",")
    if not languages or num_left < len(languages):
        return ()
    return tuple(f"__{language.strip()}__" for language in languages)


def _about_tags(rows: TokenRows) -> str:
    first = rows.ids[rows.tags[0]]
    last = f"the last {counted(rows.num_new, 'row')}" if rows.num_new > 1 else "the last row"
    new = f"; {last} must still be trained" if rows.num_new else ""
    return f"language tags: {numbered(len(rows.tags), 'token', first=first)}{new}"
