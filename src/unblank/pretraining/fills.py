"""A look at what the model has learnt so far: the same few held-out blanks, filled now and then."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.data.sampling import Sampler
from unblank.examples import IGNORE_INDEX, Example
from unblank.tokenization.encoding import decode_with_blanks
from unblank.tokenization.special import special_ids

__all__ = ["HeldOutBlank", "fill_function", "held_out_blanks"]

_LONGEST_FILL = 16


@dataclass(frozen=True, slots=True)
class HeldOutBlank:
    """A held-out text with one blank, and what stood there."""

    text: str
    """With the blank as `[MASK]`."""
    answer: str
    """The original words."""


def held_out_blanks(
    sampler: Sampler, tokenizer: PreTrainedTokenizerFast, count: int = 3
) -> list[HeldOutBlank]:
    """Return the first few samples as readable texts.

    Args:
        sampler: of held-out text under the objective `single_span`.
        tokenizer: of the run.
        count: how many.
    """
    examples = [sampler.draw_example(number) for number in range(min(count, sampler.num_chunks))]
    # Half the positions: the text is encoded again when filled, perhaps into more tokens.
    width = sampler.settings.max_length // 4
    return [_readable(example, tokenizer, width) for example in examples]


def fill_function(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, blanks: Sequence[HeldOutBlank]
) -> Callable[[], list[dict[str, str]]]:
    """Return a function that fills the blanks greedily with the model as it is when called.

    Args:
        model: the bare model, in evaluation mode when the function is called.
        tokenizer: of the run.
        blanks: from `held_out_blanks`.

    Returns:
        A function without arguments; each of its lines has `text`, `answer` and `fill`.
    """
    from unblank.generation.infill import Filler
    from unblank.generation.options import DecodingOptions

    longest = min(_LONGEST_FILL, model.config.max_position_embeddings - 1)
    filler = Filler(model, tokenizer, DecodingOptions(max_tokens=longest))

    def fill() -> list[dict[str, str]]:
        # Texts differ in length: compiled training code would be compiled anew for each.
        with torch.compiler.set_stance("force_eager"):
            results = filler.fill([blank.text for blank in blanks])
        return [
            {"text": blank.text, "answer": blank.answer, "fill": result.blanks[0].text}
            for blank, result in zip(blanks, results, strict=True)
        ]

    return fill


def _readable(example: Example, tokenizer: PreTrainedTokenizerFast, width: int) -> HeldOutBlank:
    special = special_ids(tokenizer)
    part_a = example.input_ids[: example.prefix_length].tolist()
    blank = part_a.index(special.mask)
    around = part_a[max(blank - width, 0) : blank + width]
    targets = example.labels[example.labels != IGNORE_INDEX].tolist()
    answer = [token for token in targets if token != special.eop]
    return HeldOutBlank(decode_with_blanks(tokenizer, around), tokenizer.decode(answer))
