"""How likely a model finds whole sentences, in one of the layouts of `sentence_layouts`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from math import fsum
from pathlib import Path
from typing import Any

from unblank.evaluation.options import PairsOptions, SentenceScoring
from unblank.evaluation.origin import pretraining_settings
from unblank.evaluation.sentence_layouts import (
    Sentence,
    infilling_layouts,
    judged_layout,
    read_sentences,
    target_layouts,
)
from unblank.evaluation.session import Session
from unblank.evaluation.token_scores import TokenScores, score_labels, score_target_labels
from unblank.families.table import family_of_model
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.plurals import counted
from unblank.tokenization.special import BLANK_TOKENS

__all__ = ["SentenceScorer", "choose_scorings", "encode_sentences"]

_FRAME = 2
"""Number of tokens of a layout besides the text: [CLS], the end."""

_SENTENCES_AT_ONCE = 512
"""Number of sentences whose layouts are held in memory together."""

_SCORINGS: dict[str, tuple[SentenceScoring, ...]] = {
    "blanks": ("blanks", "gmask", "causal", "masked"),
    "targets": ("blanks",),
    "nothing": ("judged",),
}
"""What a family writes -> the scorings in which its models score sentences."""

_TRAINED: dict[str, SentenceScoring] = {
    "token": "blanks",
    "masked": "masked",
    "causal": "causal",
    "mixed_masks": "masked",
    "fill_in_the_middle": "causal",
    "diffusion": "masked",
    "document": "gmask",
    "sentence": "gmask",
}
"""Objective -> the scoring that it trains."""


@dataclass(frozen=True, slots=True)
class SentenceScorer:
    """Scores sentences in one way.

    Attributes:
        layouts: sentence -> what the model reads.
        score: layouts -> the scores of their labels.
    """

    layouts: Callable[[Sentence], Sequence[Any]]
    score: Callable[[Sequence[Any]], list[TokenScores]]

    @classmethod
    def of(cls, session: Session[PairsOptions], scoring: SentenceScoring) -> "SentenceScorer":
        """Return the scorer of a session's model.

        Args:
            session: the model and the settings.
            scoring: one that the model has, see `choose_scorings`.
        """
        model, folder = session.model, Path(session.options.model)
        family = family_of_model(model)
        special = family.special_ids(session.tokenizer)
        if family.writes == "targets":
            names = {field.name for field in fields(Seq2SeqSettings)}
            section = pretraining_settings(folder, "seq2seq")
            known = {name: value for name, value in section.items() if name in names}
            settings = Seq2SeqSettings(**known)
            if settings.span_corruption and not special.sentinels:
                raise ValueError(
                    f"{folder} cannot score a sentence: a {family.name} predicts a hidden word "
                    "behind a sentinel, and this vocabulary has none"
                )
            return cls(
                lambda one: target_layouts(one, special, settings),
                partial(score_target_labels, model),
            )
        if family.writes == "nothing":
            return cls(
                lambda one: judged_layout(one, special),
                partial(score_labels, model, head=model.head),
            )
        has_sentinels = pretraining_settings(folder, "objective").get("sentinels", False)
        position = model.config.max_position_embeddings if has_sentinels else None
        blank = session.options.blank
        blank_id = blank and special.blanks[BLANK_TOKENS.index(blank)]
        return cls(
            lambda one: infilling_layouts(
                one, special, scoring, blank=blank_id, sentinel_position=position
            ),
            partial(score_labels, model),
        )

    def __call__(
        self, sentences: Sequence[Sentence], advance: Callable[[int], object]
    ) -> list[float]:
        """Return the log-probability, or pseudo-log-likelihood, of each sentence.

        Args:
            sentences: each of at least one token.
            advance: called with the number of sentences done, for a progress bar.
        """
        totals: list[float] = []
        for start in range(0, len(sentences), _SENTENCES_AT_ONCE):
            chunk = [self.layouts(one) for one in sentences[start : start + _SENTENCES_AT_ONCE]]
            found = iter(self.score([layout for group in chunk for layout in group]))
            totals += [fsum(next(found).total for _ in group) for group in chunk]
            advance(len(chunk))
        return totals


def choose_scorings(
    session: Session[PairsOptions], asked: Sequence[SentenceScoring]
) -> tuple[SentenceScoring, ...]:
    """Return how sentences are scored, and say it where they were not asked for.

    Raises:
        ValueError: the model's family has no such scoring.
    """
    family = family_of_model(session.model)
    allowed = _SCORINGS[family.writes]
    for scoring in asked:
        if scoring not in allowed:
            raise ValueError(
                f"by is {scoring}, but a {family.name} scores a sentence by {', '.join(allowed)}"
            )
    if asked:
        return tuple(asked)
    if len(allowed) == 1:
        session.say(f"sentences are scored by {allowed[0]}, the only way of a {family.name}")
        return allowed
    objective = pretraining_settings(Path(session.options.model), "objective")
    weights: dict[SentenceScoring, float] = {}
    for name, scoring in _TRAINED.items():
        weights[scoring] = weights.get(scoring, 0.0) + objective.get(name, 0.0)
    if not any(weights.values()):
        session.say(
            "sentences are scored by blanks, as the folder does not say how the model was "
            "pretrained; to choose: --by"
        )
        return ("blanks",)
    best = max(weights, key=weights.__getitem__)
    session.say(f"sentences are scored by {best}, as the model was pretrained; to choose: --by")
    return (best,)


def encode_sentences(
    session: Session[PairsOptions], texts: Sequence[str], places: Sequence[str]
) -> list[Sentence | None]:
    """Return the tokens of each text, None where it is too long for the model.

    Raises:
        ValueError: a text without a token in this vocabulary, or all are too long.
    """
    sentences = read_sentences(session.tokenizer, texts)
    for text, sentence, place in zip(texts, sentences, places, strict=True):
        if not len(sentence.token_ids):
            raise ValueError(f"{place}: {text!r} has no token in this vocabulary: leave it out")
    most = session.num_positions - _FRAME
    shortest = min(len(sentence.token_ids) for sentence in sentences)
    if shortest > most:
        raise ValueError(
            f"all sentences are too long: the shortest has {counted(shortest, 'token')}, but the "
            f"model takes at most {most}"
        )
    return [sentence if len(sentence.token_ids) <= most else None for sentence in sentences]
