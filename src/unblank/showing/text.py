"""Showing one sample as the model sees it, token by token.

The sample goes through the same tokenizer, sampler and objective as in training. Nothing is
computed here beyond counts; the picture of the mask is in `mask_picture`, encoder-decoders are in
`pairs`.
"""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from unblank.data.files import find_files
from unblank.data.formats import format_of
from unblank.data.in_memory import TokenLists
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.sources import TextFiles
from unblank.examples import IGNORE_INDEX, Example, IntArray
from unblank.objectives.mixture import build_objective
from unblank.showing.columns import NOTHING, print_columns
from unblank.showing.mask_picture import blank_pieces, draw_mask, piece_numbers
from unblank.showing.options import ShowPairOptions, ShowSampleOptions, ShowTextOptions
from unblank.showing.pairs import show_seq2seq
from unblank.showing.vocabulary import ShownVocabulary, folder_vocabulary, word_vocabulary
from unblank.tokenization.special import SPECIAL_TOKENS, SpecialIds
from unblank.unicode import require_unicode

__all__ = ["show_pair", "show_text"]

_PIECE_STYLES = ("dark_orange", "green", "magenta", "yellow", "blue")
_LONGEST_PATH = 1024
_DOCUMENTS_READ = 256
_SHORT_NAMES = {"pad": "<pad>", "eos": "<eos>", "sop": "<sop>", "eop": "<eop>"}


def show_text(options: ShowTextOptions, console: Console) -> None:
    """Print a sample as a GLM sees it, and draw its mask if asked to.

    Raises:
        FileNotFoundError: if the tokenizer's folder is not there.
        ValueError: if the text is too short, or an option is out of range.
    """
    texts = _read_texts(options)
    vocabulary = _vocabulary(options, texts, console, is_seq2seq=False)
    objective = build_objective(
        options.objective, vocabulary.special, vocabulary.sentence_end, options.max_length
    )
    settings = SamplingSettings(max_length=options.max_length, seed=options.seed)
    corpus = TokenLists(vocabulary.encode(texts))
    sampler = Sampler([corpus], objective, vocabulary.special, settings)
    example = sampler.draw_example(options.sample_number)
    names = _shown_names(vocabulary)
    console.print(f"sample {options.sample_number} of seed {options.seed}", style="bold")
    print_example(console, example, names, vocabulary.special)
    if options.mask is not None:
        draw_mask(example, [names[token_id] for token_id in example.input_ids], options.mask)
        console.print(f"attention mask: {options.mask}", soft_wrap=True)


def show_pair(options: ShowPairOptions, console: Console) -> None:
    """Print a sample as an encoder-decoder sees it; arguments and errors as for `show_text`."""
    texts = _read_texts(options)
    whole = [*texts, options.translation or ""]
    vocabulary = _vocabulary(options, whole, console, is_seq2seq=True)
    show_seq2seq(options, texts, vocabulary, console)


def _vocabulary(
    options: ShowSampleOptions, texts: Sequence[str], console: Console, *, is_seq2seq: bool
) -> ShownVocabulary:
    folder = options.tokenizer or options.model
    if folder is not None:
        return folder_vocabulary(folder, is_seq2seq=is_seq2seq)
    vocabulary = word_vocabulary(texts, options.max_length, is_seq2seq=is_seq2seq)
    console.print(
        "without --tokenizer or --model, words and punctuation marks stand for tokens",
        style="dim",
    )
    return vocabulary


def print_example(
    console: Console, example: Example, names: Sequence[str], special: SpecialIds
) -> None:
    """Print the parts of an example in aligned columns, and its counts.

    Args:
        console: where to.
        example: one example.
        names: the string to show for every token id.
        special: ids of the special tokens.
    """
    pieces = piece_numbers(example)
    for line in _summary(example, special):
        console.print(line)
    if special.sop in example.input_ids:
        console.print(
            f"<sop>, <eop>, <eos> stand for {SPECIAL_TOKENS['sop']}, {SPECIAL_TOKENS['eop']}, "
            f"{SPECIAL_TOKENS['eos']}",
            style="dim",
        )
    parts = {"Part A": (0, example.prefix_length), "Part B": (example.prefix_length, len(example))}
    for title, (start, stop) in parts.items():
        if start < stop:
            console.print(f"\n{title}", style="bold")
            _print_columns(console, example, names, pieces, start, stop)


def _summary(example: Example, special: SpecialIds) -> list[str]:
    size_a = example.prefix_length
    size_b = len(example) - size_a
    scored = example.labels[example.labels != IGNORE_INDEX]
    num_predicted = int((scored != special.eop).sum())
    blank_ids = [*special.blanks, *special.sentinels]
    num_blanks = int(np.isin(example.input_ids[:size_a], blank_ids).sum())
    # A piece has a blank in Part A and one position more than its tokens.
    num_text = len(example) - 2 * int((example.labels == special.eop).sum())
    return [
        f"objective {example.objective}: {len(example)} positions, {size_a} in Part A and {size_b} "
        "in Part B",
        f"blanks: {num_blanks}; predicted: {num_predicted} of {num_text} text tokens "
        f"({num_predicted / num_text:.1%}); loss at {len(scored)} positions",
    ]


def _print_columns(
    console: Console,
    example: Example,
    names: Sequence[str],
    pieces: IntArray,
    start: int,
    stop: int,
) -> None:
    labels = [NOTHING if label == IGNORE_INDEX else names[label] for label in example.labels]
    rows = {
        "input": [names[token_id] for token_id in example.input_ids],
        "position 1": [str(position) for position in example.position_ids[0]],
        "position 2": [str(position) for position in example.position_ids[1]],
        "predict": labels,
    }
    part = slice(start, stop)
    cells = {name: row[part] for name, row in rows.items()}
    print_columns(console, cells, _styles(example, pieces)[part])


def _styles(example: Example, pieces: IntArray) -> list[str]:
    """Give a piece of Part B and its blank in Part A the same colour, so the eye can join them."""
    styles = [f"not dim {_piece_style(int(piece))}" if piece else "not dim" for piece in pieces]
    for blank, piece in blank_pieces(example).items():
        styles[blank] = f"not dim bold {_piece_style(piece)}"
    return styles


def _piece_style(piece: int) -> str:
    return _PIECE_STYLES[(piece - 1) % len(_PIECE_STYLES)]


def _shown_names(vocabulary: ShownVocabulary) -> list[str]:
    names = list(vocabulary.tokens)
    for role, name in _SHORT_NAMES.items():
        names[getattr(vocabulary.special, role)] = name
    return names


def _read_texts(options: ShowSampleOptions) -> list[str]:
    """Return the text itself, or the first documents of the file that it names."""
    if not options.text.strip():
        raise ValueError("text is empty: give a text to show, or a file")
    require_unicode(options.text, "text")
    could_be_path = "\n" not in options.text and len(options.text) < _LONGEST_PATH
    path = Path(os.path.expanduser(options.text))
    if could_be_path and (os.path.exists(path) or format_of(path)):
        files = TextFiles(paths=find_files(path), text_field=options.text_field)
        texts = list(itertools.islice(files, _DOCUMENTS_READ))
        if not texts:
            raise ValueError(f"{options.text} has no text")
        return texts
    return [options.text]
