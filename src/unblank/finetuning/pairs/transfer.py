"""Zero-shot cross-lingual transfer: every other step hides and restores spans of plain text.

A model that is fine-tuned on one language only soon answers in that language to every source.
DeltaLM (section 3.3) spends half of the steps on the pretraining objective in the languages to
transfer to, without sentinels in the target, so that they are never generated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerFast

from unblank.data.files import files_of_entries
from unblank.data.loader import DataState, StepBatches
from unblank.data.sampling import MINIMUM_TOKENS, Sampler, SamplingSettings
from unblank.data.shards import prepare_corpus
from unblank.data.sources import TextFiles, TextUnit
from unblank.examples import Seq2SeqExample
from unblank.objectives.seq2seq import build_seq2seq_objective
from unblank.objectives.seq2seq_settings import Seq2SeqSettings
from unblank.tokenization.sentences import sentence_end_flags
from unblank.tokenization.special import encoder_decoder_ids

__all__ = ["AlternatingState", "alternate", "plain_text_sampler"]


@dataclass(frozen=True, slots=True)
class AlternatingState(DataState):
    """Where two streams stand that give steps in turn; the fields of the first are inherited."""

    other_window: int = 0
    """Number of windows of the second stream fully consumed."""
    other_row: int = 0
    """Number of rows of its current window consumed."""
    is_others_turn: bool = False
    """Whether the next step takes from the second stream."""

    @property
    def first(self) -> DataState:
        """Where the first stream is."""
        return DataState(self.window, self.row)

    @property
    def second(self) -> DataState:
        """Where the second stream is."""
        return DataState(self.other_window, self.other_row)


def alternate(
    first: Iterator[StepBatches], second: Iterator[StepBatches], state: AlternatingState
) -> Iterator[StepBatches]:
    """Yield steps of two streams in turn.

    Args:
        first: stands at `state.first`.
        second: stands at `state.second`.
        state: where to go on.
    """
    while True:
        step = next(second if state.is_others_turn else first)
        here = step.state
        if state.is_others_turn:
            state = replace(
                state, other_window=here.window, other_row=here.row, is_others_turn=False
            )
        else:
            state = replace(state, window=here.window, row=here.row, is_others_turn=True)
        yield replace(step, state=state)


def plain_text_sampler(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    text_field: str,
    text_unit: TextUnit,
    mask_ratio: float,
    max_length: int,
    seed: int,
    cache_dir: Path,
    show_progress: bool,
) -> tuple[Sampler[Seq2SeqExample], list[str]]:
    """Return span corruption of `data.monolingual`, and a hash of each of its sources.

    As in training, the decoder starts with its start token, and targets have an end.

    Args:
        texts: entries of `data.monolingual`.
        tokenizer: with sentinels.
        text_field: field that holds a text.
        text_unit: what one document of a .txt file is.
        mask_ratio: share of the tokens to hide.
        max_length: tokens of the longest text.
        seed: of everything that is drawn.
        cache_dir: where tokenized text is kept.
        show_progress: show bars on the error stream.

    Raises:
        ValueError: if a file is broken, or the tokenizer has too few sentinels.
        FileNotFoundError: if a file is not there.
    """
    special = encoder_decoder_ids(tokenizer)
    settings = Seq2SeqSettings(
        mask_ratio=mask_ratio, remove_target_sentinels=True, start_token=True, end_token=True
    )
    corpora = [
        prepare_corpus(
            TextFiles(paths=paths, text_field=text_field, text_unit=text_unit),
            tokenizer,
            cache_dir=cache_dir,
            min_tokens=MINIMUM_TOKENS,
            show_progress=show_progress,
        )
        for paths in files_of_entries(texts)
    ]
    flags = sentence_end_flags(tokenizer)
    objective = build_seq2seq_objective(settings, special, flags, max_length)
    sampling = SamplingSettings(max_length=max_length, seed=seed)
    content = [corpus.folder.name for corpus in corpora]
    return Sampler(corpora, objective, special, sampling), content
