"""Which tokenizer belongs to a GLM's weights: search, rebuilding, and checks between the two.

The embedding table is the only witness: its rows are the tokens rounded up to a multiple of 128,
and a few rows tell which of the published variants a checkpoint was trained with.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from unblank.conversion.glm_tokenizer import GlmTokenizer, build_glm_tokenizer
from unblank.conversion.plan import PlannedTensor
from unblank.conversion.sentencepiece import read_sentencepiece
from unblank.conversion.source import Source
from unblank.conversion.vocabulary import PublishedVocabulary, find_vocabulary
from unblank.integrity import file_facts
from unblank.tokenization.special import SPECIAL_TOKENS, SpecialIds, special_ids

__all__ = ["FittedTokenizer", "fit_tokenizer"]

_ROWS_MULTIPLE = 128
"""The original programs round the rows up to a multiple of it, per model-parallel piece."""
_SHARED_GMASK_WIDTH = 4096
"""Only GLM-10B-Chinese was trained with one id for `[gMASK]` and `<|endofpiece|>`."""
EOP_BEHIND_PIECES, GMASK_BEHIND_PIECES = 7, 9
_ROBERTA_MASK_OF_PORT = 3
"""The port's `[MASK]` is that many ids after the trained one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTokenizer:
    """A tokenizer that was checked against the weights.

    Attributes:
        tokenizer: with the ids of training.
        fields: of the model's configuration: every special id, and the number of tokens.
        facts: for the report.
        traps: lines for the user.
    """

    tokenizer: PreTrainedTokenizerFast
    fields: dict[str, Any]
    facts: dict[str, Any]
    traps: tuple[str, ...]


def fit_tokenizer(
    source: Source, given: Path | None, table: PlannedTensor
) -> FittedTokenizer | None:
    """Return the tokenizer of a checkpoint; None if no vocabulary lies beside it.

    Args:
        source: the checkpoint.
        given: vocabulary of the user, file or folder; None looks beside the weights.
        table: the embedding table.

    Raises:
        FileNotFoundError: nothing at `given`.
        ValueError: damaged vocabulary files, or a vocabulary of another size than the table.
    """
    vocabulary = _find(source, given)
    if vocabulary is None:
        return None
    built = build_glm_tokenizer(vocabulary, gmask_is_eop=_gmask_is_eop(vocabulary, table))
    _check_size(source, vocabulary, built, table)
    ids = special_ids(built.tokenizer)
    traps = (*built.traps, f"padding and the end of a text are one token, {ids.pad}")
    if built.kind.startswith("RoBERTa") and source.settings is not None:
        traps = (*traps, _roberta_trap(ids, table))
    return FittedTokenizer(
        tokenizer=built.tokenizer,
        fields={f"{role}_token_id": getattr(ids, role) for role in SPECIAL_TOKENS}
        | {"tokenizer_size": len(built.tokenizer)},
        facts=_facts(vocabulary, built, ids, table),
        traps=traps,
    )


def _find(source: Source, given: Path | None) -> PublishedVocabulary | None:
    if given is not None:
        vocabulary = find_vocabulary(given)
        if vocabulary is None:
            raise FileNotFoundError(
                f"{given} has no vocabulary: expected vocab.txt, vocab.json with merges.txt, or "
                "a SentencePiece .model"
            )
        return vocabulary
    beside = source.path if source.path.is_dir() else source.folder
    return find_vocabulary(beside) or find_vocabulary(source.folder)


def _gmask_is_eop(vocabulary: PublishedVocabulary, table: PlannedTensor) -> bool:
    """Whether this is GLM-10B-Chinese as trained, not with the row that the port adds."""
    if vocabulary.kind != "sentencepiece" or table.shape[1] != _SHARED_GMASK_WIDTH:
        return False
    pieces = len(read_sentencepiece(vocabulary.files[0]).pieces)
    if table.shape[0] <= pieces + GMASK_BEHIND_PIECES:
        return True
    rows = table.read()[[pieces + EOP_BEHIND_PIECES, pieces + GMASK_BEHIND_PIECES]]
    return not torch.equal(rows[0], rows[1])


def _check_size(
    source: Source, vocabulary: PublishedVocabulary, built: GlmTokenizer, table: PlannedTensor
) -> None:
    tokens, rows = len(built.tokenizer), table.shape[0]
    spare = rows - tokens
    if not 0 <= spare < _ROWS_MULTIPLE * len(source.state_dicts):
        expected = -(-tokens // _ROWS_MULTIPLE) * _ROWS_MULTIPLE
        raise ValueError(
            f"{vocabulary.files[0]} ({built.kind}) has {tokens} tokens and needs an embedding "
            f"table of {expected} rows, but {source.path} has {rows}: give the vocabulary that "
            "these weights were trained with"
        )


def _roberta_trap(ids: SpecialIds, table: PlannedTensor) -> str:
    row = ids.mask + _ROBERTA_MASK_OF_PORT
    rows: Tensor = table.read()[[ids.mask, row]]
    same = "a copy of it" if torch.equal(rows[0], rows[1]) else "never trained as a mask"
    return f"row {row}, the port's [MASK], is {same}; here [MASK] is {ids.mask}"


def _facts(
    vocabulary: PublishedVocabulary, built: GlmTokenizer, ids: SpecialIds, table: PlannedTensor
) -> dict[str, Any]:
    tokenizer = built.tokenizer
    return {
        "kind": built.kind,
        "files": {path.name: file_facts(path) for path in vocabulary.files},
        "tokens": len(tokenizer),
        "rows": table.shape[0],
        "special_ids": {
            role: [tokenizer.convert_ids_to_tokens(getattr(ids, role)), getattr(ids, role)]
            for role in SPECIAL_TOKENS
        },
        "checks": [
            "every special token is one token with an id of its own",
            "the table has a row for every token, and no more spare rows than padding explains",
        ],
    }
