"""What the model has learned so far: the same few held-out blanks, filled at intervals.

A model that fills blanks is asked for one blank in a text. One that writes targets is asked what it
was taught: how the target of the first blank of a source continues.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from unblank.examples import IGNORE_INDEX, Example, IntArray, Seq2SeqExample
from unblank.families.family import Family
from unblank.families.settings import FamilySections
from unblank.generation.infill import Filler
from unblank.generation.options import DecodingOptions
from unblank.objectives.mixture import only
from unblank.pretraining.materials import Materials
from unblank.tokenization.encoding import decode_with_blanks
from unblank.tokenization.special import MASK_TOKEN, SpecialIds

__all__ = ["fill_function"]

_NUM_SHOWN = 3
_LONGEST_FILL = 16
_OTHER_BLANK = "..."


@dataclass(frozen=True, slots=True)
class HeldOutBlank:
    """A held-out text with one blank, and what stood there.

    Attributes:
        text: with the blank as `[MASK]`, further ones as three dots.
        answer: the original words.
        source_ids: for a model that writes targets, the source.
        start_ids: what its decoder reads before it writes.
    """

    text: str
    answer: str
    source_ids: tuple[int, ...] = ()
    start_ids: tuple[int, ...] = ()


def fill_function(
    family: Family, model: PreTrainedModel, materials: Materials, sections: FamilySections
) -> Callable[[], list[dict[str, str]]]:
    """Return a function that fills blanks greedily with the model as it is when called.

    Args:
        family: of the model; one that writes.
        model: the bare model, in evaluation mode when the function is called.
        materials: the held-out text.
        sections: what is hidden in training.

    Returns:
        A function without arguments; each of its lines has `text`, `answer` and `fill`.
    """
    tokenizer, special = materials.tokenizer, family.special_ids(materials.tokenizer)
    if family.writes == "blanks":
        one_blank = replace(sections, objective=only("single_span", sections.objective))
        sampler = materials.held_out_sampler(one_blank)
        # Half the positions: the text is encoded again when filled, perhaps into more tokens.
        width = sampler.settings.max_length // 4
        blanks = [
            _held_out_blank(sampler.draw_example(number), tokenizer, special, width)
            for number in range(min(_NUM_SHOWN, sampler.num_chunks))
        ]
        fill = _blank_filler(model, tokenizer)
    else:
        sampler = materials.held_out_sampler(sections)
        blanks = [
            held_out_target(sampler.draw_example(number), tokenizer, special)
            for number in range(min(_NUM_SHOWN, sampler.num_chunks))
        ]
        fill = _target_writer(model, tokenizer, [special.eos, *special.sentinels])

    def fill_all() -> list[dict[str, str]]:
        # Texts differ in length: torch.compile would compile the training code again for each.
        with torch.compiler.set_stance("force_eager"):
            filled = fill(blanks)
        return [
            {"text": blank.text, "answer": blank.answer, "fill": text}
            for blank, text in zip(blanks, filled, strict=True)
        ]

    return fill_all


def _held_out_blank(
    example: Example, tokenizer: PreTrainedTokenizerFast, special: SpecialIds, width: int
) -> HeldOutBlank:
    """Return a sample of the objective `single_span` as a readable text."""
    part_a = example.input_ids[: example.prefix_length].tolist()
    blank = part_a.index(special.mask)
    around = part_a[max(blank - width, 0) : blank + width]
    targets = example.labels[example.labels != IGNORE_INDEX].tolist()
    answer = [token for token in targets if token != special.eop]
    return HeldOutBlank(decode_with_blanks(tokenizer, around), tokenizer.decode(answer))


def held_out_target(
    example: Seq2SeqExample, tokenizer: PreTrainedTokenizerFast, special: SpecialIds
) -> HeldOutBlank:
    """Return a sample of a run's own objective: its source, and how its target begins."""
    ends = {special.eos, *special.sentinels}
    start, labels = example.decoder_input_ids[:1].tolist(), example.labels.tolist()
    if labels[0] in special.sentinels:  # the decoder starts with its start token
        start.append(labels.pop(0))
    length = next((place for place, label in enumerate(labels) if label in ends), len(labels))
    return HeldOutBlank(
        text=_readable(example.input_ids, tokenizer, {special.mask, *special.sentinels}),
        answer=tokenizer.decode(labels[: min(length, _LONGEST_FILL)]),
        source_ids=tuple(example.input_ids.tolist()),
        start_ids=tuple(start),
    )


def _blank_filler(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> Callable[[Sequence[HeldOutBlank]], list[str]]:
    longest = min(_LONGEST_FILL, model.config.max_position_embeddings - 1)
    filler = Filler(model, tokenizer, DecodingOptions(max_tokens=longest))

    def fill(blanks: Sequence[HeldOutBlank]) -> list[str]:
        results = filler.fill([blank.text for blank in blanks])
        return [result.blanks[0].text for result in results]

    return fill


def _target_writer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, ends: list[int]
) -> Callable[[Sequence[HeldOutBlank]], list[str]]:
    def write(blank: HeldOutBlank) -> str:
        start = torch.tensor([blank.start_ids], device=model.device)
        room = model.config.max_position_embeddings - start.shape[1]
        written = model.generate(
            torch.tensor([blank.source_ids], device=model.device),
            decoder_input_ids=start,
            max_new_tokens=min(_LONGEST_FILL, room),
            do_sample=False,
            num_beams=1,
            eos_token_id=ends,
        )
        text: str = tokenizer.decode(written[0, start.shape[1] :], skip_special_tokens=True)
        return text

    return lambda blanks: [write(blank) for blank in blanks]


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
