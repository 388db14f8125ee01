"""`unblank.load(folder)`: a model and its tokenizer, ready to fill, to write and to score."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

import torch

from unblank.adapters.opening import load_adapted
from unblank.adapters.record import has_adapter
from unblank.families.loading import LanguageModel, load_folder
from unblank.families.table import family_of_model
from unblank.generation.infill import Filler
from unblank.generation.options import (
    DecodingArguments,
    DecodingOptions,
    GenerationArguments,
    GenerationOptions,
)
from unblank.generation.passages import (
    Passage,
    behind_passage,
    fill_with_passages,
    log_weights,
    mix_passages,
    passages_of_each,
)
from unblank.generation.prompts import encode_candidate, read_text
from unblank.generation.results import CandidateScore, FillResult, Generated, Scores, TokenEvent
from unblank.generation.score import Cloze, score_batch
from unblank.generation.seq2seq import DEFAULT_BATCH_SIZE, SourceAnswerer, generate_texts
from unblank.generation.sources import read_sources
from unblank.generation.target_score import score_targets
from unblank.html_text import html_table
from unblank.settings.ranges import check_count
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.special import special_ids
from unblank.unicode import require_texts, require_unicode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Unblank", "load"]

_Options = TypeVar("_Options", DecodingOptions, GenerationOptions)


class Unblank:
    """A model with its tokenizer.

    Attributes:
        model: the transformers model, in evaluation mode.
        tokenizer: its tokenizer.

    `unblank.load("runs/mine").fill("The cat [MASK] on the mat.").text` is the text, filled.
    """

    def __init__(self, model: LanguageModel, tokenizer: "PreTrainedTokenizerFast") -> None:
        rows = model.config.vocab_size
        if len(tokenizer) > rows:
            raise ValueError(
                f"the tokenizer has {len(tokenizer)} tokens but the model's embedding table has "
                f"only {rows} rows: this tokenizer does not belong to these weights"
            )
        self.model = model.eval()
        self.tokenizer = tokenizer

    def __repr__(self) -> str:
        return f"Unblank({', '.join(f'{name}={value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return html_table("Unblank", (), self._facts().items())

    def _facts(self) -> dict[str, str]:
        num_parameters = sum(weight.numel() for weight in self.model.parameters())
        return {
            "family": family_of_model(self.model).name,
            "parameters": f"{num_parameters:,}",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": str(self.model.device),
            "tokens": f"{len(self.tokenizer):,}",
            "positions": f"{self.model.config.max_position_embeddings:,}",
        }

    @overload
    def fill(
        self,
        text: str,
        *,
        order: Sequence[int] | None = None,
        passages: Sequence[str | Passage] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingArguments],
    ) -> FillResult: ...

    @overload
    def fill(
        self,
        text: list[str],
        *,
        order: Sequence[int] | None = None,
        passages: Sequence[Sequence[str | Passage]] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingArguments],
    ) -> list[FillResult]: ...

    def fill(
        self,
        text: str | list[str],
        *,
        order: Sequence[int] | None = None,
        passages: Sequence[str | Passage] | Sequence[Sequence[str | Passage]] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingArguments],
    ) -> FillResult | list[FillResult]:
        """Return the text, or texts, with every blank filled.

        `[MASK]`, `[sMASK]` and `[gMASK]` in the text are blanks of unknown length. They are filled
        one after another, and each answer conditions the next. Only a GLM fills blanks.

        Args:
            text: one text, or several.
            order: blanks, counted from 0, in the order of filling; None for left to right.
            passages: texts that may help, each put before the text; the probabilities that they
                lead to are averaged by their shares (`unblank.generation.passages`). For several
                texts a list for each. A text with passages has one blank, and neither sampling nor
                a length penalty goes with them.
            batch_size: texts decoded together; it does not change a result.
            **options: fields of `unblank.generation.options.DecodingOptions`; greedy without any.

        Raises:
            ValueError: no blank, a text longer than the model's positions, options that do not
                go together, or a model that is not a GLM.
            TypeError: an option that does not exist, or a value of the wrong type.
        """
        checked = _options(DecodingOptions, options)
        filler = Filler(self.model, self.tokenizer, checked)
        texts = require_texts(text, "text")
        if passages is None:
            results = filler.fill(texts, order=order, batch_size=batch_size)
        else:
            special = special_ids(self.tokenizer)
            results = [
                fill_with_passages(
                    filler,
                    self.model,
                    special,
                    checked,
                    one,
                    found,
                    order=order,
                    batch_size=batch_size,
                )
                for one, found in zip(texts, passages_of_each(text, passages), strict=True)
            ]
        return results[0] if isinstance(text, str) else results

    def fill_stream(
        self,
        text: str,
        *,
        order: Sequence[int] | None = None,
        **options: Unpack[DecodingArguments],
    ) -> Iterator[TokenEvent | FillResult]:
        """Yield a `TokenEvent` for every token as it is chosen, and at last the `FillResult`.

        Args:
            text: with at least one blank.
            order: as for `fill`.
            **options: as for `fill`; greedy decoding and sampling only.

        Raises:
            ValueError: as for `fill`, and for beam search.
        """
        filler = Filler(self.model, self.tokenizer, _options(DecodingOptions, options))
        require_unicode(text, "text")
        return filler.stream(text, order=order)

    @overload
    def generate(
        self,
        source: str,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        show_progress: bool = False,
        **options: Unpack[GenerationArguments],
    ) -> Generated: ...

    @overload
    def generate(
        self,
        source: list[str],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        show_progress: bool = False,
        **options: Unpack[GenerationArguments],
    ) -> list[Generated]: ...

    def generate(
        self,
        source: str | list[str],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        show_progress: bool = False,
        **options: Unpack[GenerationArguments],
    ) -> Generated | list[Generated]:
        """Return what the model writes to a source, or to each of several, in their order.

        An encoder-decoder reads the source as it was fine-tuned on sources; a GLM writes in a blank
        after it, or in the blank that the source holds.

        Args:
            source: one text, or several.
            batch_size: sources answered together; it does not change a result.
            show_progress: show a bar on the error stream.
            **options: fields of `unblank.generation.options.GenerationOptions`; greedy
                without any.

        Raises:
            ValueError: a source longer than the model's positions (unless `too_long="cut"`), or
                options that do not go together or do not fit the model.
            TypeError: an option that does not exist, or a value of the wrong type.
        """
        answers = generate_texts(
            self.model,
            self.tokenizer,
            require_texts(source, "source"),
            _options(GenerationOptions, options),
            batch_size=batch_size,
            show_progress=show_progress,
        )
        return answers[0] if isinstance(source, str) else answers

    def generate_stream(
        self, source: str, **options: Unpack[GenerationArguments]
    ) -> Iterator[TokenEvent | Generated]:
        """Yield a `TokenEvent` for every token as it is chosen, and at last the `Generated`.

        Args:
            source: as for `generate`.
            **options: as for `generate`; greedy decoding and sampling of one answer only.

        Raises:
            ValueError: as for `generate`, and for beam search.
        """
        checked = _options(GenerationOptions, options)
        require_unicode(source, "source")
        return SourceAnswerer(self.model, self.tokenizer, checked).stream(source)

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
        source_tag: str | None = None,
        passages: Sequence[str | Passage] | None = None,
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
        source_tag: str | None = None,
        passages: Sequence[Sequence[str | Passage]] | None = None,
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
        source_tag: str | None = None,
        passages: Sequence[str | Passage] | Sequence[Sequence[str | Passage]] | None = None,
    ) -> Scores | list[Scores]:
        """Return the log-probability of each candidate, all in one forward.

        With a GLM a candidate stands in a blank of the text. With an encoder-decoder it is what
        the model writes to the text as its source, which is encoded once for all candidates.

        Args:
            text: one text, or several; other blanks in it stay blank.
            candidates: answers of any lengths; for several texts a list for each.
            blank: GLM: which blank of the text, counted from 0.
            normalization: "sum" over a candidate's tokens, or their "mean".
            include_end: count the probability that the candidate ends where it does.
            context: GLM: "bi", or "uni" for a text that sees only backwards.
            source_tag: encoder-decoder: language tag before the source, for example `__de__`.
            passages: as for `fill`, but a text may have other blanks.

        Raises:
            ValueError: no such blank or tag, a text or candidate that is too long, or a candidate
                that is empty, given twice or itself holds a blank.
            TypeError: an argument of the wrong type.
        """
        texts = require_texts(text, "text")
        answers = cast("list[list[str]]", [candidates] if isinstance(text, str) else candidates)
        is_list = isinstance(answers, list | tuple) and len(texts) == len(answers)
        if not is_list or any(isinstance(given, str) for given in answers):
            raise ValueError(
                "candidates must be a list of texts for one text, and a list of such lists for a "
                "list of texts"
            )
        answers = [require_texts(given, "candidate") for given in answers]
        check_count(blank, "blank", low=0)
        if not isinstance(include_end, bool):
            raise TypeError(f"include_end is {include_end!r}: it must be True or False")
        if not texts:
            return []
        if passages is not None:
            of_each = passages_of_each(text, passages)
            results = [
                self._score_with_passages(
                    one,
                    given,
                    found,
                    normalization,
                    blank=blank,
                    include_end=include_end,
                    context=context,
                    source_tag=source_tag,
                )
                for one, given, found in zip(texts, answers, of_each, strict=True)
            ]
            return results[0] if isinstance(text, str) else results
        if family_of_model(self.model).writes == "targets":
            if (blank, context) != (0, "bi"):
                raise ValueError(
                    "blank and context apply to a GLM only: leave them out for an encoder-decoder"
                )
            options = GenerationOptions(source_tag=source_tag)
            found = [
                self._score_targets(one, given, options, normalization, include_end)
                for one, given in zip(texts, answers, strict=True)
            ]
            return found[0] if isinstance(text, str) else found
        if source_tag is not None:
            raise ValueError(
                "source_tag applies to an encoder-decoder only: leave it out for a GLM"
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
            _scores(given, cloze.candidates, score)
            for given, cloze, score in zip(answers, clozes, scores, strict=True)
        ]
        return results[0] if isinstance(text, str) else results

    def fitting_passages(self, text: str, passages: Sequence[Passage]) -> list[Passage]:
        """Return the passages that the model has positions for, each with the text behind it.

        Args:
            text: with blanks for a GLM, a source for an encoder-decoder.
            passages: in any order.
        """
        config = self.model.config
        found = []
        for one in passages:
            joined = behind_passage(one.text, text)
            try:
                if family_of_model(self.model).writes == "targets":
                    read_sources(config, self.tokenizer, [joined], GenerationOptions())
                else:
                    limit = config.max_position_embeddings
                    special = special_ids(self.tokenizer)
                    read_text(self.tokenizer, special, joined, max_positions=limit)
            except ValueError:
                continue
            found.append(one)
        return found

    def _score_with_passages(
        self,
        text: str,
        candidates: list[str],
        passages: Sequence[Passage],
        normalization: Literal["sum", "mean"],
        *,
        include_end: bool,
        **options: Any,
    ) -> Scores:
        joined = [behind_passage(one.text, text) for one in passages]
        of_passages = self.score(
            joined, [candidates] * len(joined), include_end=include_end, **options
        )
        token_ids = [one.token_ids for one in of_passages[0].candidates]
        total_C = mix_passages(
            [torch.tensor([one.score for one in found.candidates]) for found in of_passages],
            log_weights(passages),
        )
        if normalization == "mean":
            total_C /= torch.tensor([len(ids) + include_end for ids in token_ids])
        return _scores(candidates, token_ids, total_C)

    def _score_targets(
        self,
        source: str,
        candidates: list[str],
        options: GenerationOptions,
        normalization: Literal["sum", "mean"],
        include_end: bool,
    ) -> Scores:
        config = self.model.config
        (read,) = read_sources(config, self.tokenizer, [source], options)
        token_ids = encode_texts(self.tokenizer, candidates) if candidates else []
        # The decoder's start token takes the first position.
        _require_positions(candidates, token_ids, config.max_position_embeddings - 1)
        with torch.inference_mode():
            scores = score_targets(
                self.model,
                read.prompt.token_ids,
                token_ids,
                end_id=config.eos_token_id if include_end else None,
                normalization=normalization,
            )
        return _scores(candidates, token_ids, scores)

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
        dtype: "fp32", "bf16", "fp16" or a torch dtype; None for the saved one.

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
                f"candidate {text[:60]!r} has {len(ids)} tokens, but a blank of this model takes "
                f"at most {limit}: shorten it"
            )


def _options(kind: type[_Options], given: Mapping[str, object]) -> _Options:
    names = kind.__dataclass_fields__
    for name in given:
        if name not in names:
            near = get_close_matches(name, names) or list(names)
            raise TypeError(f"no option {name!r}; did you mean {', '.join(near)}?")
    return kind(**given)  # type: ignore[arg-type]  # checked by the keywords of the caller


def _scores(
    candidates: Sequence[str], token_ids: Sequence[Sequence[int]], scores: torch.Tensor
) -> Scores:
    return Scores(
        tuple(
            CandidateScore(text, tuple(ids), score, probability)
            for text, ids, score, probability in zip(
                candidates,
                token_ids,
                scores.tolist(),
                torch.softmax(scores, dim=0).tolist(),
                strict=True,
            )
        )
    )
