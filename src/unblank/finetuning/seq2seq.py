"""The task `seq2seq`: from source text to target text, with a DeltaLM, a GanLM or a GLM.

Encoder-decoders get batches of pairs of like length, GLMs packed rows, as in pretraining.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import get_args

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.length_groups import group_by_length, window_size
from unblank.data.loader import (
    DataState,
    ExampleSource,
    RowStream,
    StepBatches,
    validation_batches,
)
from unblank.data.packing import pack
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.types import AnyExample, IntArray, Seq2SeqExample
from unblank.finetuning.answers import (
    HeldOutSource,
    answer_sources,
    prediction_lines,
    score_answers,
)
from unblank.finetuning.config import FinetuneData, FinetuneGanLM, MetricName
from unblank.finetuning.encoded_pairs import EncodedPairs, PairSampler
from unblank.finetuning.encoding import PairEncoder
from unblank.finetuning.methods import prepare_tokenizer
from unblank.finetuning.seq2seq_data import (
    RawEntry,
    encode_entries,
    pairs_table,
    read_entries,
    sampling_settings,
)
from unblank.finetuning.task import Evaluation, TaskContext
from unblank.finetuning.transfer import AlternatingState, alternate, plain_text_sampler
from unblank.finetuning.vocabulary import extend_model, with_extra_tokens
from unblank.generation.rows import Prompt
from unblank.models.ganlm import GanLMConfig
from unblank.objectives.source_target import encoder_decoder_pair, glm_pair
from unblank.tokenization.special import encoder_decoder_ids, special_ids
from unblank.training.config import DataSettings, RunConfig, TrainSettings
from unblank.training.families import ENCODER_DECODERS, ModelFamily, family_of
from unblank.training.ganlm_unit import GanLMUnit
from unblank.training.hooks import held_out_loss
from unblank.training.materials import SHARDS_NAME
from unblank.training.modeling import build_model
from unblank.training.tokenizers import TOKENIZER_NAME, open_tokenizer
from unblank.training.units import InfillUnit, TrainUnit

__all__ = ["Seq2SeqTask", "fairseq_smoothing", "open_seq2seq"]

_LARGEST_WINDOW = 65536
"""Examples grouped or packed together; an epoch with fewer is one window."""

_SHORTEST_LENGTH = 32
"""That a pretraining configuration allows."""


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
    family = family_of(config.model, context.checkpoint)
    if family == "electra":
        raise ValueError("an ELECTRA writes no text: seq2seq needs a GLM, a DeltaLM or a GanLM")
    if family != "ganlm" and config.ganlm != FinetuneGanLM():
        raise ValueError(f"the section ganlm does not apply to a model of the family {family}")
    data = config.data
    train = read_entries(data, data.train, data.languages)
    held_out = read_entries(data, data.validation, data.validation_languages)
    with context.world.main_first():
        tokenizer = _tokenizer(context, family, train)
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
    metric: str
    higher_is_better: bool

    def __init__(
        self,
        context: TaskContext,
        family: ModelFamily,
        tokenizer: PreTrainedTokenizerFast,
        train: Sequence[RawEntry],
        held_out: Sequence[RawEntry],
    ) -> None:
        self.tokenizer = tokenizer
        self._context = context
        self._family = family
        self._is_glm = family not in ENCODER_DECODERS
        self.metric = context.config.train.metric or "loss"
        self.higher_is_better = self.metric != "loss"
        self._special = special_ids(tokenizer) if self._is_glm else encoder_decoder_ids(tokenizer)
        settings = context.config.seq2seq
        self._encoder = PairEncoder(
            tokenizer, self._special, settings, self._is_glm, context.world.is_main
        )
        self._train = encode_entries(train, self._encoder)
        self._held_out = encode_entries(held_out, self._encoder)
        languages = context.config.data.validation_languages
        self._held_out_names = languages or [e.name.rpartition("/")[2] for e in held_out]
        names = [entry.name for entry in train]
        names += [f"{entry.name} (held out)" for entry in held_out]
        entries = [*self._train, *self._held_out]
        context.display.show(pairs_table(list(zip(names, entries, strict=True))))
        self.content = [entry.content for entry in self._train]
        self._seed = context.config.train.seed
        sampling = sampling_settings(context.config.data, self._seed)
        self._sampler = self._sampler_of(self._train, sampling) if train else None
        self._rows_per_step, self._rows_per_pass = self._rows()
        rows_per_epoch, self._padding = self._measure_epoch()
        self.steps_per_epoch = max(1, round(rows_per_epoch / self._rows_per_step)) if train else 0
        self._plain_text = self._open_plain_text()
        if self._plain_text is not None:
            self.steps_per_epoch *= 2  # every other step is one of plain text
        self.facts = self._facts()

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from; see `FinetuneTask`."""
        context, settings = self._context, self._context.config.seq2seq
        config = context.config
        longest = max(settings.max_source_length, settings.max_target_length, _SHORTEST_LENGTH)
        run = RunConfig(
            model=config.model,
            tokenizer=config.tokenizer,
            data=DataSettings(max_length=longest if _is_new(context) else _SHORTEST_LENGTH),
            ganlm=config.ganlm,
            train=TrainSettings(seed=self._seed),
        )
        model = build_model(run, self._vocabulary_of_the_start(), context.checkpoint)
        extend_model(model, self.tokenizer, self._seed)
        self._require_positions(model)
        smoothing = fairseq_smoothing(settings.label_smoothing, model.config.vocab_size)
        self._measuring_unit: TrainUnit
        if isinstance(model.config, GanLMConfig):
            ganlm = config.ganlm
            self.unit = GanLMUnit(model.config, ganlm, self._seed, smoothing)
            alone = replace(ganlm, discriminator_weight=0.0, denoising_weight=0.0)
            self._measuring_unit = GanLMUnit(model.config, alone, self._seed)
        else:
            self.unit = InfillUnit(settings.label_smoothing if self._is_glm else smoothing)
            self._measuring_unit = InfillUnit()
        return model

    def steps(self, saved: Mapping[str, int] | None, /) -> Iterator[StepBatches]:
        """Yield the data of each step; see `FinetuneTask`."""
        assert self._sampler is not None
        window = min(self._sampler.num_chunks, _LARGEST_WINDOW)
        if self._plain_text is None:
            state = DataState(**(saved or {}))
            return self._stream(self._sampler, window, state)
        both = AlternatingState(**(saved or {}))  # type: ignore[arg-type]  # one field is a bool
        text_window = window_size(self._plain_text.mean_text_length, self._row_length)
        return alternate(
            self._stream(self._sampler, window, both.first),
            self._stream(self._plain_text, text_window, both.second),
            both,
        )

    def _stream(
        self, sampler: ExampleSource, window: int, state: DataState
    ) -> Iterator[StepBatches]:
        world = self._context.world
        stream = RowStream(
            sampler,
            row_length=self._row_length,
            num_workers=self._context.config.data.num_workers,
            window_size=window,
            state=state,
        )
        return stream.micro_batches(
            batch_size=self._rows_per_step,
            micro_batch_size=self._rows_per_pass,
            rank=world.rank,
            world_size=world.size,
        )

    def evaluate(self, model: PreTrainedModel, /) -> Evaluation:
        """Return the held-out scores; see `FinetuneTask`."""
        context = self._context
        if not self._held_out:
            raise ValueError("there are no held-out pairs: give data.validation")
        limit = context.config.train.validation_samples
        sampler = self._sampler_of(self._held_out, sampling_settings(FinetuneData(), seed=0))
        # Shards compute in step: with them every process measures everything.
        is_shared = context.config.train.parallel == "ddp"
        world = context.world
        batches = validation_batches(
            sampler,
            row_length=self._row_length,
            batch_size=self._rows_per_pass,
            max_samples=limit or sampler.num_chunks,
            rank=world.rank if is_shared else 0,
            world_size=world.size if is_shared else 1,
        )
        unit = self._measuring_unit
        loss = held_out_loss(
            lambda batch: unit(model, batch, world.device), unit, batches, world, context.precision
        )
        if self.metric == "loss":
            return Evaluation(scores={"loss": loss})
        sources = self._held_out_sources()[:limit]
        settings = context.config.generation
        longest = settings.max_tokens or context.config.seq2seq.max_target_length - 1
        answers = answer_sources(model, self.tokenizer, sources, settings, longest, world)
        scores = score_answers(answers, sources, self.metric, settings)
        return Evaluation(
            scores={"loss": loss, **scores.values, **self._scores_by_entry(answers, sources)},
            predictions=prediction_lines(answers, sources),
            note="\n".join(f"{name}: {one.signature}" for name, one in scores.scores.items()),
        )

    def _scores_by_entry(
        self, answers: Sequence[str], sources: Sequence[HeldOutSource]
    ) -> dict[str, float]:
        """Return the selection metric of each entry of the held-out data, if there are several."""
        if len(self._held_out) == 1:
            return {}
        scores: dict[str, float] = {}
        start = 0
        for name, entry in zip(self._held_out_names, self._held_out, strict=True):
            stop = min(start + len(entry.references), len(sources))
            if start < stop:
                found = score_answers(
                    answers[start:stop],
                    sources[start:stop],
                    self.metric,
                    self._context.config.generation,
                )
                scores[f"{self.metric} {name}"] = found.values[self.metric]
            start = stop
        return scores

    def _held_out_sources(self) -> list[HeldOutSource]:
        sources = []
        for entry in self._held_out:
            for place, (text, references) in enumerate(
                zip(entry.texts, entry.references, strict=True)
            ):
                token_ids = tuple(entry.sources[place].tolist())
                blank = self._encoder.blank_of(token_ids) if self._is_glm else 0
                sources.append(HeldOutSource(Prompt(token_ids, (blank,)), text, references))
        return sources

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
                max_length=max(config.seq2seq.max_source_length, _SHORTEST_LENGTH),
                seed=self._seed,
                cache_dir=config.train.output_dir.parent / SHARDS_NAME,
                show_progress=world.is_main,
            )
        self.content += content
        return sampler

    @property
    def _row_length(self) -> int:
        """Positions of a packed row, or of a group of pairs."""
        if not self._is_glm:
            return self._group_positions
        settings = self._context.config.seq2seq
        return max(settings.max_source_length + settings.max_target_length, _SHORTEST_LENGTH)

    @property
    def _group_positions(self) -> int:
        train, world = self._context.config.train, self._context.world
        return train.micro_batch_tokens or max(train.batch_tokens // world.size, 1)

    def _rows(self) -> tuple[int, int]:
        """Return the rows of a step, all processes together, and of a forward pass."""
        train, size = self._context.config.train, self._context.world.size
        per_step = max(train.batch_tokens // self._row_length, 1)
        per_step = max(per_step // size, 1) * size
        if not self._is_glm:
            return per_step, 1
        per_pass = self._group_positions // self._row_length
        return per_step, min(max(per_pass, 1), per_step // size)

    def _measure_epoch(self) -> tuple[float, float]:
        """Return the rows of an epoch, and the share of their positions that is padding."""
        sides = list(chain.from_iterable(entry.sides for entry in self._train))
        if not sides:
            return 0.0, 0.0
        some = sides[:_LARGEST_WINDOW]
        used = sum(map(sum, some))
        if self._is_glm:
            num_rows = len(pack([sum(side) for side in some], self._row_length))
            total = num_rows * self._row_length
        else:
            groups = group_by_length(some, self._row_length)
            num_rows = len(groups)
            total = sum(_area([some[item] for item in group]) for group in groups)
        return num_rows * len(sides) / len(some), 1 - used / total

    def _facts(self) -> dict[str, str]:
        num_pairs = sum(len(entry.references) for entry in self._train)
        kind = "packed rows" if self._is_glm else "groups of like length"
        return {
            "task": f"source to target, {num_pairs:,} pairs, {sum(map(len, self._train)):,} "
            f"examples an epoch in {self.steps_per_epoch:,} steps"
            + (", every other one of plain text" if self._plain_text else ""),
            "batches": f"{self._rows_per_step} {kind} of {self._row_length} positions a step, "
            f"{self._padding:.1%} padding",
            "chosen by": f"{self.metric} of {sum(len(e.references) for e in self._held_out):,} "
            "held-out sources",
        }

    def _sampler_of(
        self, entries: Sequence[EncodedPairs], settings: SamplingSettings
    ) -> PairSampler:
        def make(source: IntArray, target: IntArray) -> AnyExample:
            return self._example(source, target)

        return PairSampler(entries, make, self._special, settings)

    def _example(self, source: IntArray, target: IntArray) -> AnyExample:
        if self._is_glm:
            blank = self._encoder.blank_of(source.tolist())
            return glm_pair(source, blank, target, self._special)
        return encoder_decoder_pair(source, target, self._special)

    def _vocabulary_of_the_start(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer as the model to start from knows it, without added tokens."""
        config, checkpoint = self._context.config, self._context.checkpoint
        if checkpoint is not None or config.model.init_from is None:
            return self.tokenizer
        return _load_tokenizer(self._context, self._family, ())

    def _require_positions(self, model: PreTrainedModel) -> None:
        settings = self._context.config.seq2seq
        for name in ("max_source_length", "max_target_length"):
            limit = model.config.max_position_embeddings
            if getattr(settings, name) > limit:
                raise ValueError(
                    f"seq2seq.{name} is {getattr(settings, name)}, the model has {limit} "
                    f"positions: set --seq2seq.{name} {limit} or less"
                )


def _tokenizer(
    context: TaskContext, family: ModelFamily, train: Sequence[RawEntry]
) -> PreTrainedTokenizerFast:
    tokenizer = _load_tokenizer(context, family, train)
    if context.checkpoint is None:
        tokenizer = with_extra_tokens(tokenizer, context.config.tokenizer.extra_tokens)
    prepare_tokenizer(context.config, tokenizer)
    return tokenizer


def _load_tokenizer(
    context: TaskContext, family: ModelFamily, train: Sequence[RawEntry]
) -> PreTrainedTokenizerFast:
    def texts() -> Iterable[str]:
        return [
            text for entry in train for pair in entry.pairs for text in (pair.source, *pair.targets)
        ]

    config = context.config
    return open_tokenizer(
        config.model,
        config.tokenizer,
        family,
        texts,
        folder=config.train.output_dir / TOKENIZER_NAME,
        world=context.world,
        checkpoint=context.checkpoint,
        display=context.display,
    )


def _is_new(context: TaskContext) -> bool:
    return context.checkpoint is None and context.config.model.init_from is None


def fairseq_smoothing(epsilon: float, num_rows: int) -> float:
    """Return the smoothing over all V rows that is `epsilon` over the V - 1 wrong tokens.

    DeltaLM's and GanLM's programs spread epsilon over the other tokens: the target keeps 1 -
    epsilon, each other token has epsilon / (V - 1). The models spread over all rows.

    Args:
        epsilon: probability that is moved, in [0, 1).
        num_rows: V, rows of the model's vocabulary.
    """
    return epsilon * num_rows / (num_rows - 1)


def _area(sides: Sequence[tuple[int, int]]) -> int:
    sources, targets = zip(*sides, strict=True)
    return len(sides) * int(max(sources) + max(targets))
