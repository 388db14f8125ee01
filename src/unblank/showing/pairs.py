"""Showing encoder-decoders: a sample as source and target, or how blanks are filled.

A sample goes through the same tokenizer, sampler and objective as in training.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.console import Console

from unblank.data.in_memory import TokenLists
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.examples import IGNORE_INDEX, IntArray, Seq2SeqExample
from unblank.objectives.drawing import Mixture
from unblank.objectives.seq2seq import build_pair_objective, build_seq2seq_objective
from unblank.objectives.seq2seq_context import Seq2SeqContext
from unblank.objectives.span_filling import filling_layout
from unblank.plurals import counted
from unblank.showing.columns import NOTHING, print_columns
from unblank.showing.options import ShowPairOptions
from unblank.showing.vocabulary import ShownVocabulary
from unblank.tokenization.special import EOP_TOKEN, MASK_TOKEN, PAD_TOKEN, SOP_TOKEN, SpecialIds

__all__ = ["show_seq2seq"]

_SHORT_NAMES = {PAD_TOKEN: "<pad>", SOP_TOKEN: "<start>", EOP_TOKEN: "<end>"}
_SPAN_STYLES = ("dark_orange", "green", "magenta", "yellow", "blue")


def show_seq2seq(
    options: ShowPairOptions, texts: Sequence[str], vocabulary: ShownVocabulary, console: Console
) -> None:
    """Print the sample that the options describe; or, if the text has blanks, how it is filled.

    Args:
        options: the options.
        texts: the text, or the documents of the file that it names.
        vocabulary: with the ids of an encoder-decoder.
        console: where to.

    Raises:
        ValueError: if a translation goes with a file or is too long, or there are too few
            sentinels.
    """
    names = [_SHORT_NAMES.get(token, token) for token in vocabulary.tokens]
    if MASK_TOKEN in options.text and len(texts) == 1:
        _print_filling(options, vocabulary, names, console)
        return
    example = _sampler(options, texts, vocabulary).draw_example(options.sample_number)
    console.print(f"sample {options.sample_number} of seed {options.seed}", style="bold")
    _print_seq2seq_example(console, example, names, vocabulary.special)


def _print_seq2seq_example(
    console: Console, example: Seq2SeqExample, names: Sequence[str], special: SpecialIds
) -> None:
    """Print source and target of an example in aligned columns, and its counts."""
    scored = example.labels[example.labels != IGNORE_INDEX]
    hidden = np.isin(example.input_ids, [special.mask, *special.sentinels])
    words = ~np.isin(scored, [special.eos, special.sop, *special.sentinels])
    console.print(
        f"objective {example.objective}: source of {counted(len(example.input_ids), 'token')}, "
        f"target of {len(example.labels)}"
    )
    console.print(
        f"sentinels and masks in the source: {hidden.sum()}; predicted: {words.sum()} text tokens; "
        f"loss at {len(scored)} positions"
    )
    styles = _span_styles(special)
    _explain(console, names, (example.input_ids, example.decoder_input_ids, example.labels))
    _print_part(console, "Source", {"encoder": example.input_ids}, names, styles)
    target = {"decoder": example.decoder_input_ids, "predict": example.labels}
    _print_part(console, "Target", target, names, styles)


def _sampler(
    options: ShowPairOptions, texts: Sequence[str], vocabulary: ShownVocabulary
) -> Sampler[Seq2SeqExample]:
    documents = vocabulary.encode(texts)
    special = vocabulary.special
    build: Callable[..., Mixture[Seq2SeqContext, Seq2SeqExample]] = build_seq2seq_objective
    if options.translation is not None:
        (translation,) = vocabulary.encode([options.translation])
        documents = [[*documents[0], special.eos, *translation]]
        build = build_pair_objective
        if len(documents[0]) + 2 > options.max_length:
            raise ValueError(
                f"the pair has {len(documents[0]) + 2} tokens with its ends, but max_length is "
                f"{options.max_length}: raise --max-length"
            )
    objective = build(options.seq2seq, special, vocabulary.sentence_end, options.max_length)
    settings = SamplingSettings(max_length=options.max_length, seed=options.seed)
    return Sampler([TokenLists(documents)], objective, special, settings)


def _print_filling(
    options: ShowPairOptions, vocabulary: ShownVocabulary, names: Sequence[str], console: Console
) -> None:
    special = vocabulary.special
    tokens = [special.cls]
    parts = vocabulary.encode_between_blanks(options.text.split(MASK_TOKEN))
    for place, part in enumerate(parts):
        tokens += [special.mask] * (place > 0) + part
    context = build_seq2seq_objective(options.seq2seq, special, vocabulary.sentence_end, 1).context
    source, start = filling_layout(np.array([*tokens, special.eos]), context)
    console.print(
        "a text with blanks, as a model trained by span corruption fills it", style="bold"
    )
    num_blanks = tokens.count(special.mask)
    ends = names[special.eos]
    if num_blanks < len(special.sentinels):
        ends = f"{names[special.sentinels[num_blanks]]} or {ends}"
    console.print(f"blanks: {num_blanks}; the decoder continues from its first input, up to {ends}")
    _explain(console, names, (source, start))
    styles = _span_styles(special)
    _print_part(console, "Source", {"encoder": source}, names, styles)
    _print_part(console, "Target", {"decoder": start}, names, styles)


def _print_part(
    console: Console,
    title: str,
    rows: dict[str, IntArray],
    names: Sequence[str],
    styles: dict[int, str],
) -> None:
    """Print one side; a sentinel and the words after it have one colour on both sides."""
    console.print(f"\n{title}", style="bold")
    first = next(iter(rows.values()))
    cells = {
        name: [NOTHING if token_id == IGNORE_INDEX else names[token_id] for token_id in ids]
        for name, ids in rows.items()
    }
    colours = _target_styles(first, styles) if title == "Target" else _source_styles(first, styles)
    print_columns(console, cells, list(colours))


def _source_styles(ids: IntArray, styles: dict[int, str]) -> Iterator[str]:
    for token_id in ids.tolist():
        yield f"not dim bold {styles[token_id]}" if token_id in styles else "not dim"


def _target_styles(ids: IntArray, styles: dict[int, str]) -> Iterator[str]:
    style = "not dim"
    for token_id in ids.tolist():
        if token_id in styles:
            style = f"not dim {styles[token_id]}"
        yield style


def _span_styles(special: SpecialIds) -> dict[int, str]:
    return {
        sentinel: _SPAN_STYLES[number % len(_SPAN_STYLES)]
        for number, sentinel in enumerate(special.sentinels)
    }


def _explain(console: Console, names: Sequence[str], parts: Sequence[IntArray]) -> None:
    """Say what the short names stand for that occur."""
    used = {names[token_id] for ids in parts for token_id in ids if token_id != IGNORE_INDEX}
    meant = [f"{short} is {token}" for token, short in _SHORT_NAMES.items() if short in used]
    if meant:
        console.print(", ".join(meant), style="dim")
