"""Texts of drawn words, also for a program of its own, and a tokenizer trained on them."""

from unblank.tokenization.train import train_tokenizer

# Many words of equal count, so that ties have to be broken.
MAKE_TEXTS = """
import random
draw = random.Random(7)
letters = "abcdefgh\u00e9\u00df\u4e00\u4e01"
def word(): return "".join(draw.choice(letters) for _ in range(draw.randint(1, 5)))
texts = [" ".join(word() for _ in range(200)) + "." for _ in range(3)]
"""


def make_texts() -> list[str]:
    names: dict = {}
    exec(MAKE_TEXTS, names)
    return names["texts"]


TEXTS = make_texts()
SIZES = {"wordpiece": 600, "unigram": 800, "bpe": 600}


def train(kind, texts=TEXTS, **settings):
    settings = {"vocab_size": SIZES[kind], "show_progress": False, **settings}
    return train_tokenizer(texts, kind=kind, **settings)
