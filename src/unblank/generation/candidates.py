"""Candidates for a blank, or for what answers a source, scored: from strings to results."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from unblank.calibration.maps import tempered
from unblank.calibration.record import LabelCalibration
from unblank.families.table import family_of_model
from unblank.generation.options import GenerationOptions
from unblank.generation.passages import Passage, behind_passage, log_weights, mix_passages
from unblank.generation.priors import Prior, without_prior
from unblank.generation.prompts import encode_candidate, read_text
from unblank.generation.results import CandidateScore, Scores
from unblank.generation.score import Cloze, score_batch
from unblank.generation.sources import read_sources
from unblank.generation.target_score import score_targets
from unblank.plurals import numbered
from unblank.settings.choices import Context, Normalization
from unblank.settings.ranges import NotNegative, check_values
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import MASK_TOKEN, special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["CandidateScorer", "ScoringOptions"]

_NO_SOURCE = "N/A"
"""The usual source without content, one of those of Zhao et al. 2021."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoringOptions:
    """How candidates are scored; see `Unblank.score`."""

    blank: NotNegative[int] = 0
    normalization: Normalization = "sum"
    content_free: tuple[str, ...] = ()
    include_end: bool = True
    context: Context = "bi"
    source_tag: str | None = None

    def __post_init__(self) -> None:
        check_values(self)
        if self.content_free and not self.has_prior:
            raise ValueError(
                f"content_free has no effect with the normalization {self.normalization!r}: choose "
                "pmi or contextual, or leave it out"
            )

    @property
    def has_prior(self) -> bool:
        """Whether what texts without content say is taken off."""
        return self.normalization in ("pmi", "contextual")

    @property
    def of_tokens(self) -> Literal["sum", "mean"]:
        """How the log-probabilities of a candidate's tokens are joined."""
        return "mean" if self.normalization == "mean" else "sum"

    def asked(self, candidates: Sequence[str] = ()) -> Mapping[str, Any]:
        """Return what makes scores what they are, as plain values.

        Args:
            candidates: of every text; none where each has its own.
        """
        return asdict(self) | {
            "content_free": list(self.content_free),
            "candidates": sorted(candidates),
        }


class CandidateScorer:
    """Scores candidates with one model, tokenizer and set of options.

    Args:
        model: a GLM, or an encoder-decoder with its head.
        tokenizer: its tokenizer.
        options: how to score.
        calibration: of the shares of candidates; None if there is none for these options.

    Raises:
        ValueError: options that do not apply to the model.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: "PreTrainedTokenizerFast",
        options: ScoringOptions,
        calibration: LabelCalibration | None = None,
    ) -> None:
        self._model, self._tokenizer, self._options = model, tokenizer, options
        self._calibration = calibration
        self._writes_targets = family_of_model(model).writes == "targets"
        if self._writes_targets and (options.blank, options.context) != (0, "bi"):
            raise ValueError(
                "blank and context apply to a GLM only: leave them out for an encoder-decoder"
            )
        if not self._writes_targets and options.source_tag is not None:
            raise ValueError(
                "source_tag applies to an encoder-decoder only: leave it out for a GLM"
            )

    def score(self, texts: Sequence[str], candidates: Sequence[Sequence[str]]) -> list[Scores]:
        """Return the scores of each text's candidates, in the order given.

        Raises:
            ValueError: no such blank or tag, a text or candidate that is too long, or a candidate
                that is empty, given twice or itself holds a blank.
        """
        pairs = zip(texts, candidates, strict=True)
        if self._writes_targets:
            return [self._of_source(text, given) for text, given in pairs]
        clozes = [self._cloze(text, given) for text, given in pairs]
        found = self._of_clozes(clozes)
        if self._options.has_prior:
            found = self._without_prior(clozes, found)
        return [
            self._result(given, cloze.candidates, scores_C)
            for given, cloze, scores_C in zip(candidates, clozes, found, strict=True)
        ]

    def score_with_passages(
        self, text: str, candidates: Sequence[str], passages: Sequence[Passage]
    ) -> Scores:
        """Return the scores of candidates over passages, all in one forward; uncalibrated.

        Raises:
            ValueError: as for `score`, or a normalization with a prior.
        """
        if self._options.has_prior:
            raise ValueError(
                f"the normalization {self._options.normalization!r} cannot be combined with "
                "passages: choose sum or mean"
            )
        plain = replace(self._options, normalization="sum")
        scorer = CandidateScorer(self._model, self._tokenizer, plain)
        joined = [behind_passage(one.text, text) for one in passages]
        of_passages = scorer.score(joined, [candidates] * len(joined))
        token_ids = [one.token_ids for one in of_passages[0].candidates]
        total_C = mix_passages(
            [torch.tensor([one.score for one in found.candidates]) for found in of_passages],
            log_weights(passages),
        )
        if self._options.normalization == "mean":
            total_C /= torch.tensor([len(ids) + plain.include_end for ids in token_ids])
        return scorer._result(candidates, token_ids, total_C)

    def _of_source(self, source: str, candidates: Sequence[str]) -> Scores:
        positions = self._model.config.max_position_embeddings
        token_ids = encode_texts(self._tokenizer, list(candidates)) if candidates else []
        # The decoder's start token takes the first position.
        _require_positions(candidates, token_ids, positions - 1)
        scores_C = self._of_targets(source, token_ids)
        if self._options.has_prior:
            free = [
                self._of_targets(one, token_ids)
                for one in self._options.content_free or (_NO_SOURCE,)
            ]
            scores_C = without_prior(scores_C, free, self._prior)
        return self._result(candidates, token_ids, scores_C)

    def _of_targets(self, source: str, token_ids: Sequence[Sequence[int]]) -> Tensor:
        config = self._model.config
        options = GenerationOptions(source_tag=self._options.source_tag)
        (read,) = read_sources(config, self._tokenizer, [source], options)
        with torch.inference_mode():
            return score_targets(
                self._model,
                read.prompt.token_ids,
                token_ids,
                end_id=config.eos_token_id if self._options.include_end else None,
                normalization=self._options.of_tokens,
            )

    def _of_clozes(self, clozes: Sequence[Cloze]) -> list[Tensor]:
        special = special_ids(self._tokenizer)
        with torch.inference_mode():
            return score_batch(
                self._model,
                clozes,
                sop_id=special.sop,
                end_id=special.eop if self._options.include_end else None,
                normalization=self._options.of_tokens,
                context=self._options.context,
            )

    def _without_prior(self, clozes: Sequence[Cloze], found: Sequence[Tensor]) -> list[Tensor]:
        """Return the scores without those of the same tokens in texts without content."""
        bare = [self._cloze(one, ()) for one in self._options.content_free or (MASK_TOKEN,)]
        keys = [tuple(map(tuple, cloze.candidates)) for cloze in clozes]
        different = list(dict.fromkeys(keys))
        asked = [replace(one, candidates=key) for key in different for one in bare]
        free = self._of_clozes(asked)
        of_key = {
            key: free[number * len(bare) : (number + 1) * len(bare)]
            for number, key in enumerate(different)
        }
        return [
            without_prior(scores_C, of_key[key], self._prior)
            for scores_C, key in zip(found, keys, strict=True)
        ]

    @property
    def _prior(self) -> Prior:
        return "pmi" if self._options.normalization == "pmi" else "contextual"

    def _cloze(self, text: str, candidates: Sequence[str]) -> Cloze:
        limit = self._model.config.max_position_embeddings
        tokenizer, blank = self._tokenizer, self._options.blank
        blanked = read_text(tokenizer, special_ids(tokenizer), text, max_positions=limit)
        places = blanked.prompt.blanks
        if blank >= len(places):
            raise ValueError(f"blank is {blank}, but {text!r} has {numbered(len(places), 'blank')}")
        token_ids = [encode_candidate(tokenizer, blanked.parts, blank, one) for one in candidates]
        # Position 0 inside the span is that of the text, and [sop] takes position 1.
        _require_positions(candidates, token_ids, limit - 1)
        return Cloze(blanked.prompt.token_ids, places[blank], token_ids)

    def _result(
        self, candidates: Sequence[str], token_ids: Sequence[Sequence[int]], scores_C: Tensor
    ) -> Scores:
        shares = torch.softmax(scores_C, dim=0).tolist()
        source = ""
        if self._calibration is not None and _is_of(self._calibration, candidates):
            shares = tempered(shares, self._calibration.temperature).tolist()
            source = str(self._calibration.source)
        rows = zip(candidates, token_ids, scores_C.tolist(), shares, strict=True)
        return Scores(
            tuple(
                CandidateScore(text, tuple(ids), score, share) for text, ids, score, share in rows
            ),
            source,
        )


def _is_of(calibration: LabelCalibration, candidates: Sequence[str]) -> bool:
    """Whether it was learned with these candidates, or with any that records brought."""
    listed = calibration.asked.get("candidates")
    return not listed or set(listed) == set(candidates)


def _require_positions(
    candidates: Sequence[str], token_ids: Sequence[Sequence[int]], limit: int
) -> None:
    for text, ids in zip(candidates, token_ids, strict=True):
        if len(ids) > limit:
            raise ValueError(
                f"candidate {text[:60]!r} has {len(ids)} tokens, but a blank of this model takes "
                f"at most {limit}: shorten it"
            )
