"""The demo itself: corpus, training through the same door as `unblank pretrain`, a measurement.

Nothing here trains or decodes on its own; it writes a `PretrainSettings` as a user would.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unblank.api import Unblank, load
from unblank.data.files import find_files
from unblank.data.in_memory import TokenLists
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.sources import TextFiles
from unblank.demo.blanks import HiddenText, hide_words
from unblank.demo.corpus import installed_prose, split_by_source
from unblank.demo.curve import text_plot
from unblank.demo.measure import BlankLoss, blank_losses, most_frequent_word, share_right
from unblank.engine.logging import METRICS_NAME, VALIDATION_NAME, read_json_lines
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.generation.results import FillResult, Scores
from unblank.integrity import write_atomically
from unblank.objectives.mixture import build_objective
from unblank.objectives.settings import ObjectiveSettings
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import (
    PretrainDataSettings,
    PretrainOptimSettings,
    PretrainSettings,
    PretrainTrainSettings,
)
from unblank.process import MemoryArrangement
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.sentences import sentence_end_flags
from unblank.tokenization.special import special_ids

__all__ = ["DemoReport", "Filled", "Scored", "make_corpus", "measure_demo", "train_demo"]

_MAX_LENGTH = 96
_VOCAB_SIZE = 6000
_NUM_MEASURED = 500
_NUM_ANSWERS = 5
_NUM_CANDIDATES = 4
_LONGEST_ANSWER = 12
_MOST_BLANKS = 3
_PHRASE_LENGTHS = (2, 3, 4)
_LEFT_OUT_OF_CURVE = 0.03


@dataclass(frozen=True, slots=True)
class DemoCorpus:
    """The paragraphs of a demo, in lists and as the files that training reads."""

    train: list[str]
    held_out: list[str]
    train_file: Path
    held_out_file: Path


@dataclass(frozen=True, slots=True)
class Filled:
    """A held-out paragraph with blanks, and what the model wrote into them."""

    hidden: HiddenText
    fill: FillResult


@dataclass(frozen=True, slots=True)
class Scored:
    """A held-out paragraph with a blank, and what the model thinks of words for it."""

    hidden: HiddenText
    scores: Scores


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What a demo's model learned.

    Attributes:
        loss: of held-out blanks, beside that of token frequencies.
        words: held-out paragraphs with a word blanked, all that are measured.
        first: share of them whose most likely answer is the word.
        among: share of them with the word among the `_NUM_ANSWERS` most likely answers.
        frequent: the most frequent word of the training text.
        baseline: share that is right if that is always the answer.
        several: paragraphs with several words blanked.
        phrases: paragraphs with a few words in a row blanked, as one blank.
        scored: paragraphs with candidates for a blank, the original among them.
        curve: the loss curve as lines of characters.
    """

    loss: BlankLoss
    words: list[Filled]
    first: float
    among: float
    frequent: str
    baseline: float
    several: list[Filled]
    phrases: list[Filled]
    scored: list[Scored]
    curve: list[str]


def make_corpus(texts: Sequence[Path], output: Path) -> DemoCorpus:
    """Write the corpus: the user's text, or without any the English prose of the installation.

    Raises:
        ValueError: too little text to hold some out.
        FileNotFoundError: a path names nothing.
    """
    sources = _paragraphs_of_files(texts) if texts else installed_prose()
    train, held_out = split_by_source(sources)
    if not train or not held_out:
        raise ValueError(
            f"too few paragraphs to hold some out ({sum(map(len, sources.values()))}): give more "
            "text, or text with blank lines between its parts"
        )
    train_file = _write(output / "corpus" / "train.jsonl", train)
    held_out_file = _write(output / "corpus" / "held_out.jsonl", held_out)
    return DemoCorpus(train, held_out, train_file, held_out_file)


def train_demo(
    corpus: DemoCorpus,
    output: Path,
    *,
    minutes: float | None,
    steps: int | None,
    seed: int,
    memory: MemoryArrangement,
) -> Path:
    """Train a tiny GLM and return its folder.

    Args:
        corpus: from `make_corpus`.
        output: folder of the demo.
        minutes: time to train, or None for a number of steps.
        steps: of training, or None for as many as fit into the minutes.
        seed: of everything.
        memory: what `unblank.process.arrange_memory` returned.
    """
    train = PretrainTrainSettings(
        output_dir=output / "model",
        minutes=minutes,
        max_steps=steps,
        batch_size=8,
        first_embeddings="cooccurrence",
        first_attention="neighbours",
        validation_samples=256,
        keep_checkpoints=1,
        seed=seed,
    )
    return run_pretrain(_run_settings(corpus, train), memory=memory)


def measure_demo(folder: Path, corpus: DemoCorpus, *, seed: int, num_shown: int) -> DemoReport:
    """Return what the model learned, on held-out text.

    Args:
        folder: of the model.
        corpus: from `make_corpus`.
        seed: by which paragraphs, words and candidates are chosen.
        num_shown: how many paragraphs with several words or a phrase blanked to fill.
    """
    model = load(folder)
    paragraphs = _short_enough(model, corpus.held_out)
    words = _filled(model, hide_words(paragraphs, _NUM_MEASURED, seed), _NUM_ANSWERS)
    originals = [one.hidden.originals[0] for one in words]
    answers = [
        [fill.blanks[0].text for fill in (one.fill, *one.fill.alternatives)] for one in words
    ]
    frequent = most_frequent_word(corpus.train)
    # Other seeds, so that these are not the paragraphs of the single words.
    several = hide_words(paragraphs, num_shown, seed + 1, num_blanks=_MOST_BLANKS)
    scored = hide_words(paragraphs, num_shown, seed + 2)
    phrases = [
        text
        for length in _PHRASE_LENGTHS
        for text in hide_words(
            paragraphs,
            math.ceil(num_shown / len(_PHRASE_LENGTHS)),
            seed + 2 + length,
            words_in_a_blank=length,
        )
    ]
    return DemoReport(
        loss=_held_out_loss(model, corpus.train, corpus.held_out),
        words=words,
        first=share_right([given[:1] for given in answers], originals),
        among=share_right(answers, originals),
        frequent=frequent,
        baseline=share_right([[frequent]] * len(originals), originals),
        several=_filled(model, several),
        phrases=_filled(model, phrases[:num_shown]),
        scored=_scored(model, scored, originals, seed),
        curve=loss_curve(folder),
    )


def loss_curve(folder: Path) -> list[str]:
    """Return the losses of a run, training `.` and held-out `o`, as lines of characters.

    The first steps, in which the loss falls from that of chance, are left out.
    """
    files = {".": METRICS_NAME, "o": VALIDATION_NAME}
    curves = {
        sign: [
            (line["step"], line["loss"])
            for line in read_json_lines(folder / name)
            if line.get("loss") is not None
        ]
        for sign, name in files.items()
    }
    last = max((step for curve in curves.values() for step, _ in curve), default=0)
    return text_plot(
        {
            sign: [point for point in curve if point[0] > last * _LEFT_OUT_OF_CURVE]
            for sign, curve in curves.items()
        }
    )


def _paragraphs_of_files(paths: Sequence[Path]) -> dict[str, list[str]]:
    """Return the paragraphs of a user's text, each a source of its own."""
    texts = TextFiles(paths=find_files(list(paths)), text_unit="paragraph")
    return {text: [text] for text in texts}


def _write(path: Path, paragraphs: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": paragraph}, ensure_ascii=False) for paragraph in paragraphs]
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def _run_settings(corpus: DemoCorpus, train: PretrainTrainSettings) -> PretrainSettings:
    return PretrainSettings(
        model=ModelSettings(
            preset="tiny",
            hidden_size=128,
            num_hidden_layers=3,
            num_attention_heads=4,
            hidden_dropout=0.0,
            attention_dropout=0.0,
        ),
        tokenizer=TokenizerSettings(kind="wordpiece", vocab_size=_VOCAB_SIZE),
        data=PretrainDataSettings(
            train=(str(corpus.train_file),),
            validation=(str(corpus.held_out_file),),
            max_length=_MAX_LENGTH,
            row_length=128,
        ),
        # Many short blanks: in so few minutes every scored token counts (docs/log.md).
        objective=ObjectiveSettings(token=0.6, causal=0.4, mask_ratio=0.35, mean_span_length=0.7),
        optim=PretrainOptimSettings(
            name="muon",
            learning_rate=2e-3,
            muon_factor=1.5,
            warmup_steps=20,
            weight_decay=0.01,
            schedule="linear",
            min_learning_rate_ratio=0.0,
        ),
        train=train,
    )


def _filled(model: Unblank, hidden: Sequence[HiddenText], num_answers: int = 1) -> list[Filled]:
    """Fill the blanks: greedily, or by a beam search for several answers."""
    fills = model.fill(
        [one.text for one in hidden],
        max_tokens=_LONGEST_ANSWER,
        num_beams=num_answers,
        num_return=num_answers,
        num_alternatives=0,
        batch_size=32,
    )
    return [Filled(one, fill) for one, fill in zip(hidden, fills, strict=True)]


def _short_enough(model: Unblank, paragraphs: Sequence[str]) -> list[str]:
    """Return the paragraphs that the model has positions for, with the longest answers in them."""
    longest = _MAX_LENGTH - _MOST_BLANKS * _LONGEST_ANSWER
    encoded = encode_texts(model.tokenizer, paragraphs)
    return [text for text, ids in zip(paragraphs, encoded, strict=True) if len(ids) <= longest]


def _scored(
    model: Unblank, hidden: Sequence[HiddenText], words: Sequence[str], seed: int
) -> list[Scored]:
    """Score the original word of each text beside other hidden words, drawn by the seed."""
    rng = np.random.default_rng(seed)
    others = sorted({word.lower() for word in words})
    scored = []
    for one in hidden:
        (original,) = one.originals
        drawn = [str(word) for word in rng.permutation(others) if word != original.lower()]
        candidates = sorted([original, *drawn[: _NUM_CANDIDATES - 1]])
        scored.append(Scored(one, model.score(one.text, candidates)))
    return scored


def _held_out_loss(model: Unblank, train: Sequence[str], held_out: Sequence[str]) -> BlankLoss:
    special = special_ids(model.tokenizer)
    objective = build_objective(
        ObjectiveSettings(), special, sentence_end_flags(model.tokenizer), _MAX_LENGTH
    )
    sampler = Sampler(
        [TokenLists(encode_texts(model.tokenizer, held_out))],
        objective,
        special,
        SamplingSettings(max_length=_MAX_LENGTH),
    )
    ids = np.concatenate([np.asarray(ids) for ids in encode_texts(model.tokenizer, train)])
    counts = np.bincount(ids, minlength=model.model.config.vocab_size)
    return blank_losses(model, sampler, counts, _MAX_LENGTH)
