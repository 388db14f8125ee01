"""Training of tokenizers in a process of its own: the same bytes, and an end."""

import hashlib
import subprocess
import sys

import pytest
from drawn_texts import MAKE_TEXTS, SIZES, train

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")


def test_the_same_corpus_gives_the_same_bytes_in_another_process():
    script = (
        MAKE_TEXTS
        + f"""
import hashlib, warnings
warnings.simplefilter("ignore")
from unblank.tokenization.train import train_tokenizer
for kind, size in {SIZES}.items():
    tokenizer = train_tokenizer(texts, kind=kind, vocab_size=size, show_progress=False)
    print(hashlib.md5(tokenizer.backend_tokenizer.to_str().encode()).hexdigest())
"""
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    here = [train(kind).backend_tokenizer.to_str().encode() for kind in SIZES]
    assert run.stdout.decode().split() == [hashlib.md5(content).hexdigest() for content in here]


def test_training_ends_where_characters_are_rare():
    # In a process of its own: a trainer that waits for its own lock cannot be interrupted.
    script = """
import warnings
warnings.simplefilter("ignore")
from unblank.tokenization.train import train_tokenizer
texts = ["".join(map(chr, range(0x4E00, 0x4E78))) + " Ab" * 30] * 3
for kind in ("wordpiece", "unigram", "bpe"):
    for lowercase in (False, True):
        train_tokenizer(
            texts, kind=kind, vocab_size=540, lowercase=lowercase, show_progress=False
        )
print("ended")
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert run.stdout.split() == [b"ended"], run.stderr.decode()
