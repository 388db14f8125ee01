"""Decoding prompts of any kind: all at once in batches of similar length, or as a stream.

From token ids to token ids; `infill` and `seq2seq` turn texts into prompts and back.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

from unblank.data.length_groups import length_batches
from unblank.generation.beam import BeamDecoder
from unblank.generation.independent import DecodingJob, IndependentDecoder, RowEvent
from unblank.generation.options import SearchOptions
from unblank.generation.pieces import Filling
from unblank.generation.results import TokenEvent
from unblank.generation.rows import Prompt
from unblank.generation.setup import DecoderSetup
from unblank.load_balancing import padded_size
from unblank.shared_batches import compute_batches

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = [
    "TokenReader",
    "decode_in_batches",
    "in_batches",
    "require_streamable",
    "stream_tokens",
]

_Found = TypeVar("_Found")


def decode_in_batches(
    setup: DecoderSetup,
    prompts: Sequence[Prompt],
    batch_size: int,
    *,
    longest_first: bool = False,
    prepared: Callable[[int], Prompt] | None = None,
) -> Iterator[list[tuple[int, list[Filling]]]]:
    """Yield batch by batch the numbers of prompts with their fillings, best first.

    Prompts of similar length go together, as they need the least padding.

    Args:
        setup: how to decode.
        prompts: any number.
        batch_size: prompts decoded together.
        longest_first: what does not fit in memory then fails early.
        prepared: returns a prompt by its number, ready to be decoded, where getting all ready at
            once would take too much memory.

    Raises:
        ValueError: if the batch size is not positive.
        TypeError: if it is not a whole number.
    """

    def decoded(batch: list[int]) -> list[list[Filling]]:
        ready = [prompts[number] if prepared is None else prepared(number) for number in batch]
        return _decode(setup, ready)

    return in_batches(prompts, batch_size, decoded, longest_first=longest_first)


def in_batches(
    prompts: Sequence[Prompt],
    batch_size: int,
    decode: Callable[[list[int]], list[_Found]],
    *,
    longest_first: bool = False,
) -> Iterator[list[tuple[int, _Found]]]:
    """Yield batch by batch the numbers of prompts with what was decoded of each.

    Args:
        prompts: any number; those of similar length go together.
        batch_size: prompts decoded together.
        decode: numbers of prompts -> what is found of each.
        longest_first: what does not fit in memory then fails early.

    Raises:
        ValueError: if the batch size is not positive.
        TypeError: if it is not a whole number.
    """
    lengths = [len(prompt.token_ids) for prompt in prompts]
    batches = length_batches(lengths, batch_size, longest_first=longest_first)

    def decoded(batch: list[int]) -> list[_Found]:
        # The mode must not leak into the caller's code between two batches.
        with torch.inference_mode():
            return decode(batch)

    costs = [padded_size([lengths[number] for number in batch]) for batch in batches]
    for batch, found in zip(batches, compute_batches(batches, decoded, costs), strict=True):
        yield list(zip(batch, found, strict=True))


def stream_tokens(
    setup: DecoderSetup,
    prompt: Prompt,
    tokenizer: "PreTrainedTokenizerFast",
    text_of: Callable[[Sequence[int]], str],
) -> Iterator[TokenEvent | Filling]:
    """Return an iterator over every token as it is chosen, with the filling at last.

    Args:
        setup: how to decode.
        prompt: what to decode; events count its blanks in the order in which they are filled.
        tokenizer: of the model.
        text_of: the text of an answer so far.

    Raises:
        ValueError: for beam search and several answers, which have no single next token.
    """
    require_streamable(setup.options)
    return _stream(setup, prompt, tokenizer, text_of)


def require_streamable(options: SearchOptions) -> None:
    """Raise ValueError for beam search and several answers, which have no single next token."""
    if options.num_beams > 1 or options.num_return > 1:
        raise ValueError(
            "only greedy decoding and sampling of one answer can be streamed: set num_beams and "
            "num_return to 1"
        )


class TokenReader:
    """Turns the chosen tokens of one row into events with the answer so far."""

    def __init__(
        self,
        setup: DecoderSetup,
        tokenizer: "PreTrainedTokenizerFast",
        text_of: Callable[[Sequence[int]], str],
    ) -> None:
        self._end_ids = setup.rules.end_ids
        self._tokenizer = tokenizer
        self._text_of = text_of
        self._answers: dict[int, list[int]] = defaultdict(list)

    def read(self, choice: RowEvent) -> TokenEvent:
        """Return the event of the next token, its blank counted in the order of filling."""
        answer, token_id = self._answers[choice.blank], choice.token_id
        is_end = token_id in self._end_ids
        answer += [] if is_end else [token_id]
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        text = self._text_of(answer)
        return TokenEvent(choice.blank, token, token_id, choice.log_probability, text, is_end)


def _stream(
    setup: DecoderSetup,
    prompt: Prompt,
    tokenizer: "PreTrainedTokenizerFast",
    text_of: Callable[[Sequence[int]], str],
) -> Iterator[TokenEvent | Filling]:
    job = DecodingJob(setup, prompt)
    choices = IndependentDecoder().run([job])
    reader = TokenReader(setup, tokenizer, text_of)
    while True:
        # The mode must not leak into the caller's code between two tokens.
        with torch.inference_mode():
            choice = next(choices, None)
        if choice is None:
            break
        yield reader.read(choice)
    yield job.fillings[0]


def _decode(setup: DecoderSetup, prompts: Sequence[Prompt]) -> list[list[Filling]]:
    if setup.options.num_beams > 1:
        return BeamDecoder(setup, prompts).run()
    jobs = [DecodingJob(setup, prompt) for prompt in prompts]
    for _ in IndependentDecoder().run(jobs):
        pass
    return [job.ranked() for job in jobs]
