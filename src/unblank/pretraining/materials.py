"""What a pretraining run needs besides the model: tokenizer, tokenized text, samplers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from unblank.data.drawn_texts import beginnings
from unblank.data.mixing import temperature_schedule
from unblank.data.pairs import PairCorpus
from unblank.data.prepared import PreparedCorpus
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.shards import CorpusCache
from unblank.data.sources import TextFiles
from unblank.engine.training import RunContext
from unblank.families.family import Family
from unblank.families.settings import FamilySections, ModelSettings, TokenizerSettings
from unblank.plurals import counted
from unblank.pretraining.prepared_text import NamedCorpus, prepare_text
from unblank.pretraining.settings import PretrainDataSettings
from unblank.tokenization.fidelity import count_words, describe_tokenizer
from unblank.tokenization.sentences import sentence_end_flags
from unblank.tokenization.source_layout import language_tag_id

__all__ = ["Materials", "gather_materials"]

_HELD_OUT_SEED = 0
"""Seed for held-out samples, the same in every run so that runs can be compared."""

_Corpus = PreparedCorpus | PairCorpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Materials:
    """The tokenizer and the data of a run, ready to draw from.

    Attributes:
        family: of the model.
        tokenizer: saved with the model.
        training: what the run learns from; pairs last.
        sampler: training samples.
        held_out: held-out text, perhaps none, each by a short name.
        held_out_tags: languages of the held-out texts, if they have tags.
        max_length: positions of a sample.
        length: positions of a packed row, or of one of the samples that share a group.
        row_length: positions of a row of the stream.
        vocabulary: the tokenizer in words, and what it keeps of the training text.
        content: hash of each training source: its text, tokenizer and settings.
        description: documents and tokens, for the header.
        has_texts: whether there is plain text to learn from.
        has_pairs: whether there are pairs to learn from.
    """

    family: Family
    tokenizer: PreTrainedTokenizerFast
    training: list[NamedCorpus]
    sampler: Sampler[Any]
    held_out: list[NamedCorpus]
    held_out_tags: Sequence[str] | None
    max_length: int
    length: int
    row_length: int
    vocabulary: str
    content: list[str]
    description: str
    has_texts: bool
    has_pairs: bool

    def held_out_sampler(
        self, sections: FamilySections, weights: tuple[float, ...] | None = None
    ) -> Sampler[Any]:
        """Return samples of the held-out text, the same for every seed of the run.

        Args:
            sections: what is hidden.
            weights: shares of the held-out texts; None goes by their size.
        """
        return _sampler(
            self.family,
            self.tokenizer,
            self.held_out,
            self.held_out_tags,
            sections,
            SamplingSettings(max_length=self.max_length, seed=_HELD_OUT_SEED, weights=weights),
        )


def gather_materials(
    context: RunContext,
    family: Family,
    cache: CorpusCache,
    *,
    model: ModelSettings,
    tokenizer: TokenizerSettings,
    data: PretrainDataSettings,
    sections: FamilySections,
    seed: int,
    micro_batch_size: int,
    output_dir: Path,
    hold_out: Sequence[int],
) -> Materials:
    """Return what the run needs, making what is not there yet.

    Args:
        context: of the run; its main process makes, the others wait.
        family: of the model.
        cache: the folder of prepared text.
        model: the `model` section.
        tokenizer: the `tokenizer` section.
        data: the `data` section.
        sections: what is hidden.
        seed: of the samples.
        micro_batch_size: rows of a forward pass.
        output_dir: folder of the run.
        hold_out: for each source of `train` the threshold below which documents are held out, 0
            for none; empty if nothing is.

    Raises:
        ValueError: if a file is broken, or text, tokenizer and objective do not fit.
        FileNotFoundError: if a named file or folder is not there.
    """
    text = prepare_text(
        cache,
        context.world,
        context.display,
        family,
        model=model,
        tokenizer=tokenizer,
        data=data,
        output_dir=output_dir,
        checkpoint=context.checkpoint,
        hold_out=hold_out,
    )
    context.display.show(text.table(data.max_length))
    sampling = SamplingSettings(
        max_length=data.max_length,
        seed=seed,
        weights=data.weights,
        alpha=data.alpha,
        temperature=temperature_schedule(
            data.temperature_start, data.temperature_end, data.temperature_epochs
        ),
    )
    sampler = _sampler(family, text.tokenizer, text.training, data.languages, sections, sampling)
    length = data.row_length or data.max_length
    return Materials(
        family=family,
        tokenizer=text.tokenizer,
        training=text.training,
        sampler=sampler,
        held_out=_with_short_names(text.held_out),
        held_out_tags=_held_out_tags(data, hold_out),
        max_length=data.max_length,
        length=length,
        row_length=family.rows.row_length(length, micro_batch_size),
        vocabulary=_describe_vocabulary(text.tokenizer, text.sources),
        content=[_content(one.corpus) for one in text.training],
        description=_describe([one.corpus for one in text.training], sampler),
        has_texts=bool(data.train),
        has_pairs=bool(data.pairs),
    )


def _sampler(
    family: Family,
    tokenizer: PreTrainedTokenizerFast,
    sources: Sequence[NamedCorpus],
    languages: Sequence[str] | None,
    sections: FamilySections,
    sampling: SamplingSettings,
) -> Sampler[Any]:
    """Return the sampler of the family's examples; texts come first, pairs last."""
    flags, special = sentence_end_flags(tokenizer), family.special_ids(tokenizer)
    max_length = sampling.max_length
    tags: list[int | None] = [
        language_tag_id(tokenizer, f"__{language}__", f"language {language!r}")
        for language in languages or ()
    ]
    corpora = [one.corpus for one in sources]
    objectives: list[Any] = []
    for place, corpus in enumerate(corpora):
        if isinstance(corpus, PairCorpus):
            assert family.pair_objective is not None
            objectives.append(family.pair_objective(sections, special, flags, max_length))
            continue
        tag = tags[place] if tags else None
        objectives.append(family.text_objective(sections, special, flags, max_length, tag))
    return Sampler(corpora, objectives, special, sampling)


def _with_short_names(corpora: Sequence[NamedCorpus]) -> list[NamedCorpus]:
    """Name each by the last part of its path, where no two would then have one name."""
    names = [Path(one.name).name for one in corpora]
    return [
        replace(one, name=name) if names.count(name) == 1 else one
        for name, one in zip(names, corpora, strict=True)
    ]


def _content(corpus: _Corpus) -> str:
    return corpus.content if isinstance(corpus, PairCorpus) else corpus.folder.name


def _held_out_tags(data: PretrainDataSettings, hold_out: Sequence[int]) -> tuple[str, ...] | None:
    """Return the language of each held-out text, as its tag has it."""
    if not any(hold_out) or data.languages is None:
        return data.validation_languages
    pairs = zip(data.languages, hold_out, strict=True)
    return tuple(language for language, below in pairs if below)


def _describe_vocabulary(tokenizer: PreTrainedTokenizerFast, texts: Sequence[TextFiles]) -> str:
    words = count_words(tokenizer, beginnings(texts, 200_000), num_characters=200_000)
    if words.total and words.unknown == words.total:
        raise ValueError(
            f"the tokenizer ({describe_tokenizer(tokenizer)}) knows no word of the training text: "
            "use the tokenizer of its language, or leave tokenizer.path out to train one"
        )
    return f"{describe_tokenizer(tokenizer)}; {words}"


def _describe(corpora: Sequence[_Corpus], sampler: Sampler[Any]) -> str:
    num_tokens = sum(corpus.num_tokens for corpus in corpora)
    num_pairs = sum(len(corpus) for corpus in corpora if isinstance(corpus, PairCorpus))
    num_documents = sum(map(len, corpora)) - num_pairs
    counts = {"document": num_documents, "pair": num_pairs}
    shown = " and ".join(counted(count, name) for name, count in counts.items() if count)
    samples = counted(sampler.num_chunks, "sample")
    return f"{counted(num_tokens, 'token')} in {shown}; {samples} per epoch"
