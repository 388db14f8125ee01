"""`unblank.load(folder)`: a model and its tokenizer, ready to fill, to write and to score."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, Unpack, cast, overload

import torch

from unblank.adapters.calibration import calibration_of
from unblank.adapters.opening import load_adapted
from unblank.adapters.record import has_adapter
from unblank.calibration.record import Calibration
from unblank.families.loading import LanguageModel, load_folder, require_rows
from unblank.families.table import family_of_model
from unblank.generation.candidates import CandidateScorer, ScoringOptions
from unblank.generation.constraining import TextRules
from unblank.generation.infill import Filler
from unblank.generation.options import (
    DecodingArguments,
    DecodingOptions,
    FillingOrder,
    GenerationArguments,
    GenerationOptions,
)
from unblank.generation.order_scores import OrderScores
from unblank.generation.passages import (
    Passage,
    behind_passage,
    fill_with_passages,
    passages_of_each,
)
from unblank.generation.prompts import read_text
from unblank.generation.results import FillResult, Generated, Scores, TokenEvent
from unblank.generation.seq2seq import DEFAULT_BATCH_SIZE, SourceAnswerer, generate_texts
from unblank.generation.sources import read_sources
from unblank.html_text import html_table
from unblank.models.half_weights import answering_model, weights_dtype
from unblank.path_arguments import disk_path
from unblank.rules.rule import RuleLike
from unblank.settings.choices import Context, Normalization
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
        calibration: what is known of its confidence, from `unblank calibrate`; None for nothing.

    `unblank.load("runs/mine").fill("The cat [MASK] on the mat.").text` is the text, filled.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: "PreTrainedTokenizerFast",
        calibration: Calibration | None = None,
    ) -> None:
        require_rows(model, tokenizer, "the tokenizer")
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.calibration = calibration

    def __repr__(self) -> str:
        return f"Unblank({', '.join(f'{name}={value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return html_table("Unblank", (), self._facts().items())

    def _facts(self) -> dict[str, str]:
        num_parameters = sum(weight.numel() for weight in self.model.parameters())
        return {
            "family": family_of_model(self.model).name,
            "parameters": f"{num_parameters:,}",
            "dtype": str(weights_dtype(self.model)).removeprefix("torch."),
            "device": str(self.model.device),
            "tokens": f"{len(self.tokenizer):,}",
            "positions": f"{self.model.config.max_position_embeddings:,}",
        }

    @overload
    def fill(
        self,
        text: str,
        *,
        order: FillingOrder | None = None,
        rules: TextRules | None = None,
        passages: Sequence[str | Passage] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingArguments],
    ) -> FillResult: ...

    @overload
    def fill(
        self,
        text: list[str],
        *,
        order: FillingOrder | None = None,
        rules: TextRules | None = None,
        passages: Sequence[Sequence[str | Passage]] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingArguments],
    ) -> list[FillResult]: ...

    def fill(
        self,
        text: str | list[str],
        *,
        order: FillingOrder | None = None,
        rules: TextRules | None = None,
        passages: Sequence[str | Passage] | Sequence[Sequence[str | Passage]] | None = None,
        batch_size: int = 16,
        **options: Unpack[DecodingArguments],
    ) -> FillResult | list[FillResult]:
        """Return the text, or texts, with every blank filled.

        `[MASK]`, `[sMASK]` and `[gMASK]` in the text are blanks of unknown length. They are filled
        one after another, and each answer conditions the next. Only a GLM fills blanks.

        Args:
            text: one text, or several.
            order: blanks, counted from 0, in the order of filling; "confidence" fills the surest
                first; None is left to right.
            rules: what the answers must be like: `unblank.Rule`, its short form such as
                `"1: words=2..3"`, or a dict of its fields; for several texts also a list for each.
            passages: texts that may help, each put before the text; the probabilities that they
                lead to are averaged by their shares (`unblank.generation.passages`). For several
                texts a list for each. A text with passages has one blank, neither sampling nor a
                length penalty goes with them, and no calibration is used.
            batch_size: texts decoded together; it does not change a result.
            **options: fields of `unblank.generation.options.DecodingOptions`; greedy without any.

        Raises:
            ValueError: no blank, a text longer than the model's positions, options that do not
                go together, rules that cannot be met, or a model that is not a GLM.
            TypeError: an option that does not exist, or a value of the wrong type.
        """
        checked = _options(DecodingOptions, options)
        texts = require_texts(text, "text")
        if passages is None:
            filler = self.filler(checked)
            results = filler.fill(texts, order=order, rules=rules, batch_size=batch_size)
        elif rules:
            raise ValueError("rules and passages cannot be combined: leave one of them out")
        else:
            filler = Filler(self.model, self.tokenizer, checked)
            pairs = zip(texts, passages_of_each(text, passages), strict=True)
            end_id = special_ids(self.tokenizer).eop
            results = [
                fill_with_passages(
                    filler,
                    one,
                    found,
                    end_id=end_id,
                    order=None if order == "confidence" else order,
                    batch_size=batch_size,
                )
                for one, found in pairs
            ]
        return results[0] if isinstance(text, str) else results

    def filler(self, options: DecodingOptions) -> Filler:
        """Return what fills texts with these options, calibrated if the model is.

        Raises:
            ValueError: a model that is not a GLM, or more tokens than it has positions.
        """
        calibration = None if self.calibration is None else self.calibration.fills
        return Filler(self.model, self.tokenizer, options, calibration)

    def fill_stream(
        self,
        text: str,
        *,
        order: FillingOrder | None = None,
        rules: Sequence[RuleLike] | RuleLike | None = None,
        **options: Unpack[DecodingArguments],
    ) -> Iterator[TokenEvent | FillResult]:
        """Yield a `TokenEvent` for every token as it is chosen, and at last the `FillResult`.

        Args:
            text: with at least one blank.
            order: as for `fill`.
            rules: as for `fill`.
            **options: as for `fill`; greedy decoding and sampling only.

        Raises:
            ValueError: as for `fill`, and for beam search.
        """
        filler = self.filler(_options(DecodingOptions, options))
        require_unicode(text, "text")
        return filler.stream(text, order=order, rules=rules)

    @overload
    def generate(
        self,
        source: str,
        *,
        rules: TextRules | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        show_progress: bool = False,
        **options: Unpack[GenerationArguments],
    ) -> Generated: ...

    @overload
    def generate(
        self,
        source: list[str],
        *,
        rules: TextRules | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        show_progress: bool = False,
        **options: Unpack[GenerationArguments],
    ) -> list[Generated]: ...

    def generate(
        self,
        source: str | list[str],
        *,
        rules: TextRules | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        show_progress: bool = False,
        **options: Unpack[GenerationArguments],
    ) -> Generated | list[Generated]:
        """Return what the model writes to a source, or to each of several, in their order.

        An encoder-decoder reads the source as it was fine-tuned on sources; a GLM writes in a blank
        after it, or in the blank that the source holds.

        Args:
            source: one text, or several.
            rules: what the answers must be like, as for `fill`; for several sources also a list
                for each.
            batch_size: sources answered together; it does not change a result.
            show_progress: show a bar on the error stream.
            **options: fields of `unblank.generation.options.GenerationOptions`; greedy
                without any.

        Raises:
            ValueError: a source longer than the model's positions (unless `too_long="cut"`), or
                options that do not go together or do not fit the model; rules that cannot be met.
            TypeError: an option that does not exist, or a value of the wrong type.
        """
        answers = generate_texts(
            self.model,
            self.tokenizer,
            require_texts(source, "source"),
            _options(GenerationOptions, options),
            rules=rules,
            batch_size=batch_size,
            show_progress=show_progress,
        )
        return answers[0] if isinstance(source, str) else answers

    def generate_stream(
        self,
        source: str,
        *,
        rules: Sequence[RuleLike] | RuleLike | None = None,
        **options: Unpack[GenerationArguments],
    ) -> Iterator[TokenEvent | Generated]:
        """Yield a `TokenEvent` for every token as it is chosen, and at last the `Generated`.

        Args:
            source: as for `generate`.
            rules: on the answer, as for `fill`.
            **options: as for `generate`; greedy decoding and sampling of one answer only.

        Raises:
            ValueError: as for `generate`, and for beam search.
        """
        checked = _options(GenerationOptions, options)
        require_unicode(source, "source")
        return SourceAnswerer(self.model, self.tokenizer, checked).stream(source, rules)

    def score_orders(self, text: str, answers: list[str]) -> OrderScores:
        """Return the joint log-probability of answers in every order of filling the blanks.

        Each answer sees those before it, so that it matters. Only a GLM fills blanks.

        Args:
            text: with up to four blanks.
            answers: one for each blank, from left to right.

        Raises:
            ValueError: another number of answers, an empty one, a text that is too long, or a model
                that is not a GLM.
        """
        require_unicode(text, "text")
        return self.filler(DecodingOptions()).score_orders(text, require_texts(answers, "answer"))

    @overload
    def score(
        self,
        text: str,
        candidates: list[str],
        *,
        blank: int = 0,
        normalization: Normalization = "sum",
        content_free: Sequence[str] = (),
        include_end: bool = True,
        context: Context = "bi",
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
        normalization: Normalization = "sum",
        content_free: Sequence[str] = (),
        include_end: bool = True,
        context: Context = "bi",
        source_tag: str | None = None,
        passages: Sequence[Sequence[str | Passage]] | None = None,
    ) -> list[Scores]: ...

    def score(
        self,
        text: str | list[str],
        candidates: list[str] | list[list[str]],
        *,
        blank: int = 0,
        normalization: Normalization = "sum",
        content_free: Sequence[str] = (),
        include_end: bool = True,
        context: Context = "bi",
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
            normalization: "sum" over a candidate's tokens, their "mean", or the sum without what a
                text without content says of the candidates: "pmi" (nats that the text adds) or
                "contextual" (log of probabilities that sum to 1).
            content_free: for "pmi" and "contextual", texts without content: with one blank (GLM),
                or sources; none for `[MASK]` alone, or the source `N/A`.
            include_end: count the probability that the candidate ends where it does.
            context: GLM: "bi", or "uni" for a text that sees only backwards.
            source_tag: encoder-decoder: language tag before the source, for example `__de__`.
            passages: as for `fill`, but a text may have other blanks; neither "pmi" nor
                "contextual" goes with them.

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
        options = ScoringOptions(
            blank=blank,
            normalization=normalization,
            content_free=tuple(require_texts(list(content_free), "content_free")),
            include_end=include_end,
            context=context,
            source_tag=source_tag,
        )
        scorer = self.scorer(options)
        if passages is None:
            results = scorer.score(texts, answers) if texts else []
        else:
            of_each = zip(texts, answers, passages_of_each(text, passages), strict=True)
            results = [scorer.score_with_passages(*one) for one in of_each]
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

    def scorer(self, options: ScoringOptions) -> CandidateScorer:
        """Return what scores candidates with these options, calibrated if the model is for them.

        Raises:
            ValueError: options that do not apply to the model.
        """
        found = None if self.calibration is None else self.calibration.candidates
        if found is not None and found.difference(options.asked(found.asked.get("candidates", ()))):
            found = None
        return CandidateScorer(self.model, self.tokenizer, options, found)


def load(
    folder: str | Path,
    *,
    device: str = "auto",
    dtype: str | torch.dtype | None = None,
    calibration: bool = True,
) -> Unblank:
    """Return the model and tokenizer of a folder, ready to use.

    Args:
        folder: as written by pretraining, fine-tuning, conversion or `save_pretrained`; trained
            prompts and adapters open with the base model that they belong to.
        device: "auto" (a GPU if there is one), or a torch device name.
        dtype: "fp32", "bf16", "fp16" or a torch dtype; None for the saved one. In fp16 on a CPU
            only weights are rounded, and the model can answer but not learn
            (`unblank.models.half_weights`).
        calibration: use what `unblank calibrate` has kept in the folder, if it has.

    Raises:
        FileNotFoundError: no such folder, or files of a model are missing from it.
        ValueError: another kind of model, damaged files, a tokenizer, dtype or device that does
            not fit, or a calibration of other weights.
    """
    path = disk_path(folder, "folder")
    if not isinstance(calibration, bool):
        raise TypeError(f"calibration is {calibration!r}: it must be True or False")
    load_any = load_adapted if has_adapter(path) else load_folder
    model, tokenizer = load_any(path, device=device, dtype=dtype)
    known = calibration_of(path) if calibration else None
    return Unblank(answering_model(model), tokenizer, known)


def _options(kind: type[_Options], given: Mapping[str, object]) -> _Options:
    names = kind.__dataclass_fields__
    for name in given:
        if name not in names:
            near = get_close_matches(name, names) or list(names)
            raise TypeError(f"no option {name!r}; did you mean {', '.join(near)}?")
    return kind(**given)  # type: ignore[arg-type]  # checked by the keywords of the caller
