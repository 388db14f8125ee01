"""The task `seq2seq`: from source text to target text, with a DeltaLM, a GanLM or a GLM.

Encoder-decoders get batches of pairs of like length, GLMs packed rows, as in pretraining.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import get_args

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.length_groups import window_size
from unblank.data.loader import DataState, StepBatches
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.engine.hooks import held_out_loss
from unblank.engine.task import Evaluation, TaskContext
from unblank.engine.units import TrainUnit
from unblank.examples import AnyExample, IntArray, Seq2SeqExample
from unblank.families.family import Family
from unblank.families.settings import FamilySections
from unblank.families.table import family_of_run
from unblank.finetuning.labels.held_out import held_out_shares
from unblank.finetuning.pairs.answers import (
    answer_sources,
    held_out_sources,
    prediction_lines,
    score_answers,
    scores_by_entry,
)
from unblank.finetuning.pairs.batches import LARGEST_WINDOW, SHORTEST_LENGTH, PairBatches
from unblank.finetuning.pairs.encoded import EncodedPairs, PairSampler
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.entries import (
    RawEntry,
    encode_entries,
    pairs_table,
    read_entries,
    sampling_settings,
)
from unblank.finetuning.pairs.start import open_pair_tokenizer, start_model
from unblank.finetuning.pairs.transfer import AlternatingState, alternate, plain_text_sampler
from unblank.finetuning.settings import FinetuneData, FinetuneGanLM, MetricName
from unblank.pretraining.materials import SHARDS_NAME

__all__ = ["Seq2SeqTask", "open_seq2seq"]


_HELD_OUT_SEED = 0
"""Of the order of held-out pairs, whatever the seed of the run: so runs can be compared."""


def open_seq2seq(context: TaskContext) -> "Seq2SeqTask":
    """Return the task with its data read and encoded.

    Args:
        context: the run.

    Raises:
        ValueError: data, model and settings do not fit; the message names file and line.
        FileNotFoundError: a file or folder is not there.
    """
    config = context.config
    metric = config.train.metric or "loss"
    if metric not in get_args(MetricName):
        allowed = ", ".join(get_args(MetricName))
        raise ValueError(f"train.metric is {metric!r}: for seq2seq choose one of {allowed}")
    if metric != "loss" and config.train.parallel == "fsdp" and context.world.size > 1:
        raise ValueError(
            f"train.metric {metric} needs the whole model in each process: choose --train.parallel "
            "ddp, or --train.metric loss"
        )
    family = family_of_run(config.model, context.checkpoint)
    if family.pair_example is None:
        raise ValueError("an ELECTRA writes no text: seq2seq needs a GLM, a DeltaLM or a GanLM")
    if "ganlm" not in family.applies and config.ganlm != FinetuneGanLM():
        raise ValueError(f"the section ganlm does not apply to a model of the family {family.name}")
    data = config.data
    if data.hold_out:
        raise ValueError("data.hold_out is for tasks with labels: give --data.validation FILE")
    train = read_entries(data, data.train, data.languages)
    held_out = read_entries(data, data.validation, data.validation_languages)
    with context.world.main_first():
        tokenizer = open_pair_tokenizer(context, family, train)
    return Seq2SeqTask(context, family, tokenizer, train, held_out)


class Seq2SeqTask:
    """A `FinetuneTask` on pairs of texts.

    Args:
        context: the run.
        family: of the model.
        tokenizer: with the tags of all languages.
        train: training pairs; may be none where nothing is trained.
        held_out: held-out pairs; may be none.
    """

    unit: TrainUnit

    def __init__(
        self,
        context: TaskContext,
        family: Family,
        tokenizer: PreTrainedTokenizerFast,
        train: Sequence[RawEntry],
        held_out: Sequence[RawEntry],
    ) -> None:
        config = context.config
        self.tokenizer = tokenizer
        self.metric = config.train.metric or "loss"
        self.higher_is_better = self.metric != "loss"
        self._context = context
        self._family = family
        self._is_glm = family.writes == "blanks"
        self._special = family.special_ids(tokenizer)
        self._encoder = PairEncoder(
            tokenizer, self._special, config.seq2seq, self._is_glm, context.world.is_main
        )
        self._train = encode_entries(train, self._encoder)
        self._held_out = encode_entries(held_out, self._encoder)
        names = config.data.validation_languages or [
            entry.name.rpartition("/")[2] for entry in held_out
        ]
        self._held_out_names = [
            name if names.count(name) == 1 else f"{name} ({number})"
            for number, name in enumerate(names, start=1)
        ]
        self._show_pairs(train, held_out)
        self.content = [entry.content for entry in self._train]
        self._batches = PairBatches.of(config, self._is_glm, context.world)
        sampling = sampling_settings(config.data, config.train.seed)
        self._sampler = self._sampler_of(self._train, sampling) if train else None
        self._plain_text = self._open_plain_text()
        epoch = self._batches.measure(self._train)
        self.steps_per_epoch = round(epoch.num_rows / self._batches.rows_per_step)
        if train:
            self.steps_per_epoch = max(1, self.steps_per_epoch)
        if self._plain_text is not None:
            self.steps_per_epoch *= 2  # every other step is one of plain text
        self.facts = self._facts(epoch.padding)

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from; see `FinetuneTask`."""
        context = self._context
        settings, seed = context.config.seq2seq, context.config.train.seed
        model = start_model(context, self._family, self.tokenizer)
        ganlm = context.config.ganlm
        alone = replace(ganlm, discriminator_weight=0.0, denoising_weight=0.0)
        self._measuring_unit = self._family.unit(model, FamilySections(ganlm=alone), seed=seed)
        self.unit = self._family.unit(
            model,
            FamilySections(ganlm=ganlm),
            seed=seed,
            label_smoothing=self._family.smoothing(
                settings.label_smoothing, model.config.vocab_size
            ),
        )
        return model

    def steps(self, saved: Mapping[str, int] | None, /) -> Iterator[StepBatches]:
        """Yield the data of each step; see `FinetuneTask`."""
        assert self._sampler is not None
        window = min(self._sampler.num_chunks, LARGEST_WINDOW)
        if self._plain_text is None:
            state = DataState(**(saved or {}))
            return self._batches.steps(self._sampler, window, state)
        both = AlternatingState(**(saved or {}))  # type: ignore[arg-type]  # one field is a bool
        text_window = window_size(self._plain_text.mean_text_length, self._batches.row_length)
        return alternate(
            self._batches.steps(self._sampler, window, both.first),
            self._batches.steps(self._plain_text, text_window, both.second),
            both,
        )

    def evaluate(self, model: PreTrainedModel, /) -> Evaluation:
        """Return the held-out scores; see `FinetuneTask`."""
        if not self._held_out:
            raise ValueError("there are no held-out pairs: give data.validation")
        loss = self._held_out_loss(model)
        if self.metric == "loss":
            return Evaluation(scores={"loss": loss})
        config, world = self._context.config, self._context.world
        settings = config.generation
        place = self._encoder.blank_of if self._is_glm else _no_blank
        sizes = [len(entry.references) for entry in self._held_out]
        shares = held_out_shares(sizes, config.train.validation_samples)
        sources = held_out_sources(self._held_out, place, shares)
        longest = settings.max_tokens or config.seq2seq.max_target_length - 1
        answers = answer_sources(model, self.tokenizer, sources, settings, longest, world)
        found = score_answers(answers, sources, self.metric, settings)
        scores = {"loss": loss, **found.values}
        if len(self._held_out) > 1:
            counts = dict(zip(self._held_out_names, shares, strict=True))
            scores |= scores_by_entry(answers, sources, counts, self.metric, settings)
        return Evaluation(
            scores=scores,
            predictions=prediction_lines(answers, sources),
            note="\n".join(f"{name}: {one.signature}" for name, one in found.scores.items()),
        )

    def _held_out_loss(self, model: PreTrainedModel) -> float:
        """Return the cross-entropy per target token, in nats, without label smoothing."""
        context, unit = self._context, self._measuring_unit
        sampler = self._sampler_of(
            self._held_out, sampling_settings(FinetuneData(), _HELD_OUT_SEED)
        )
        batches = self._batches.held_out(
            sampler,
            context.config.train.validation_samples or sampler.num_chunks,
            # Shards compute in step: with them every process measures everything.
            is_shared=context.config.train.parallel == "ddp",
        )
        device = context.world.device
        return held_out_loss(
            lambda batch: unit(model, batch, device),
            unit,
            batches,
            context.world,
            context.precision,
        )

    def _open_plain_text(self) -> Sampler[Seq2SeqExample] | None:
        """Return the samples of `data.monolingual`, if there are any."""
        config, world = self._context.config, self._context.world
        if not config.data.monolingual:
            return None
        if self._is_glm:
            raise ValueError("data.monolingual is for encoder-decoders: leave it out for a GLM")
        with world.main_first():
            sampler, content = plain_text_sampler(
                config.data,
                self.tokenizer,
                mask_ratio=config.seq2seq.mask_ratio,
                max_length=max(config.seq2seq.max_source_length, SHORTEST_LENGTH),
                seed=config.train.seed,
                cache_dir=config.train.output_dir.parent / SHARDS_NAME,
                show_progress=world.is_main,
            )
        self.content += content
        return sampler

    def _sampler_of(
        self, entries: Sequence[EncodedPairs], settings: SamplingSettings
    ) -> PairSampler:
        return PairSampler(entries, self._example, self._special, settings)

    def _example(self, source: IntArray, target: IntArray) -> AnyExample:
        assert self._family.pair_example is not None
        return self._family.pair_example(source, target, self._special)

    def _show_pairs(self, train: Sequence[RawEntry], held_out: Sequence[RawEntry]) -> None:
        names = [entry.name for entry in train]
        names += [f"{entry.name} (held out)" for entry in held_out]
        rows = list(zip(names, [*self._train, *self._held_out], strict=True))
        self._context.display.show(pairs_table(rows))

    def _facts(self, padding: float) -> dict[str, str]:
        num_pairs = sum(len(entry.references) for entry in self._train)
        num_held_out = sum(len(entry.references) for entry in self._held_out)
        mixed = ", every other one of plain text" if self._plain_text else ""
        branch = (
            {"branch": self._context.config.ganlm.branch} if "ganlm" in self._family.applies else {}
        )
        return {
            **branch,
            "task": f"source to target, {num_pairs:,} pairs, {sum(map(len, self._train)):,} "
            f"examples an epoch in {self.steps_per_epoch:,} steps{mixed}",
            "batches": f"{self._batches}, {padding:.1%} padding",
            "chosen by": f"{self.metric} of {num_held_out:,} held-out sources",
        }


def _no_blank(source: Sequence[int]) -> int:
    return 0
