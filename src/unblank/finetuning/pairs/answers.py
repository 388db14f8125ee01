"""Held-out sources answered by the model under way, and scored against their references."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from unblank.engine.parallel import World
from unblank.finetuning.pairs.encoded import EncodedPairs
from unblank.finetuning.settings import GenerationSettings
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions, GenerationOptions
from unblank.generation.results import Generated
from unblank.generation.rows import Prompt
from unblank.generation.seq2seq import generate_from_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from unblank.metrics.bleu_tokenizers import BleuTokenizer
    from unblank.metrics.text import TextMetric, TextScores

__all__ = [
    "SCORES",
    "Answering",
    "held_out_sources",
    "prediction_lines",
    "scores_by_entry",
]

_Asked = TypeVar("_Asked")
_Answered = TypeVar("_Answered")

SCORES: dict[str, tuple["TextMetric", ...]] = {
    "bleu": ("bleu", "chrf"),
    "chrf": ("bleu", "chrf"),
    "rouge1": ("rouge",),
    "rouge2": ("rouge",),
    "rougeL": ("rouge",),
    "exact_match": ("exact_match",),
}
"""Selection metric -> the metrics computed with it."""


@dataclass(frozen=True, slots=True)
class HeldOutSource:
    """One source to answer.

    Attributes:
        prompt: as the model reads it.
        text: as it was given.
        references: texts.
        is_filled: whether the whole text with its blanks filled is the answer.
    """

    prompt: Prompt
    text: str
    references: tuple[str, ...]
    is_filled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How held-out sources are answered, and how the answers are scored.

    Attributes:
        options: of the decoding.
        batch_size: sources answered together.
        bleu_tokenizer: of sacreBLEU.
    """

    options: GenerationOptions
    batch_size: int
    bleu_tokenizer: "BleuTokenizer"

    @classmethod
    def of(cls, settings: GenerationSettings, max_target_length: int) -> "Answering":
        """Return what the `generation` section says; answers are no longer than targets."""
        options = GenerationOptions(
            num_beams=settings.num_beams,
            max_tokens=settings.max_tokens or max_target_length - 1,  # which has an end, too
            min_tokens=settings.min_tokens,
            length_penalty=settings.length_penalty if settings.num_beams > 1 else 1.0,
            no_repeat_ngram=settings.no_repeat_ngram,
        )
        return cls(
            options=options,
            batch_size=settings.batch_size,
            bleu_tokenizer=settings.bleu_tokenizer,
        )

    def answer(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerFast",
        sources: Sequence[HeldOutSource],
        world: World,
    ) -> list[str]:
        """Return the model's answers in the order of the sources; each process answers its share.

        Args:
            model: in evaluation mode.
            tokenizer: of the model.
            sources: the same in every process.
            world: the processes of the run; all must call this.
        """
        prompts = [source.prompt for source in sources if not source.is_filled]
        texts = [source.text for source in sources if source.is_filled]
        written = iter(self.write(model, tokenizer, prompts, world) if prompts else [])
        filled = iter(self._fill(model, tokenizer, texts, world) if texts else [])
        return [next(filled) if source.is_filled else next(written).text for source in sources]

    def _fill(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerFast",
        texts: Sequence[str],
        world: World,
    ) -> list[str]:
        """Return texts with their blanks filled from left to right; see `answer`."""
        num_beams = self.options.num_beams
        options = DecodingOptions(
            num_beams=num_beams,
            max_tokens=self.options.max_tokens,
            min_tokens=self.options.min_tokens,
            length_penalty=self.options.length_penalty if num_beams > 1 else 0.0,
            no_repeat_ngram=self.options.no_repeat_ngram,
        )

        def fill(own: Sequence[str]) -> list[str]:
            filler = Filler(model, tokenizer, options)
            return [one.text for one in filler.fill(own, batch_size=self.batch_size)]

        return _shared_out(texts, fill, model, world)

    def write(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerFast",
        prompts: Sequence[Prompt],
        world: World,
    ) -> list[Generated]:
        """Return what the model writes to some prompts; see `answer`."""

        def write(own: Sequence[Prompt]) -> list[Generated]:
            return generate_from_ids(
                model,
                tokenizer,
                own,
                self.options,
                batch_size=self.batch_size,
                show_progress=world.is_main,
            )

        return _shared_out(prompts, write, model, world)

    def score(
        self, answers: Sequence[str], sources: Sequence[HeldOutSource], metric: str
    ) -> "TextScores":
        """Return the selection metric and its companions, in percent.

        Raises:
            ImportError: if the extra `eval` is not installed.
        """
        from unblank.metrics.text import score_texts

        references = [source.references for source in sources]
        return score_texts(answers, references, SCORES[metric], tokenize=self.bleu_tokenizer)


def _shared_out(
    asked: Sequence[_Asked],
    answer: Callable[[Sequence[_Asked]], list[_Answered]],
    model: "PreTrainedModel",
    world: World,
) -> list[_Answered]:
    """Return what `answer` makes of all that is asked; each process does every n-th."""
    own = asked[world.rank :: world.size]

    def answer_own() -> list[_Answered]:
        with torch.inference_mode():
            return answer(own)

    shares = world.gather(world.alone(answer_own, model))
    return [shares[place % world.size][place // world.size] for place in range(len(asked))]


def held_out_sources(
    entries: Sequence[EncodedPairs],
    blanks_of: Callable[[Sequence[int]], tuple[int, ...]],
    places: Sequence[Sequence[int]],
) -> list[HeldOutSource]:
    """Return some sources of each entry of held-out pairs, in their order.

    Args:
        entries: the pairs.
        blanks_of: source -> places of its blanks; 0 for an encoder-decoder.
        places: which of each entry, from `drawn_places`.
    """
    found = []
    for entry, drawn in zip(entries, places, strict=True):
        for place in drawn:
            source = entry.sources[place].tolist()
            prompt = Prompt(tuple(source), blanks_of(source))
            text, references = entry.texts[place], entry.references[place]
            found.append(HeldOutSource(prompt, text, references, entry.is_filled))
    return found


def scores_by_entry(
    answering: Answering,
    answers: Sequence[str],
    sources: Sequence[HeldOutSource],
    sizes: Mapping[str, int],
    metric: str,
) -> dict[str, float]:
    """Return the selection metric of each entry of the held-out data alone.

    Args:
        answering: scores.
        answers: of all sources.
        sources: the same.
        sizes: name of each entry -> its sources, in order.
        metric: the selection metric.
    """
    scores: dict[str, float] = {}
    start = 0
    for name, size in sizes.items():
        part = slice(start, start + size)
        if answers[part]:
            found = answering.score(answers[part], sources[part], metric)
            scores[f"{metric} {name}"] = found.values[metric]
        start += size
    return scores


def prediction_lines(
    answers: Sequence[str], sources: Sequence[HeldOutSource]
) -> list[dict[str, Any]]:
    """Return a line for the predictions file for each source."""
    return [
        {"source": source.text, "prediction": answer, "references": list(source.references)}
        for answer, source in zip(answers, sources, strict=True)
    ]
