"""From pairs of texts to token ids as a model of a family reads them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerFast

from unblank.finetuning.pairs.encoded import EncodedPairs, TokenTable
from unblank.finetuning.pairs.fills import encode_fills, num_blanks
from unblank.finetuning.pairs.text import TextPair
from unblank.finetuning.settings import PairSettings
from unblank.progress_bars import counting_bar
from unblank.tokenization.encoding import encode_with_blanks, text_encoder
from unblank.tokenization.source_layout import encoder_source, glm_part_a, glm_source
from unblank.tokenization.special import BLANK_TOKENS, SpecialIds
from unblank.tokenization.unknown_text import note_unknown

__all__ = ["PairEncoder"]

_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class PairEncoder:
    """Encodes pairs for one family.

    Attributes:
        tokenizer: of the model.
        special: its special tokens, as the family uses them.
        settings: lengths, and the blank.
        in_blank: whether the target fills a blank of the source; else it answers the source.
        show_progress: show bars on the error stream.
    """

    tokenizer: PreTrainedTokenizerFast
    special: SpecialIds
    settings: PairSettings
    in_blank: bool
    show_progress: bool = True

    def encode(self, pairs: Sequence[TextPair], tag_id: int | None, name: str) -> EncodedPairs:
        """Return the pairs as token ids.

        Args:
            pairs: at least one.
            tag_id: tag of a language before every source.
            name: of the data, for the progress bar and messages.

        Raises:
            ValueError: a text without any token, or one that is too long where that is refused.
        """
        if self.in_blank and any(num_blanks(pair.source) > 1 for pair in pairs):
            if tag_id is not None:
                raise ValueError(
                    f"{name} has texts with several blanks, which take no tag of a language: leave "
                    "data.languages out"
                )
            return encode_fills(pairs, self.tokenizer, self.special, self.settings)
        sources = list(self._sources([pair.source for pair in pairs], tag_id, name))
        texts = [reference for pair in pairs for reference in pair.targets]
        targets = list(self._ids([f" {text}" for text in texts] if self.in_blank else texts, name))
        owners = [number for number, pair in enumerate(pairs) for _ in pair.targets]
        for ids, pair in zip(sources, pairs, strict=True):
            _require_tokens(ids, pair, "source")
        for ids, owner in zip(targets, owners, strict=True):
            _require_tokens(ids, pairs[owner], "target")
        source_lengths = [len(self._laid_out(ids, tag_id)) for ids in sources]
        limit, room = self.settings.max_source_length, self.settings.max_target_length - 1
        long_sources = {n for n, length in enumerate(source_lengths) if length > limit}
        long_targets = [number for number, ids in enumerate(targets) if len(ids) > room]
        if self.settings.too_long == "refuse":
            for number in sorted(long_sources):
                _refuse_long(pairs[number], "source", source_lengths[number], limit)
            for number in long_targets:
                _refuse_long(pairs[owners[number]], "target", len(targets[number]) + 1, room + 1)
        skipped = set()
        if self.settings.too_long == "skip":
            skipped = long_sources | {owners[number] for number in long_targets}
            if len(skipped) == len(pairs):
                raise ValueError(
                    f"every pair of {name} is too long: raise seq2seq.max_source_length or "
                    "seq2seq.max_target_length"
                )
            long_sources, long_targets = set(), []
        kept = [number for number in range(len(pairs)) if number not in skipped]
        place_of = {number: place for place, number in enumerate(kept)}
        examples = [number for number, owner in enumerate(owners) if owner in place_of]
        return EncodedPairs(
            sources=TokenTable.of([self._source(sources[n], tag_id, pairs[n]) for n in kept]),
            targets=TokenTable.of([targets[number][:room] for number in examples]),
            owners=np.array([place_of[owners[number]] for number in examples], dtype=np.int64),
            texts=tuple(pairs[number].source for number in kept),
            references=tuple(pairs[number].targets for number in kept),
            places=tuple(pairs[number].place for number in kept),
            num_cut_sources=len(long_sources),
            num_cut_targets=len(long_targets),
            num_skipped=len(skipped),
        )

    def blanks_of(self, source: Sequence[int]) -> tuple[int, ...]:
        """Return the positions of the blanks in a source; 0 where there is none."""
        if not self.in_blank:
            return (0,)
        return tuple(place for place, i in enumerate(source) if i in self.special.blanks)

    def _sources(self, texts: Sequence[str], tag_id: int | None, name: str) -> Iterator[list[int]]:
        """Yield the ids of each source; those that hold a blank are read with it."""
        if not self.in_blank or not any(blank in text for text in texts for blank in BLANK_TOKENS):
            yield from self._ids(texts, name)
            return
        for text in texts:
            yield encode_with_blanks(self.tokenizer, text)

    def _ids(self, texts: Sequence[str], name: str) -> Iterator[list[int]]:
        core = text_encoder(self.tokenizer)
        is_shown = self.show_progress and len(texts) > _CHUNK
        with counting_bar(f"encoding {name}", len(texts), show=is_shown) as advance:
            for start in range(0, len(texts), _CHUNK):
                chunk = list(texts[start : start + _CHUNK])
                encoded = core.encode_batch_fast(chunk, add_special_tokens=False)
                ids = [encoding.ids for encoding in encoded]
                note_unknown(self.tokenizer, chunk, ids)
                yield from ids
                advance(len(chunk))

    def _laid_out(self, ids: Sequence[int], tag_id: int | None) -> tuple[int, ...]:
        """Return what the model reads, uncut."""
        if not self.in_blank:
            return encoder_source(ids, self.special.eos, tag_id)
        blank = dict(zip(BLANK_TOKENS, self.special.blanks, strict=True))[self.settings.blank]
        if not set(self.special.blanks) & set(ids):
            return glm_source(ids, self.special, blank, tag_id)
        return glm_part_a(ids, self.special, tag_id)

    def _source(self, ids: Sequence[int], tag_id: int | None, pair: TextPair) -> tuple[int, ...]:
        excess = len(self._laid_out(ids, tag_id)) - self.settings.max_source_length
        if excess <= 0:
            return self._laid_out(ids, tag_id)
        blanks = [place for place, i in enumerate(ids) if i in self.special.blanks]
        if self.in_blank and blanks:
            return self._laid_out(_cut_far_from_blank(ids, blanks[0], excess, pair.place), tag_id)
        return self._laid_out(ids[:-excess], tag_id)


def _cut_far_from_blank(ids: Sequence[int], blank: int, excess: int, place: str) -> Sequence[int]:
    """Shorten the longer side of a blank, at the end that is far from it."""
    num_behind = len(ids) - blank - 1
    if max(blank, num_behind) < excess:
        raise ValueError(
            f"{place}: the text around the blank is longer than seq2seq.max_source_length: "
            "raise it, or shorten the text of data.source"
        )
    return ids[:-excess] if num_behind >= blank else ids[excess:]


def _require_tokens(ids: Sequence[int], pair: TextPair, side: str) -> None:
    if not ids:
        raise ValueError(f"{pair.place}: the {side} has no token: remove the pair")


def _refuse_long(pair: TextPair, side: str, length: int, limit: int) -> None:
    raise ValueError(
        f"{pair.place}: the {side} has {length} tokens, but seq2seq.max_{side}_length is {limit}: "
        "shorten it, raise the limit, or have it cut (--seq2seq.too-long cut)"
    )
