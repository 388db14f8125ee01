"""The demo itself: corpus, training through the same door as `unblank pretrain`, a report.

Nothing here trains or decodes on its own; it writes a `PretrainSettings` as a user would.
"""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.text import Text

from unblank.api import Unblank, load
from unblank.data.in_memory import TokenLists
from unblank.data.sampling import Sampler, SamplingSettings
from unblank.data.sources import TextFiles, find_files
from unblank.demo.corpus import python_prose, split_held_out
from unblank.demo.measure import (
    Cloze,
    TokenLoss,
    blank_losses,
    exact_match,
    make_clozes,
    most_frequent_word,
)
from unblank.demo.settings import DemoSettings
from unblank.families.settings import ModelSettings, TokenizerSettings
from unblank.generation.results import FillResult
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
from unblank.tokenization.special import special_ids
from unblank.tokenization.vocabulary import sentence_end_flags

__all__ = ["run_demo"]

MAX_LENGTH = 64
VOCAB_SIZE = 6000
NUM_CLOZES = 200


def run_demo(config: DemoSettings, *, memory: MemoryArrangement = LEFT_ALONE) -> None:
    """Train a tiny GLM, print what it learned, and say where everything lies.

    Args:
        config: what to train on, how long, and where to.
        memory: what `unblank.process.arrange_memory` returned.

    Raises:
        ValueError: too little text to hold some out.
        FileNotFoundError: `config.text` names nothing.
    """
    console = Console(highlight=False)
    started = time.perf_counter()
    documents = _user_documents(config.text) if config.text else python_prose()
    train, held_out = split_held_out(documents)
    if not train or not held_out:
        raise ValueError(
            f"{len(documents)} documents are too few to hold some out: give more text, or text "
            "with blank lines between its parts"
        )
    console.print(
        f"corpus: {len(train):,} documents ({sum(map(len, train)) / 1e6:.1f} million characters), "
        f"{len(held_out):,} more held out"
    )
    train_file = _write(config.output / "corpus" / "train.jsonl", train)
    held_out_file = _write(config.output / "corpus" / "held_out.jsonl", held_out)
    run = _run_config(config, train_file, held_out_file)
    folder = run_pretrain(run, memory=memory)
    _report(console, config, folder, train, held_out)
    minutes = (time.perf_counter() - started) / 60
    console.print(f"\n{minutes:.1f} minutes. Next:")
    console.print(f'  unblank fill {folder} "Return the [MASK] of the list."')
    console.print("  unblank pretrain --help          train on your own text")


def _user_documents(paths: Sequence[Path]) -> list[str]:
    return list(TextFiles(paths=find_files(list(paths)), text_unit="paragraph"))


def _write(path: Path, documents: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"text": document}, ensure_ascii=False) for document in documents]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _run_config(config: DemoSettings, train_file: Path, held_out_file: Path) -> PretrainSettings:
    return PretrainSettings(
        model=ModelSettings(preset="tiny", hidden_dropout=0.0, attention_dropout=0.0),
        tokenizer=TokenizerSettings(kind="wordpiece", vocab_size=VOCAB_SIZE),
        data=PretrainDataSettings(
            train=(str(train_file),), validation=(str(held_out_file),), max_length=MAX_LENGTH
        ),
        # More and shorter blanks than the paper's: in three minutes every scored token counts.
        objective=ObjectiveSettings(mask_ratio=0.4, mean_span_length=1.5),
        optim=PretrainOptimSettings(learning_rate=2e-3, warmup_steps=50, weight_decay=0.01),
        train=PretrainTrainSettings(
            output_dir=config.output / "model",
            max_steps=config.steps,
            batch_size=32,
            micro_batch_size=32,
            validate_every=max(1, config.steps // 6),
            save_every=config.steps,
            keep_checkpoints=1,
            seed=config.seed,
        ),
    )


def _report(
    console: Console,
    config: DemoSettings,
    folder: Path,
    train: Sequence[str],
    held_out: Sequence[str],
) -> None:
    model = load(folder)
    loss = _held_out_loss(model, train, held_out)
    console.print(
        f"\nheld-out loss: {loss.model:.2f} nats a blank token; the unigram entropy of the same "
        f"{loss.num_tokens:,} tokens is {loss.unigram:.2f}"
    )
    clozes = make_clozes(held_out, NUM_CLOZES, config.seed)
    fills = model.fill([cloze.text for cloze in clozes], max_tokens=12)
    frequent = most_frequent_word(train)
    hits = exact_match([fill.blanks[0].text for fill in fills], clozes)
    baseline = exact_match([frequent] * len(clozes), clozes)
    console.print(
        f"single-word blanks: {hits:.0%} of {len(clozes)} held-out words exactly right; "
        f"always answering {frequent!r}: {baseline:.0%}\n"
    )
    for fill, cloze in list(zip(fills, clozes, strict=True))[: config.sentences]:
        _print_fill(console, fill, cloze)
    console.print(f"\nmodel    {folder}\nplot     {folder / 'loss.png'}")
    console.print(f"metrics  {folder / 'metrics.jsonl'}")


def _held_out_loss(model: Unblank, train: Sequence[str], held_out: Sequence[str]) -> TokenLoss:
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


def _print_fill(console: Console, fill: FillResult, cloze: Cloze) -> None:
    blank = fill.blanks[0]
    probability = math.exp(sum(blank.log_probabilities))
    before, after = cloze.text.split("[MASK]")
    shown = Text(before)
    shown.append(blank.text.strip(), style="bold green")
    shown.append(f"{after}  ")
    shown.append(f"(p = {probability:.2g}; it was: {cloze.word})", style="dim")
    console.print(shown)
