"""The demo itself: corpus, training through the same door as `unblank pretrain`, a measurement.

Nothing here trains or decodes on its own; it writes a `PretrainSettings` as a user would.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unblank.api import Unblank, load
from unblank.data.files import find_files
from unblank.data.in_memory import TokenLists
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.sources import TextFiles
from unblank.demo.corpus import python_prose, split_documents
from unblank.demo.measure import (
    BlankLoss,
    HiddenWord,
    blank_losses,
    exact_fills,
    hide_words,
    most_frequent_word,
)
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.generation.results import FillResult
from unblank.integrity import write_at_once
from unblank.objectives.mixture import build_objective
from unblank.objectives.settings import ObjectiveSettings
from unblank.pretraining.run import run_pretrain
from unblank.pretraining.settings import (
    PretrainDataSettings,
    PretrainOptimSettings,
    PretrainSettings,
    PretrainTrainSettings,
)
from unblank.process import LEFT_ALONE, MemoryArrangement
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.sentences import sentence_end_flags
from unblank.tokenization.special import special_ids

__all__ = ["DemoReport", "make_corpus", "measure_demo", "train_demo"]

MAX_LENGTH = 64
VOCAB_SIZE = 6000
NUM_CLOZES = 200


@dataclass(frozen=True, slots=True)
class DemoCorpus:
    """The text of a demo, in documents and as the files that training reads."""

    train: list[str]
    held_out: list[str]
    train_file: Path
    held_out_file: Path


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What a demo's model learned.

    Attributes:
        loss: of held-out blanks, beside that of token frequencies.
        clozes: held-out sentences with one word blanked.
        fills: the model's answers.
        hits: share of them that is exactly right.
        frequent: the most frequent word of the training text.
        baseline: share that is right if that is always the answer.
    """

    loss: BlankLoss
    clozes: list[HiddenWord]
    fills: list[FillResult]
    hits: float
    frequent: str
    baseline: float


def make_corpus(texts: Sequence[Path], output: Path) -> DemoCorpus:
    """Write the corpus: the user's text, or without any the English prose of Python.

    Raises:
        ValueError: too little text to hold some out.
        FileNotFoundError: a path names nothing.
    """
    documents = _user_documents(texts) if texts else python_prose()
    train, held_out = split_documents(documents)
    if not train or not held_out:
        raise ValueError(
            f"too few documents to hold some out ({len(documents)}): give more text, or text with "
            "blank lines between its parts"
        )
    train_file = _write(output / "corpus" / "train.jsonl", train)
    held_out_file = _write(output / "corpus" / "held_out.jsonl", held_out)
    return DemoCorpus(train, held_out, train_file, held_out_file)


def train_demo(
    corpus: DemoCorpus,
    output: Path,
    *,
    steps: int,
    seed: int,
    memory: MemoryArrangement = LEFT_ALONE,
) -> Path:
    """Train a tiny GLM and return its folder.

    Args:
        corpus: from `make_corpus`.
        output: folder of the demo.
        steps: of training.
        seed: of everything.
        memory: what `unblank.process.arrange_memory` returned.
    """
    return run_pretrain(_run_settings(corpus, output, steps, seed), memory=memory)


def measure_demo(folder: Path, corpus: DemoCorpus, seed: int) -> DemoReport:
    """Return what the model learned, on held-out text."""
    model = load(folder)
    loss = _held_out_loss(model, corpus.train, corpus.held_out)
    clozes = hide_words(corpus.held_out, NUM_CLOZES, seed)
    fills = model.fill([cloze.text for cloze in clozes], max_tokens=12)
    frequent = most_frequent_word(corpus.train)
    return DemoReport(
        loss=loss,
        clozes=clozes,
        fills=fills,
        hits=exact_fills([fill.blanks[0].text for fill in fills], clozes),
        frequent=frequent,
        baseline=exact_fills([frequent] * len(clozes), clozes),
    )


def _user_documents(paths: Sequence[Path]) -> list[str]:
    return list(TextFiles(paths=find_files(list(paths)), text_unit="paragraph"))


def _write(path: Path, documents: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": document}, ensure_ascii=False) for document in documents]
    write_at_once(path, "\n".join(lines) + "\n")
    return path


def _run_settings(corpus: DemoCorpus, output: Path, steps: int, seed: int) -> PretrainSettings:
    return PretrainSettings(
        model=ModelSettings(preset="tiny", hidden_dropout=0.0, attention_dropout=0.0),
        tokenizer=TokenizerSettings(kind="wordpiece", vocab_size=VOCAB_SIZE),
        data=PretrainDataSettings(
            train=(str(corpus.train_file),),
            validation=(str(corpus.held_out_file),),
            max_length=MAX_LENGTH,
        ),
        # More and shorter blanks than the paper's: in three minutes every scored token counts.
        objective=ObjectiveSettings(mask_ratio=0.4, mean_span_length=1.5),
        optim=PretrainOptimSettings(learning_rate=2e-3, warmup_steps=50, weight_decay=0.01),
        train=PretrainTrainSettings(
            output_dir=output / "model",
            max_steps=steps,
            batch_size=32,
            micro_batch_size=32,
            validate_every=max(1, steps // 6),
            save_every=steps,
            keep_checkpoints=1,
            seed=seed,
        ),
    )


def _held_out_loss(model: Unblank, train: Sequence[str], held_out: Sequence[str]) -> BlankLoss:
    special = special_ids(model.tokenizer)
    objective = build_objective(
        ObjectiveSettings(), special, sentence_end_flags(model.tokenizer), MAX_LENGTH
    )
    sampler = Sampler(
        [TokenLists(encode_texts(model.tokenizer, held_out))],
        objective,
        special,
        SamplingSettings(max_length=MAX_LENGTH),
    )
    ids = np.concatenate([np.asarray(ids) for ids in encode_texts(model.tokenizer, train)])
    counts = np.bincount(ids, minlength=model.model.config.vocab_size)
    return blank_losses(model, sampler, counts, MAX_LENGTH)
