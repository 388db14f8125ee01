"""A made-up vocabulary: 100 words, then the special tokens; word 7 ends a sentence."""

import numpy as np
import pytest

from unblank.tokenization.special import SpecialIds

NUM_WORDS = 100
SENTENCE_END = 7


@pytest.fixture(scope="session")
def special() -> SpecialIds:
    names = ["eos", "cls", "sep", "unk", "mask", "smask", "gmask", "sop", "eop", "dblock"]
    ids = {name: NUM_WORDS + number for number, name in enumerate(names)}
    sentinels = tuple(range(NUM_WORDS + 10, NUM_WORDS + 50))
    return SpecialIds(pad=ids["eos"], sentinels=sentinels, **ids)


@pytest.fixture(scope="session")
def sentence_end() -> np.ndarray:
    return np.arange(NUM_WORDS + 50) == SENTENCE_END


@pytest.fixture
def make_text(special: SpecialIds):
    """Make `[CLS] words (eos)` with the given number of words; word 7 about every tenth."""

    def make(num_words: int, seed: int = 0, ends: bool = True) -> np.ndarray:
        words = np.random.default_rng(seed).integers(0, NUM_WORDS, num_words)
        words[np.random.default_rng(seed + 1).random(num_words) < 0.1] = SENTENCE_END
        return np.concatenate(([special.cls], words, [special.eos] * ends)).astype(np.int64)

    return make
