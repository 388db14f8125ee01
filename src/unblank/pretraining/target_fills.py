"""A look at what an encoder-decoder has learnt so far: held-out samples, the first blank filled.

The samples are those of the run's own objective, so that the model is asked what it was taught; the
counterpart for GLM is `fills`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.sampling import Sampler
from unblank.examples import IntArray, Seq2SeqExample
from unblank.tokenization.special import MASK_TOKEN, SpecialIds, encoder_decoder_ids

__all__ = ["HeldOutTarget", "held_out_targets", "target_function"]

_LONGEST_FILL = 16
_OTHER_BLANK = "..."


@dataclass(frozen=True, slots=True)
class HeldOutTarget:
    """A held-out source, how its target begins, and how it goes on."""

    text: str
    """The source, its first blank as `[MASK]` and others as three dots."""
    answer: str
    """What the target says up to the next blank, at most 16 tokens."""
    source_ids: tuple[int, ...]
    start_ids: tuple[int, ...]
    """What the decoder reads before it writes."""


def held_out_targets(
    sampler: Sampler[Seq2SeqExample], tokenizer: PreTrainedTokenizerFast, count: int = 3
) -> list[HeldOutTarget]:
    """Return the first few samples of held-out text.

    Args:
        sampler: of held-out text under the run's objectives.
        tokenizer: of the run.
        count: how many.
    """
    special = encoder_decoder_ids(tokenizer)
    numbers = range(min(count, sampler.num_chunks))
    return [_held_out(sampler.draw_example(number), tokenizer, special) for number in numbers]


def target_function(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, targets: Sequence[HeldOutTarget]
) -> Callable[[], list[dict[str, str]]]:
    """Return a function that continues the targets greedily with the model as it is when called.

    Args:
        model: the bare model, in evaluation mode when the function is called.
        tokenizer: of the run.
        targets: from `held_out_targets`.

    Returns:
        A function without arguments; each of its lines has `text`, `answer` and `fill`.
    """
    special = encoder_decoder_ids(tokenizer)

    def fill(target: HeldOutTarget) -> str:
        start = torch.tensor([target.start_ids], device=model.device)
        room = model.config.max_position_embeddings - start.shape[1]
        written = model.generate(
            torch.tensor([target.source_ids], device=model.device),
            decoder_input_ids=start,
            max_new_tokens=min(_LONGEST_FILL, room),
            do_sample=False,
            num_beams=1,
            eos_token_id=[special.eos, *special.sentinels],
        )
        text: str = tokenizer.decode(written[0, start.shape[1] :], skip_special_tokens=True)
        return text

    def fill_all() -> list[dict[str, str]]:
        # Sources differ in length: compiled training code would be compiled anew for each.
        with torch.compiler.set_stance("force_eager"):
            return [
                {"text": target.text, "answer": target.answer, "fill": fill(target)}
                for target in targets
            ]

    return fill_all


def _held_out(
    example: Seq2SeqExample, tokenizer: PreTrainedTokenizerFast, special: SpecialIds
) -> HeldOutTarget:
    ends = {special.eos, *special.sentinels}
    start, labels = example.decoder_input_ids[:1].tolist(), example.labels.tolist()
    if labels[0] in special.sentinels:  # the decoder starts with its start token
        start.append(labels.pop(0))
    length = next((place for place, label in enumerate(labels) if label in ends), len(labels))
    return HeldOutTarget(
        text=_readable(example.input_ids, tokenizer, {special.mask, *special.sentinels}),
        answer=tokenizer.decode(labels[: min(length, _LONGEST_FILL)]),
        source_ids=tuple(example.input_ids.tolist()),
        start_ids=tuple(start),
    )


def _readable(source: IntArray, tokenizer: PreTrainedTokenizerFast, blanks: set[int]) -> str:
    pieces: list[list[int]] = [[]]
    was_blank = False
    for token_id in source.tolist():
        is_blank = token_id in blanks
        if is_blank and not was_blank:
            pieces.append([])
        elif not is_blank:
            pieces[-1].append(token_id)
        was_blank = is_blank
    texts: list[str] = tokenizer.decode(pieces, skip_special_tokens=True)
    shown = texts[0]
    for number, text in enumerate(texts[1:]):
        shown += f" {_OTHER_BLANK if number else MASK_TOKEN} {text}"
    return " ".join(shown.split())
