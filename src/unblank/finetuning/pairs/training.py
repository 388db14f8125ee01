"""Training on pairs: from source text to target text, with any family that writes.

Its examples share rows as in pretraining; held-out pairs give a loss, and answers that are scored.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.drawing import drawn_places
from unblank.data.length_groups import window_size
from unblank.data.loader import DataState, StepBatches
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.engine.held_out import held_out_losses
from unblank.engine.precision import Precision
from unblank.engine.training import Evaluation
from unblank.engine.units import TrainUnit
from unblank.examples import AnyExample, IntArray, Seq2SeqExample
from unblank.families.family import Family
from unblank.finetuning.pairs.answers import (
    Answering,
    held_out_sources,
    prediction_lines,
    scores_by_entry,
)
from unblank.finetuning.pairs.batches import LARGEST_WINDOW, PairBatches
from unblank.finetuning.pairs.encoded import EncodedPairs, PairSampler
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.entries import plain_sampling
from unblank.finetuning.pairs.start import PairStart
from unblank.finetuning.pairs.transfer import AlternatingState, alternate
from unblank.generation.building import answer_setup
from unblank.plurals import counted
from unblank.tokenization.framing import Frame, framed

__all__ = ["HeldOutPairs", "PairTraining", "TrainingPairs"]

_HELD_OUT_SEED = 0
"""Seed for the order of held-out pairs, the same in every run so that runs can be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPairs:
    """The data for training.

    Attributes:
        entries: pairs; none where nothing is trained.
        sampling: how entries are mixed.
        label_smoothing: in [0, 1), as the published programs count it.
        plain_text: text that every other step hides spans of; None for none.
        content: hash of each source of pairs or text.
    """

    entries: Sequence[EncodedPairs]
    sampling: SamplingSettings
    label_smoothing: float
    plain_text: Sampler[Seq2SeqExample] | None
    content: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutPairs:
    """What is measured.

    Attributes:
        entries: pairs, perhaps none.
        names: of the entries, for their scores.
        measured: examples that are measured; None for all.
        is_shared: whether each process measures a share.
        precision: of the forward passes.
    """

    entries: Sequence[EncodedPairs]
    names: Sequence[str]
    measured: int | None
    is_shared: bool
    precision: Precision


class PairTraining:
    """See `unblank.engine.training.Training`; made by `open_pairs`.

    Args:
        start: gives the model.
        tokenizer: with the tags of all languages.
        encoder: has encoded the pairs.
        metric: the score that chooses the best checkpoint.
        batches: how examples share rows and steps.
        training: the data for training.
        held_out: what is measured.
        answering: how held-out sources are answered.
    """

    unit: TrainUnit

    def __init__(
        self,
        *,
        start: PairStart,
        tokenizer: PreTrainedTokenizerFast,
        encoder: PairEncoder,
        metric: str,
        batches: PairBatches,
        training: TrainingPairs,
        held_out: HeldOutPairs,
        answering: Answering,
    ) -> None:
        self.tokenizer = _saved_tokenizer(tokenizer, start.family)
        self.metric = metric
        self.higher_is_better = metric != "loss"
        self.content = training.content
        self._start, self._encoder, self._batches = start, encoder, batches
        self._training, self._held_out, self._answering = training, held_out, answering
        self._sampler = None
        if training.entries:
            self._sampler = self._sampler_of(training.entries, training.sampling)
        epoch = batches.measure(training.entries)
        self.steps_per_epoch = round(epoch.num_rows / batches.rows_per_step)
        if training.entries:
            self.steps_per_epoch = max(1, self.steps_per_epoch)
        if training.plain_text is not None:
            self.steps_per_epoch *= 2  # every other step is one of plain text
        self.facts: Mapping[str, str] = self._facts(epoch.padding)

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from; see `Training`.

        Raises:
            ValueError: held-out sources are to be answered as the model cannot.
        """
        model, start = self._start.build_model(self.tokenizer), self._start
        smoothing = self._training.label_smoothing
        self.unit = start.family.unit(
            model,
            start.sections,
            seed=start.seed,
            label_smoothing=start.family.smoothing(smoothing, model.config.vocab_size),
        )
        ganlm = replace(start.sections.ganlm, discriminator_weight=0.0, denoising_weight=0.0)
        generator_alone = replace(start.sections, ganlm=ganlm)
        self._measuring_unit = start.family.unit(model, generator_alone, seed=start.seed)
        if self._held_out.entries and self.metric != "loss":
            answer_setup(model, self.tokenizer, self._answering.options)  # refuses before any step
        return model

    def steps(self, saved: Mapping[str, int] | None, /) -> Generator[StepBatches]:
        """Yield the data of each step; see `Training`."""
        assert self._sampler is not None
        window = min(self._sampler.num_chunks, LARGEST_WINDOW)
        plain_text = self._training.plain_text
        if plain_text is None:
            yield from self._batches.steps(self._sampler, window, DataState(**(saved or {})))
            return
        both = AlternatingState(**(saved or {}))  # type: ignore[arg-type]  # one field is a bool
        text_window = window_size(plain_text.mean_text_length, self._batches.row_length)
        yield from alternate(
            self._batches.steps(self._sampler, window, both.first),
            self._batches.steps(plain_text, text_window, both.second),
            both,
        )

    def evaluate(self, model: PreTrainedModel, /) -> Evaluation:
        """Return the held-out scores; see `Training`."""
        held_out = self._held_out
        if not held_out.entries:
            raise ValueError("there are no held-out pairs: give --data.validation FILE [...]")
        loss = self._held_out_loss(model)
        if self.metric == "loss":
            return Evaluation(scores={"loss": loss})
        sizes = [len(entry.references) for entry in held_out.entries]
        places = drawn_places(sizes, held_out.measured)
        sources = held_out_sources(held_out.entries, self._encoder.blanks_of, places)
        world = self._batches.world
        answers = self._answering.answer(model, self.tokenizer, sources, world)
        found = self._answering.score(answers, sources, self.metric)
        scores = {"loss": loss, **found.values}
        if len(held_out.entries) > 1:
            counts = dict(zip(held_out.names, map(len, places), strict=True))
            scores |= scores_by_entry(self._answering, answers, sources, counts, self.metric)
        return Evaluation(
            scores=scores,
            predictions=prediction_lines(answers, sources),
            note="\n".join(f"{name}: {one.signature}" for name, one in found.scores.items()),
        )

    def fill(self, model: PreTrainedModel, /) -> list[dict[str, str]]:
        """Return nothing: predictions show what is written."""
        return []

    def _held_out_loss(self, model: PreTrainedModel) -> float:
        """Return the cross-entropy per target token, in nats, without label smoothing."""
        held_out = self._held_out
        sampler = self._sampler_of(held_out.entries, plain_sampling(_HELD_OUT_SEED))
        batches = self._batches.held_out(
            sampler, held_out.measured or sampler.num_chunks, is_shared=held_out.is_shared
        )
        world = self._batches.world
        losses = held_out_losses(
            model, self._measuring_unit, {"all": batches}, world, held_out.precision
        )
        return losses.total()

    def _sampler_of(
        self, entries: Sequence[EncodedPairs], settings: SamplingSettings
    ) -> PairSampler:
        return PairSampler(entries, self._example, self._encoder.special, settings)

    def _example(self, source: IntArray, target: IntArray) -> AnyExample:
        make = self._start.family.pair_example
        assert make is not None
        return make(source, target, self._encoder.special)

    def _measured(self) -> str:
        """Return how many held-out sources, or examples for the loss, are measured."""
        entries, limit = self._held_out.entries, self._held_out.measured
        if self.metric == "loss":
            total, noun = sum(map(len, entries)), "held-out example"
        else:
            total, noun = sum(len(entry.references) for entry in entries), "held-out source"
        if limit is None or limit >= total:
            return counted(total, noun)
        return f"{limit:,} of {counted(total, noun)}"

    def _facts(self, padding: float) -> dict[str, str]:
        train = self._training.entries
        num_pairs = sum(len(entry.references) for entry in train)
        mixed = ", every other one of plain text" if self._training.plain_text else ""
        branch = {"branch": self._start.branch} if "ganlm" in self._start.family.applies else {}
        return {
            **branch,
            "task": f"source to target, {counted(num_pairs, 'pair')}, "
            f"{counted(sum(map(len, train)), 'example')} an epoch in "
            f"{counted(self.steps_per_epoch, 'step')}{mixed}",
            "batches": f"{self._batches}, {padding:.1%} padding",
            "chosen by": f"{self.metric} of {self._measured()}",
        }


def _saved_tokenizer(tokenizer: PreTrainedTokenizerFast, family: Family) -> PreTrainedTokenizerFast:
    """Return the tokenizer that makes what an encoder-decoder reads and writes; a GLM's as it is.

    A language's tag is a special token that stands in the text.
    """
    if family.writes != "targets":
        return tokenizer
    end = (family.special_ids(tokenizer).eos,)
    frame = Frame(texts=("{source}",), truncation="only_first")
    return framed(tokenizer, frame, start=(), between=end, end=end, is_plain=False)
