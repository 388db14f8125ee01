"""What rules cost: to make them ready for a vocabulary, and at each step of decoding.

python benchmarks/rules.py text.jsonl.gz --vocab 30000 --megabytes 8
"""

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from unblank.api import Unblank
from unblank.data.sources import TextFiles
from unblank.models import GlmInfillConfig, GlmInfillForConditionalGeneration
from unblank.rules.making import ConstraintMaker
from unblank.rules.rule import read_rules
from unblank.tokenization.special import special_ids
from unblank.tokenization.train import train_tokenizer

RULES = {
    "date": [r"regex=\d{1,2} (January|May|July) \d{4}"],
    "choices": ["choices=" + "|".join(f"choice number {n}" for n in range(200))],
    "words": ["words=2..6"],
    "contains": ["contains=river|rivers"],
    "all of it": ["words=2..6", "contains=river|rivers", "excludes=lake", "case=lower"],
    "characters": ["characters=..200"],
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("--vocab", type=int, default=30_000)
    parser.add_argument("--megabytes", type=float, default=8)
    parser.add_argument("--kinds", nargs="+", default=["wordpiece", "bpe", "unigram"])
    given = parser.parse_args()
    texts, size = [], 0
    for text in TextFiles(paths=(given.text,)):
        texts.append(text)
        size += len(text)
        if size > given.megabytes * 1e6:
            break
    for kind in given.kinds:
        tokenizer = train_tokenizer(texts, kind=kind, vocab_size=given.vocab, show_progress=False)
        report(kind, tokenizer)
        decode(kind, tokenizer)


def report(kind: str, tokenizer: PreTrainedTokenizerFast) -> None:
    special = special_ids(tokenizer)
    ids = [i for i in range(len(tokenizer)) if i not in tokenizer.all_special_ids]
    maker = ConstraintMaker(
        tokenizer, token_ids=ids, end_ids=[special.eop, special.eos],
        vocab_size=len(tokenizer), is_standalone=False,
    )  # fmt: skip
    start = time.process_time()
    maker.make(read_rules("choices=a"), limit=64)
    print(f"{kind}: {len(tokenizer):,} tokens, read in {time.process_time() - start:.2f} s")
    for name, rules in RULES.items():
        start = time.process_time()
        constraint = maker.make(read_rules(rules), limit=64)
        made = time.process_time() - start
        states = walk(constraint, len(tokenizer))
        start = time.process_time()
        for state, count in states:
            constraint._kept.clear()
            constraint.needs(state, count)
        new = (time.process_time() - start) / len(states)
        log_p = torch.zeros(len(tokenizer))
        progress = constraint.begin(64)
        progress.mask(log_p)
        start = time.process_time()
        for _ in range(200):
            progress.mask(log_p)
        known = (time.process_time() - start) / 200
        print(
            f"  {name}: made in {made:.3f} s, {constraint.num_states:,} states; a step of a row "
            f"{1e6 * new:.0f} us in a new state, {1e6 * known:.0f} us in a known one"
        )


def decode(kind: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """Time greedy fills of a small GLM, 20 tokens each, with rules and without."""
    ids = asdict(special_ids(tokenizer))
    config = GlmInfillConfig(
        vocab_size=len(tokenizer), tokenizer_size=len(tokenizer), hidden_size=384,
        num_hidden_layers=6, num_attention_heads=6, max_position_embeddings=256,
        **{f"{role}_token_id": given for role, given in ids.items() if isinstance(given, int)},
    )  # fmt: skip
    model = Unblank(GlmInfillForConditionalGeneration(config), tokenizer)
    texts = ["The river was [MASK] and then it went on to the sea, as rivers do."] * 16
    for name, rules in {"none": [], "length": ["tokens=20"], **RULES}.items():
        if name in ("date", "choices"):
            continue
        seconds = []
        for _ in range(3):
            start = time.process_time()
            model.fill(texts, rules=rules, min_tokens=20, max_tokens=20, num_alternatives=0)
            seconds.append(time.process_time() - start)
        step = 1e3 * min(seconds) / 20
        print(
            f"  {kind}, 16 rows, rules {name}: {step:.1f} ms a step, the first {seconds[0]:.2f} s"
        )


def walk(constraint, vocab_size: int) -> list[tuple[int, int]]:
    """Return the states on some random ways."""
    generator = torch.Generator().manual_seed(0)
    states = []
    for _ in range(5):
        progress = constraint.begin(64)
        for _ in range(8):
            states.append((progress.state, progress.num_tokens))
            log_p = torch.rand(vocab_size, generator=generator)
            progress.mask(log_p)
            token_id = int(log_p.argmax())
            if token_id in constraint._end_ids:
                break
            progress = progress.after(token_id)
    return states


if __name__ == "__main__":
    main()
