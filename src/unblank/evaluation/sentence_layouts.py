"""What a model reads to score a whole sentence: one layout a blank, or one for all of it.

Pure functions on token ids, all of them made by the layouts of pretraining. The log-probabilities
of the labels of a sentence's layouts are added up: with one layout that is the log-probability of
the sentence, with a blank for each word its pseudo-log-likelihood (Salazar et al. 2020), in which a
word's tokens are predicted from left to right and never seen before (Kauf and Ivanova 2023).

Shapes: `N` text ids, `M` words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from unblank.evaluation.left_to_right import continuation_layout
from unblank.evaluation.options import SentenceScoring
from unblank.examples import IGNORE_INDEX, Example, IntArray, Seq2SeqExample
from unblank.objectives.infilling import blank_layout
from unblank.objectives.masked import masked_layout
from unblank.objectives.seq2seq_context import Seq2SeqContext
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.objectives.span_corruption import corrupt
from unblank.tokenization.special import SpecialIds

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "Sentence",
    "infilling_layouts",
    "judged_layout",
    "read_sentences",
    "target_layouts",
]

_ORIGINAL = 1
"""Class of an original token, of a model that tells replaced ones."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as token ids.

    Attributes:
        token_ids: int64[N], of the text alone.
        words: int64[M, 2], [start, end) of the tokens of each word.
    """

    token_ids: IntArray
    words: IntArray


def read_sentences(tokenizer: "PreTrainedTokenizerFast", texts: Sequence[str]) -> list[Sentence]:
    """Return the tokens and words of each text; no text gives none.

    Words are what the tokenizer cuts into tokens: punctuation is a word of its own where the
    tokenizer separates it. Where it separates nothing, as in a script without spaces, each token
    is a word.
    """
    encoded = tokenizer(
        list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    sentences = []
    for number, ids in enumerate(encoded["input_ids"]):
        names = encoded.word_ids(number)
        starts = (
            [0, *(np.flatnonzero(np.diff(names)) + 1)] if set(names) != {0} else range(len(ids))
        )
        bounds = np.array([*starts, len(ids)] if ids else [0], np.int64)
        words = np.stack([bounds[:-1], bounds[1:]], axis=1)
        sentences.append(Sentence(np.array(ids, np.int64), words))
    return sentences


def infilling_layouts(
    sentence: Sentence,
    special: SpecialIds,
    scoring: SentenceScoring,
    *,
    blank: int | None,
    sentinel_position: int | None,
) -> list[Example]:
    """Return what a model on GLM's stack reads.

    Args:
        sentence: of at least one token.
        special: ids of the special tokens.
        scoring: how it is scored.
        blank: the token that "gmask" begins with; None for `[gMASK]`.
        sentinel_position: "blanks": mark a blank by the first sentinel and give its words this
            position, as `objective.sentinels` does; None for an ordinary blank.
    """
    if scoring in ("gmask", "causal"):
        context: Literal["bi", "causal"] = "bi" if scoring == "gmask" else "causal"
        ids = sentence.token_ids.tolist()
        return [continuation_layout([], ids, special, context=context, blank=blank)]
    text = np.array([*special.start, *sentence.token_ids, special.eos], np.int64)
    words = sentence.words + len(special.start)
    if scoring == "masked":
        return [_one_masked(text, at, end, special) for s, end in words for at in range(s, end)]
    has_sentinel = sentinel_position is not None
    marks = special.sentinels[0] if has_sentinel else special.mask
    return [
        blank_layout(
            text,
            word[None],
            mask_ids=marks,
            sop=marks if has_sentinel else special.sop,
            eop=special.eop,
            objective="blanks",
            piece_position=sentinel_position,
        )
        for word in words
    ]


def judged_layout(sentence: Sentence, special: SpecialIds) -> list[Example]:
    """Return what a discriminator reads: the text as it is, each token labelled as original.

    Args:
        sentence: of at least one token.
        special: ids of the special tokens.
    """
    text = np.array([*special.start, *sentence.token_ids, special.eos], np.int64)
    places = np.arange(len(special.start), len(text) - 1)
    example = masked_layout(text, places, text[places])
    example.labels[places] = _ORIGINAL
    return [example]


def target_layouts(
    sentence: Sentence, special: SpecialIds, settings: Seq2SeqSettings
) -> list[Seq2SeqExample]:
    """Return what an encoder-decoder reads and predicts: each word hidden in turn.

    Args:
        sentence: of at least one token.
        special: ids of the special tokens of an encoder-decoder.
        settings: how the model was pretrained; the objective of the greatest weight is asked.

    Raises:
        ValueError: span corruption without sentinels in the vocabulary.
    """
    weights = settings.weights()
    hide = _HIDERS[max(weights, key=weights.__getitem__)]
    text = np.array([*special.start, *sentence.token_ids, special.eos], np.int64)
    return [
        hide(text, int(start), int(end), special, settings)
        for start, end in sentence.words + len(special.start)
    ]


def _behind_sentinel(
    text: IntArray, start: int, end: int, special: SpecialIds, settings: Seq2SeqSettings
) -> Seq2SeqExample:
    nothing = np.empty(0, np.int64)
    context = Seq2SeqContext(
        settings=settings,
        special=special,
        sentence_end=nothing.astype(np.bool_),
        ordinary_ids=nothing,
    )
    example = corrupt(text, np.array([[start, end]]), context, "blanks")
    example.labels[example.labels == special.sentinels[0]] = IGNORE_INDEX
    return example


def _in_whole_text(
    text: IntArray, start: int, end: int, special: SpecialIds, settings: Seq2SeqSettings
) -> Seq2SeqExample:
    """Score the word where the decoder writes the whole text, as BART and mBART do."""
    source = np.concatenate([text[:start], [special.mask], text[end:]])
    target = text[len(special.start) :]
    labels = np.full(len(target), IGNORE_INDEX, np.int64)
    labels[start - len(special.start) : end - len(special.start)] = text[start:end]
    return Seq2SeqExample(source, np.append(special.sop, target[:-1]), labels, "blanks")


def _as_fragment(
    text: IntArray, start: int, end: int, special: SpecialIds, settings: Seq2SeqSettings
) -> Seq2SeqExample:
    """Hide each token of the word, as MASS does."""
    source, word = text.copy(), text[start:end].copy()
    source[start:end] = special.mask
    return Seq2SeqExample(source, np.append(special.sop, word[:-1]), word, "blanks")


_HIDERS = {
    "span_corruption": _behind_sentinel,
    "denoising": _in_whole_text,
    "mass": _as_fragment,
}
"""Objective of an encoder-decoder -> what hides a word."""


def _one_masked(text: IntArray, place: int, end: int, special: SpecialIds) -> Example:
    """Score one token; what follows it in its word is hidden, too."""
    example = masked_layout(text, np.arange(place, end), special.mask)
    example.labels[place + 1 : end] = IGNORE_INDEX
    return example
