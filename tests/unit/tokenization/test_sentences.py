"""Where sentences end, in many scripts and every kind of vocabulary."""

import numpy as np
import pytest

from unblank.objectives.spans import sample_sentences, sentence_bounds
from unblank.tokenization.encoding import encode_texts
from unblank.tokenization.sentences import sentence_breaks, sentence_end_flags
from unblank.tokenization.train import train_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:the text is too small")

TEXTS = [
    "One. Two? Three! Four; five: six\u2026 \u4e00\u3002\u4e8c\uff1f\u4e09\uff01 (x) a-b,\nc\n"
] * 9
KINDS = [("wordpiece", 400), ("unigram", 600), ("bpe", 500)]
ENDS = {
    "Armenian": "\u0589",
    "Arabic": "\u061f",
    "Urdu": "\u06d4",
    "Syriac": "\u0700",
    "Hindi": "\u0964",
    "Burmese": "\u104b",
    "Amharic": "\u1362",
    "Khmer": "\u17d4",
    "Mongolian": "\u1803",
}


@pytest.mark.parametrize(("kind", "size"), KINDS)
def test_sentence_ends_are_the_tokens_that_hold_one(kind, size):
    tokenizer = train_tokenizer(
        TEXTS, kind=kind, vocab_size=size, extra_tokens=["[a.b]"], show_progress=False
    )
    flags = sentence_end_flags(tokenizer)
    assert flags.shape == (len(tokenizer),)
    for token_id in range(len(tokenizer)):
        is_special = token_id in tokenizer.added_tokens_decoder
        text = tokenizer.decode([token_id])
        expected = not is_special and any(
            end in text for end in ".?!;:\u3002\uff1f\uff01\uff1b\uff1a\u2026\n"
        )
        assert flags[token_id] == expected, text
    found = "".join(tokenizer.decode([int(i)]) for i in flags.nonzero()[0])
    wanted = ".?!;:\n\u3002" if kind == "bpe" else ".?!;:\u3002"
    assert set(wanted) <= set(found)


@pytest.mark.parametrize(("kind", "size"), KINDS)
@pytest.mark.parametrize("script", ENDS)
def test_every_script_ends_its_sentences(script, kind, size):
    sentences = [f"ab cd{number}{ENDS[script]}" for number in range(6)]
    text = " ".join(sentences)
    tokenizer = train_tokenizer([text] * 9, kind=kind, vocab_size=size, show_progress=False)
    (ids,) = encode_texts(tokenizer, [text])
    breaks = sentence_breaks(np.asarray(ids), sentence_end_flags(tokenizer))
    assert breaks.sum() == len(sentences)
    assert breaks[-1]


def test_a_script_without_sentence_ends_breaks_at_its_spaces():
    clauses = [
        "\u0e01\u0e32\u0e23\u0e43\u0e0a\u0e49",
        "\u0e20\u0e32\u0e29\u0e32",
        "\u0e44\u0e17\u0e22",
    ]
    text = " ".join(clauses)
    for kind, size in KINDS:
        tokenizer = train_tokenizer([text] * 9, kind=kind, vocab_size=size, show_progress=False)
        (ids,) = encode_texts(tokenizer, [text])
        breaks = sentence_breaks(np.asarray(ids), sentence_end_flags(tokenizer))
        assert breaks.sum() == len(clauses), kind
    # Spaces of other scripts part words.
    (ids,) = encode_texts(tokenizer, ["one two three"])
    assert not sentence_breaks(np.asarray(ids), sentence_end_flags(tokenizer)).any()


def test_a_text_of_one_sentence_is_not_hidden_whole():
    tokens = np.arange(10, 110)
    sentences = sentence_bounds(tokens, np.zeros(200, np.uint8), np.array([[0, 100]]))
    for seed in range(50):
        ((start, end),) = sample_sentences(sentences, 100, 0.15, np.random.default_rng(seed))
        assert end - start == 15
