"""The examples of `--task seq2seq`: files to encoded pairs, with the tags of their languages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from unblank.data.files import FileSearch
from unblank.data.hold_out import NUM_HASHES, HashPart
from unblank.data.mixing import temperature_schedule
from unblank.data.sampling import SamplingSettings
from unblank.finetuning.pairs.encoded import EncodedPairs
from unblank.finetuning.pairs.encoding import PairEncoder
from unblank.finetuning.pairs.entry_languages import LanguageEntry, language_entries
from unblank.finetuning.pairs.text import TextPair, parts_of_entry, read_text_pairs
from unblank.finetuning.settings import FinetuneDataSettings
from unblank.tokenization.source_layout import language_tag_id

__all__ = [
    "RawEntry",
    "encode_entries",
    "pairs_table",
    "plain_sampling",
    "read_entries",
    "read_training_entries",
    "sampling_settings",
    "unused_of_entries",
]


_ANY_LENGTH = 32
"""No limit: examples were cut when they were encoded, but the loader asks for a length."""


@dataclass(frozen=True, slots=True)
class RawEntry:
    """One entry of the data as text.

    Attributes:
        name: as it was given.
        pairs: at least one.
        tag: token before every source, such as `__de__`; None for none.
        languages: SOURCE-TARGET, or one that both sides have; empty if they are not known.
    """

    name: str
    pairs: list[TextPair]
    tag: str | None
    languages: str = ""


def read_training_entries(data: FinetuneDataSettings) -> list[RawEntry]:
    """Return the pairs to train on, or the share of them that is asked for.

    Raises:
        ValueError: the share of an entry has no pair, or as for `read_text_pairs`.
    """
    entries = read_entries(data, data.train, data.languages)
    if data.share == 1:
        return entries
    part = HashPart(int(data.share * NUM_HASHES), is_held_out=True)
    kept = [
        replace(entry, pairs=[pair for pair in entry.pairs if part.has(pair.source)])
        for entry in entries
    ]
    for entry in kept:
        if not entry.pairs:
            raise ValueError(f"data.share is {data.share}, of which {entry.name} has no pair")
    return kept


def read_entries(
    data: FinetuneDataSettings, entries: Sequence[str], languages: Sequence[str] | None
) -> list[RawEntry]:
    """Return the pairs of some entries; errors as for `read_text_pairs`.

    Args:
        data: names the fields, and whose language the tag names.
        entries: `data.train` or `data.validation`.
        languages: of each entry, SOURCE-TARGET; None for no tags.
    """
    known = language_entries(entries)
    tags: list[str | None] = [None] * len(known)
    if languages is not None:
        _require_one_each(known, entries)
        sides = [pair.split("-") for pair in languages]
        tags = [f"__{side[data.tag == 'target']}__" for side in sides]
        known = [
            one if one.target else LanguageEntry(one.entry, *pair)
            for one, pair in zip(known, sides, strict=True)
        ]
    search = FileSearch()
    found = [
        RawEntry(
            one.entry,
            read_text_pairs(
                one.entry,
                data.source,
                data.target,
                search,
                languages=(one.source, one.target),
                lines=data.lines,
            ),
            tag,
            one.languages,
        )
        for one, tag in zip(known, tags, strict=True)
    ]
    search.warn()
    return found


def unused_of_entries(data: FinetuneDataSettings) -> dict[str, str]:
    """Return settings that are not used where all entries name their own sides, and why.

    Raises:
        FileNotFoundError: an entry with `{lang}` matches no file.
        ValueError: as for `language_entries`.
    """
    known = language_entries([*data.train, *data.validation])
    if not all(len(parts_of_entry(one.entry)) > 1 for one in known):
        return {}
    why = "every entry of data.train and data.validation names both of its sides"
    return dict.fromkeys(("data.source", "data.target"), why)


def _require_one_each(known: Sequence[LanguageEntry], entries: Sequence[str]) -> None:
    """Refuse `{lang}` where tags are given entry by entry."""
    if len(known) != len(entries):
        raise ValueError(
            f"data.languages gives the tags of {len(entries)} entries, but {{lang}} makes "
            f"{len(known)} of them: name each file, or leave data.languages out"
        )


def encode_entries(entries: Sequence[RawEntry], encoder: PairEncoder) -> list[EncodedPairs]:
    """Return the entries as token ids.

    Raises:
        ValueError: if the vocabulary lacks a tag, or a text is empty or too long.
    """
    tag_ids = [
        None if entry.tag is None else language_tag_id(encoder.tokenizer, entry.tag, entry.name)
        for entry in entries
    ]
    return [
        encoder.encode(entry.pairs, tag_id, entry.name)
        for entry, tag_id in zip(entries, tag_ids, strict=True)
    ]


def sampling_settings(data: FinetuneDataSettings, seed: int) -> SamplingSettings:
    """Return how entries are mixed."""
    temperature = temperature_schedule(
        data.temperature_start, data.temperature_end, data.temperature_epochs
    )
    return SamplingSettings(
        max_length=_ANY_LENGTH, seed=seed, alpha=data.alpha, temperature=temperature
    )


def plain_sampling(seed: int) -> SamplingSettings:
    """Return how the entries are mixed that are measured: each by its size."""
    return SamplingSettings(max_length=_ANY_LENGTH, seed=seed)


def pairs_table(rows: Sequence[tuple[str, EncodedPairs]]) -> Table:
    """Return what became of the pairs of each entry, for the console."""
    table = Table(title="pairs", title_justify="left")
    table.add_column("entry", overflow="fold")
    counts = ("pairs", "examples", "sources cut", "targets cut", "skipped", "tokens")
    for name in counts:
        table.add_column(name, justify="right")
    for name, pairs in rows:
        numbers = (
            len(pairs.references),
            len(pairs),
            pairs.num_cut_sources,
            pairs.num_cut_targets,
            pairs.num_skipped,
            sum(map(sum, pairs.sides)),
        )
        table.add_row(name.rpartition("/")[2], *(f"{number:,}" for number in numbers))
    return table
