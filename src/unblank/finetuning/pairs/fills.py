"""Pairs of a text with several blanks and one answer for each, for a GLM.

The target of such a pair is the list of its answers, and what is written for it is the whole text
with its blanks filled. Answers of a text are one text of token ids, with `eop` between two of them.
"""

import re
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from transformers import PreTrainedTokenizerFast

from unblank.finetuning.pairs.encoded import EncodedPairs, TokenTable
from unblank.finetuning.pairs.text import TextPair
from unblank.finetuning.settings import PairSettings
from unblank.plurals import counted
from unblank.tokenization.encoding import encode_texts, encode_with_blanks
from unblank.tokenization.source_layout import glm_part_a
from unblank.tokenization.special import BLANK_TOKENS, SpecialIds

__all__ = ["encode_fills", "num_blanks"]

_BLANK = re.compile("|".join(map(re.escape, BLANK_TOKENS)))


def num_blanks(text: str) -> int:
    """Return how many blanks a text has."""
    return len(_BLANK.findall(text))


def _filled_text(text: str, answers: Sequence[str]) -> str:
    """Return a text with an answer in each of its blanks.

    Example:
        >>> _filled_text("a [MASK] dog [MASK].", ["small", "ran"])
        'a small dog ran.'
    """
    parts = zip_longest(_BLANK.split(text), answers, fillvalue="")
    return "".join(part for pair in parts for part in pair)


def encode_fills(
    pairs: Sequence[TextPair],
    tokenizer: PreTrainedTokenizerFast,
    special: SpecialIds,
    settings: PairSettings,
) -> EncodedPairs:
    """Return texts with blanks and their answers as token ids.

    What is too long is refused, or skipped: nothing of such a pair can be cut.

    Args:
        pairs: each with as many targets as its source has blanks, and at least one.
        tokenizer: of the model.
        special: its special tokens.
        settings: lengths.

    Raises:
        ValueError: another number of targets, a text that is too long, or none that fits; the
            message names file and line.
    """
    kept: list[TextPair] = []
    sources: list[tuple[int, ...]] = []
    targets: list[list[int]] = []
    for pair in pairs:
        _require_as_many(pair)
        source = glm_part_a(encode_with_blanks(tokenizer, pair.source), special)
        answers = encode_texts(tokenizer, [f" {answer}" for answer in pair.targets])
        target = [i for answer in answers for i in (*answer, special.eop)][:-1]
        problem = _too_long("source", len(source), settings.max_source_length)
        problem = problem or _too_long("target", len(target) + 1, settings.max_target_length)
        if problem:
            if settings.too_long != "skip":
                raise ValueError(
                    f"{pair.place}: {problem}: shorten it, raise the limit, or leave it out "
                    "(--seq2seq.too-long skip); a text with several blanks is not cut"
                )
            continue
        kept.append(pair)
        sources.append(source)
        targets.append(target)
    if not kept:
        raise ValueError(
            f"every pair from {pairs[0].place} on is too long: raise seq2seq.max_source_length or "
            "seq2seq.max_target_length"
        )
    return EncodedPairs(
        sources=TokenTable.of(sources),
        targets=TokenTable.of(targets),
        owners=np.arange(len(kept), dtype=np.int64),
        texts=tuple(pair.source for pair in kept),
        references=tuple((_filled_text(pair.source, pair.targets),) for pair in kept),
        places=tuple(pair.place for pair in kept),
        num_cut_sources=0,
        num_cut_targets=0,
        num_skipped=len(pairs) - len(kept),
        is_filled=True,
    )


def _require_as_many(pair: TextPair) -> None:
    blanks = num_blanks(pair.source)
    if blanks != len(pair.targets):
        raise ValueError(
            f"{pair.place}: the source has {counted(blanks, 'blank')} and the target is a list of "
            f"{counted(len(pair.targets), 'text')}: where sources have several blanks, give an "
            "answer for each"
        )


def _too_long(side: str, length: int, limit: int) -> str:
    if length <= limit:
        return ""
    return f"the {side} has {length} tokens, but seq2seq.max_{side}_length is {limit}"
