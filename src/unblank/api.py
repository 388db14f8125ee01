"""`unblank.load(folder)`: a model and its tokenizer, ready to fill and to score."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, cast, overload

import torch

from unblank.adapters.opening import load_adapted
from unblank.adapters.record import has_adapter
from unblank.generation.config import DecodingKeywords, DecodingOptions
from unblank.generation.infill import Filler
from unblank.generation.loading import load_folder
from unblank.generation.prompts import encode_candidate, read_text
from unblank.generation.results import CandidateScore, FillResult, Scores, TokenEvent
from unblank.generation.score import Cloze, score_batch
from unblank.models import GlmInfillForConditionalGeneration
from unblank.tokenization.special import special_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Unblank", "load"]


class Unblank:
    """A model with its tokenizer.

    Attributes:
        model: the transformers model, in evaluation mode.
        tokenizer: its tokenizer.

    Example:
        >>> import unblank
        >>> unblank.load("runs/demo").fill("The cat [MASK] on the mat.").text  # doctest: +SKIP
        'The cat sat on the mat.'
    """

    def __init__(
        self, model: GlmInfillForConditionalGeneration, tokenizer: "PreTrainedTokenizerFast"
    ) -> None:
        rows = model.config.vocab_size
        if len(tokenizer) > rows:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens but the model's embedding table only "
                f"{rows} rows: this tokenizer does not belong to these weights"
            )
        self.model = model.eval()
        self.tokenizer = tokenizer

    @overload
    def fill(
        self,
        text: str,
        *,
        order: Sequence[int] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingKeywords],
    ) -> FillResult: ...

    @overload
    def fill(
        self,
        text: list[str],
        *,
        order: Sequence[int] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingKeywords],
    ) -> list[FillResult]: ...

    def fill(
        self,
        text: str | list[str],
        *,
        order: Sequence[int] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingKeywords],
    ) -> FillResult | list[FillResult]:
        """Return the text, or texts, with every blank filled.

        `[MASK]`, `[sMASK]` and `[gMASK]` in the text are blanks of unknown length. They are filled
        one after another, and each answer conditions the next.

        Args:
            text: one text, or several.
            order: blanks, counted from 0, in the order of filling; None is left to right.
            batch_size: texts decoded together; it does not change a result.
            **options: fields of `unblank.generation.config.DecodingOptions`; greedy without any.

        Raises:
            ValueError: no blank, a text longer than the model's positions, or options that do not
                go together.
            TypeError: an option that does not exist.
        """
        filler = Filler(self.model, self.tokenizer, _decoding_options(options))
        texts = [text] if isinstance(text, str) else list(text)
        results = filler.fill(texts, order=order, batch_size=batch_size)
        return results[0] if isinstance(text, str) else results

    def fill_stream(
        self,
        text: str,
        *,
        order: Sequence[int] | None = None,
        **options: Unpack[DecodingKeywords],
    ) -> Iterator[TokenEvent | FillResult]:
        """Yield a `TokenEvent` for every token as it is chosen, and at last the `FillResult`.

        Args:
            text: with at least one blank.
            order: as for `fill`.
            **options: as for `fill`; greedy decoding and sampling only.

        Raises:
            ValueError: as for `fill`, and for beam search.
        """
        filler = Filler(self.model, self.tokenizer, _decoding_options(options))
        return filler.stream(text, order=order)

    @overload
    def score(
        self,
        text: str,
        candidates: list[str],
        *,
        blank: int = 0,
        normalization: Literal["sum", "mean"] = "sum",
        include_end: bool = True,
        context: Literal["bi", "uni"] = "bi",
    ) -> Scores: ...

    @overload
    def score(
        self,
        text: list[str],
        candidates: list[list[str]],
        *,
        blank: int = 0,
        normalization: Literal["sum", "mean"] = "sum",
        include_end: bool = True,
        context: Literal["bi", "uni"] = "bi",
    ) -> list[Scores]: ...

    def score(
        self,
        text: str | list[str],
        candidates: list[str] | list[list[str]],
        *,
        blank: int = 0,
        normalization: Literal["sum", "mean"] = "sum",
        include_end: bool = True,
        context: Literal["bi", "uni"] = "bi",
    ) -> Scores | list[Scores]:
        """Return the log-probability of each candidate for a blank, all in one forward.

        Args:
            text: one text, or several; other blanks in it stay blank.
            candidates: answers of any lengths; for several texts a list for each.
            blank: which blank of the text, counted from 0.
            normalization: "sum" over a candidate's tokens, or their "mean".
            include_end: count the probability that the candidate ends where it does.
            context: "bi", or "uni" for a text that sees only backwards.

        Raises:
            ValueError: no such blank, a text or candidate that is too long, or a candidate that is
                empty, given twice or itself holds a blank.
        """
        texts = [text] if isinstance(text, str) else text
        answers = cast("list[list[str]]", [candidates] if isinstance(text, str) else candidates)
        if len(texts) != len(answers) or not all(_is_list_of_strings(given) for given in answers):
            raise ValueError(
                "one text takes a list of candidates, and a list of texts a list of such lists"
            )
        clozes = [self._cloze(one, given, blank) for one, given in zip(texts, answers, strict=True)]
        special = special_ids(self.tokenizer)
        with torch.inference_mode():
            scores = score_batch(
                self.model,
                clozes,
                sop_id=special.sop,
                end_id=special.eop if include_end else None,
                normalization=normalization,
                context=context,
            )
        results = [
            _scores(given, cloze, found)
            for given, cloze, found in zip(answers, clozes, scores, strict=True)
        ]
        return results[0] if isinstance(text, str) else results

    def _cloze(self, text: str, candidates: list[str], blank: int) -> Cloze:
        limit = self.model.config.max_position_embeddings
        blanked = read_text(self.tokenizer, special_ids(self.tokenizer), text, max_positions=limit)
        places = blanked.prompt.blanks
        if not 0 <= blank < len(places):
            raise ValueError(f"blank is {blank}, but {text!r} has blanks 0 to {len(places) - 1}")
        token_ids = [
            encode_candidate(self.tokenizer, blanked.parts, blank, candidate)
            for candidate in candidates
        ]
        # Position 0 inside the span is that of the text, and [sop] takes position 1.
        _require_positions(candidates, token_ids, limit - 1)
        return Cloze(blanked.prompt.token_ids, places[blank], token_ids)


def load(
    folder: str | Path, *, device: str = "auto", dtype: str | torch.dtype | None = None
) -> Unblank:
    """Return the model and tokenizer of a folder, ready to use.

    Args:
        folder: as written by pretraining, fine-tuning, conversion or `save_pretrained`; trained
            prompts and adapters open with the base model that they belong to.
        device: "auto" (a GPU if there is one), or a torch device name.
        dtype: "fp32", "bf16", "fp16" or a torch dtype; None is as saved.

    Raises:
        FileNotFoundError: no such folder, or files of a model are missing from it.
        ValueError: another kind of model, damaged files, or a tokenizer, dtype or device that does
            not fit.
    """
    load_any = load_adapted if has_adapter(Path(folder)) else load_folder
    return Unblank(*load_any(Path(folder), device=device, dtype=dtype))


def _require_positions(
    candidates: Sequence[str], token_ids: Sequence[Sequence[int]], limit: int
) -> None:
    for text, ids in zip(candidates, token_ids, strict=True):
        if len(ids) > limit:
            raise ValueError(
                f"candidate {text[:60]!r} has {len(ids)} tokens, but the model has positions for "
                f"{limit} in a blank: shorten it"
            )


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _decoding_options(options: DecodingKeywords) -> DecodingOptions:
    for name in options:
        if name not in DecodingOptions.__dataclass_fields__:
            near = get_close_matches(name, DecodingOptions.__dataclass_fields__) or list(
                DecodingOptions.__dataclass_fields__
            )
            raise TypeError(f"no decoding option {name!r}; did you mean {', '.join(near)}?")
    return DecodingOptions(**options)


def _scores(candidates: Sequence[str], cloze: Cloze, scores: torch.Tensor) -> Scores:
    return Scores(
        tuple(
            CandidateScore(text, tuple(token_ids), score, probability)
            for text, token_ids, score, probability in zip(
                candidates,
                cloze.candidates,
                scores.tolist(),
                torch.softmax(scores, dim=0).tolist(),
                strict=True,
            )
        )
    )
