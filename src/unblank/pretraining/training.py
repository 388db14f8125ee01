"""Pretraining as the engine sees it: samples of plain and parallel text, and their loss."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import closing

from transformers import PreTrainedModel

from unblank.data.language_sources import find_entry_files, parse_entry
from unblank.data.loader import DataState, RowStream, StepBatches
from unblank.data.shards import CorpusCache
from unblank.engine.memory_plan import ProcessLayout, count_sizes, plan_memory
from unblank.engine.parallel import require_equal_shares
from unblank.engine.training import Evaluation, RunContext
from unblank.engine.units import TrainUnit
from unblank.examples import AnyExample, Seq2SeqExample
from unblank.families.building import require_possible_model
from unblank.families.family import Family
from unblank.families.settings import FamilySections, ModelSettings, TokenizerSettings
from unblank.families.table import family_of_run
from unblank.models.neighbours import look_at_neighbours
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.plurals import counted
from unblank.pretraining.fills import fill_function
from unblank.pretraining.held_out import HeldOutText
from unblank.pretraining.language_shares import LanguageShare, shares_table
from unblank.pretraining.materials import Materials, gather_materials
from unblank.pretraining.settings import PretrainDataSettings, PretrainTrainSettings
from unblank.settings.given import refuse_unused
from unblank.starting.first_embeddings import start_from_cooccurrence
from unblank.starting.model import build_model

__all__ = ["open_pretraining"]


def open_pretraining(
    context: RunContext,
    *,
    cache: CorpusCache,
    model: ModelSettings,
    tokenizer: TokenizerSettings,
    data: PretrainDataSettings,
    sections: FamilySections,
    train: PretrainTrainSettings,
    given: Collection[str],
    hold_out: Sequence[int] = (),
) -> "Pretraining":
    """Return the training with its text tokenized.

    Args:
        context: of the run.
        cache: the folder of prepared text.
        model: the `model` section.
        tokenizer: the `tokenizer` section.
        data: the `data` section.
        sections: what is hidden, and which losses there are.
        train: the `train` section.
        given: dotted names of the settings that were given.
        hold_out: for each entry of the training text the threshold of `hold_out_thresholds`; none
            if nothing is held out of it.

    Raises:
        ValueError: text, model and settings do not fit; the message says what to do.
        FileNotFoundError: a file or folder is not there.
    """
    world = context.world
    family = family_of_run(model, context.checkpoint)
    group_size = family.rows.group_size(train.rows_per_pass)
    require_equal_shares(train.batch_size, world.size, group_size)
    refuse_unused(given, family.unused_settings)
    family.check_sections(sections)
    if data.languages:
        _require_use_of_tags(sections.seq2seq)
    if context.checkpoint is None:
        require_possible_model(family, model)
    for entry in (*data.train, *data.validation):
        # What is missing, or needs a package, is named before hours of work.
        find_entry_files([entry])
    if data.languages and any(parse_entry(entry).has_languages for entry in data.train):
        raise ValueError(
            "data.languages names the language of each entry, and entries name theirs: write them "
            "without @ and {lang}, or leave data.languages out"
        )
    materials = gather_materials(
        context,
        family,
        cache,
        model=model,
        tokenizer=tokenizer,
        data=data,
        sections=sections,
        seed=train.seed,
        micro_batch_size=train.rows_per_pass,
        output_dir=train.output_dir,
        hold_out=hold_out,
    )
    return Pretraining(
        context,
        family,
        materials,
        model=model,
        sections=sections,
        train=train,
        num_workers=data.num_workers,
    )


_NUM_MEASURED = 64
"""Samples drawn to estimate how many the run will see."""


class Pretraining:
    """See `unblank.engine.training.Training`; made by `open_pretraining`."""

    unit: TrainUnit
    metric = "loss"
    higher_is_better = False
    steps_per_epoch = 0

    def __init__(
        self,
        context: RunContext,
        family: Family,
        materials: Materials,
        *,
        model: ModelSettings,
        sections: FamilySections,
        train: PretrainTrainSettings,
        num_workers: int,
    ) -> None:
        self.tokenizer = materials.tokenizer
        self.content = materials.content
        self._world, self._precision = context.world, context.precision
        self._checkpoint = context.checkpoint
        self._family, self._materials = family, materials
        self._model, self._sections, self._train = model, sections, train
        self._num_workers = num_workers
        self._held_out = HeldOutText(
            materials,
            sections,
            num_samples=train.validation_samples,
            batch_size=self._rows_per_pass,
            # Sharded, each forward pass needs every process, so each measures everything.
            is_shared=train.parallel == "ddp",
            world=context.world,
            precision=context.precision,
        )
        self._fill: Callable[[], list[dict[str, str]]] | None = None
        self.facts: Mapping[str, str] = {
            "tokenizer": materials.vocabulary,
            "text": materials.description,
            "step": _step_text(train, materials.length, context.world.size),
            "objective": _objective_text(family, sections, materials),
        }
        if any(one.language for one in materials.training):
            context.display.show(
                shares_table(_language_shares(materials, train), is_verbose=train.verbose)
            )
        is_sharded = train.parallel == "fsdp" and context.world.size > 1
        self._can_fill = not is_sharded
        if train.sample_every and is_sharded:
            context.display.say(
                "note: no blanks are filled during the run, as the model is sharded"
            )

    def build_model(self) -> PreTrainedModel:
        """Return the model to start from; see `Training`."""
        train, materials = self._train, self._materials
        model = build_model(
            self._model,
            self.tokenizer,
            self._sections,
            max_length=materials.max_length,
            seed=train.seed,
            checkpoint=self._checkpoint,
        )
        if train.first_embeddings == "cooccurrence" and self._checkpoint is None:
            corpora = [one.corpus for one in materials.training]
            start_from_cooccurrence(model, corpora, train.seed)
        if train.first_attention == "neighbours" and self._checkpoint is None:
            look_at_neighbours(model, train.seed)
        if train.compile:
            model.base_model.compile(dynamic=False)
        self.unit = self._family.unit(
            model, self._sections, seed=train.seed, sampled_softmax=train.sampled_softmax
        )
        self.facts = {**self.facts, "memory": self._memory_estimate(model)}
        return model

    def _memory_estimate(self, model: PreTrainedModel) -> str:
        train = self._train
        positions = self._rows_per_pass * self._materials.row_length
        sizes = count_sizes(
            model,
            saves_all=True,
            has_average=train.ema_decay is not None,
            positions=positions,
            scored=positions,
            micro_batches=train.batch_size // (train.rows_per_pass * self._world.size),
            passes=self._family.memory_factor,
            activation_bytes=2 if self._precision.name == "bf16" else 4,
            recomputes=self._model.activation_checkpointing,
        )
        layout = ProcessLayout(train.parallel, self._world.size, train.shard_group)
        on_cpu = self._world.device.type == "cpu"
        needs = plan_memory(sizes, layout, on_cpu=on_cpu).values()
        estimate = sum(need.num_bytes for need in needs)
        return f"about {estimate / 2**30:.1f} GiB per process at the peak"

    def steps(self, saved: Mapping[str, int] | None, /) -> Generator[StepBatches]:
        """Yield the data of each step; see `Training`."""
        materials, train = self._materials, self._train
        window = self._family.rows.window_size(
            materials.sampler.mean_text_length, materials.row_length
        )
        stream = RowStream(
            materials.sampler,
            row_length=materials.row_length,
            num_workers=self._num_workers,
            window_size=window,
            state=DataState(**(saved or {})),
        )
        with closing(stream):
            yield from stream.micro_batches(
                batch_size=train.batch_size * self._rows_per_pass // train.rows_per_pass,
                micro_batch_size=self._rows_per_pass,
                rank=self._world.rank,
                world_size=self._world.size,
            )

    def evaluate(self, model: PreTrainedModel, /) -> Evaluation:
        """Return the loss of the held-out samples; see `Training`."""
        return Evaluation(scores=self._held_out.measure(model, self.unit))

    def fill(self, model: PreTrainedModel, /) -> list[dict[str, str]]:
        """Return a few held-out blanks with what the model puts into them; see `Training`."""
        if not self._can_fill:
            return []
        if self._fill is None:
            self._fill = fill_function(self._family, model, self._materials, self._sections)
        return self._fill()

    @property
    def _rows_per_pass(self) -> int:
        return self._family.rows.rows_per_pass(self._train.rows_per_pass)


def _require_use_of_tags(seq2seq: Seq2SeqSettings) -> None:
    if not (seq2seq.denoising or seq2seq.mass):
        raise ValueError(
            "data.languages applies to denoising and MASS, as span corruption uses no language "
            "tags: leave it out, or set --seq2seq.denoising 1 --seq2seq.span-corruption 0 "
            "(mBART)"
        )


def _language_shares(materials: Materials, train: PretrainTrainSettings) -> list[LanguageShare]:
    """Return how much of each language the run draws, as far as the first samples tell."""
    sampler = materials.sampler
    drawn = [_num_positions(sampler.draw_example(number)) for number in range(_NUM_MEASURED)]
    positions = (train.max_steps or 0) * train.batch_size * materials.length
    num_samples = round(positions / (sum(drawn) / len(drawn)))
    is_known = num_samples > 0  # a run of so many minutes does not know its steps yet
    num_samples = num_samples or sampler.num_chunks
    counts = sampler.source_counts(num_samples)
    return [
        LanguageShare(
            code=source.language,
            num_documents=len(source.corpus),
            num_tokens=source.corpus.num_tokens,
            share=count / max(num_samples, 1),
            epochs=epochs if is_known else None,
        )
        for source, (count, epochs) in zip(materials.training, counts, strict=True)
        if source.language
    ]


def _num_positions(example: AnyExample) -> int:
    if isinstance(example, Seq2SeqExample):
        return len(example.input_ids) + len(example.labels)
    return len(example)


def _step_text(train: PretrainTrainSettings, length: int, num_processes: int) -> str:
    micro_batches = max(train.batch_size // (train.rows_per_pass * num_processes), 1)
    return (
        f"{counted(train.batch_size, 'row')} of {length} positions in "
        f"{counted(micro_batches, 'micro-batch', 'micro-batches')}"
    )


def _objective_text(family: Family, sections: FamilySections, materials: Materials) -> str:
    """Return every objective that is drawn with its share of the texts' samples."""
    shares = family.objective_shares(sections) if materials.has_texts else {}
    names = [f"{name} {share:.3g}" for name, share in shares.items() if share]
    return ", ".join(names + ["translation_span_corruption of pairs"] * materials.has_pairs)
